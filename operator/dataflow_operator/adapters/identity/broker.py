"""The token broker: each pipeline's calls are made as its own ServiceAccount, and many that ask at once cost one exchange."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from dataflow_operator.adapters.dataflow.caller import Metadata, Use
from dataflow_operator.adapters.identity.account import Account
from dataflow_operator.adapters.identity.exchange import LIFE, OwnToken, Source, Token, exchange
from dataflow_operator.adapters.identity.flights import Flights
from dataflow_operator.adapters.identity.hints import advice
from dataflow_operator.adapters.identity.kept import GRACE, Kept, Now, Shelf, Trouble, kept_of, trouble_of
from dataflow_operator.adapters.identity.modes import Exchange, Mode
from dataflow_operator.adapters.identity.sight import ACCOUNT_AGE, Reader, Sight
from dataflow_operator.adapters.tally import Tally, uncounted
from dataflow_operator.domain.errors import OutsideError, Reason, UnavailableError
from dataflow_operator.domain.identity import LAUNCH_TOKEN_REST, Persona, ServiceAccount

THREADS: Final = 32
"""Exchanges under way at once: one that hangs holds a thread for ten seconds, and the others go on. Source: chosen."""

EXCHANGE_SECONDS: Final = 30.0
"""The longest that callers wait for one exchange: the Kubernetes token and two calls of 10 s, and a little for a thread. Source: chosen."""

ROUNDS: Final = 3
"""How often one call begins anew because the ServiceAccount changed under its exchange. Source: chosen."""

_ABOUT_ACCOUNT: Final = frozenset({Reason.SERVICE_ACCOUNT_NOT_FOUND, Reason.NAMESPACE_TERMINATING, Reason.TOKEN_REQUEST_DENIED})
"""What the API server says when the ServiceAccount, or what lets its tokens be made, is not what it was: it is read anew."""

_GONE: Final = frozenset({Reason.SERVICE_ACCOUNT_NOT_FOUND, Reason.NAMESPACE_TERMINATING})
"""What says for certain that there will be no new token: people are told at once, and not when the one that is left dies."""

_LEFT_SERVES: Final = frozenset(
    {
        Reason.SERVICE_ACCOUNT_NOT_FOUND,
        Reason.NAMESPACE_TERMINATING,
        Reason.STS_THROTTLED,
        Reason.STS_UNAVAILABLE,
        Reason.UNAVAILABLE,
        Reason.TIMED_OUT,
        Reason.CONNECTION_LOST,
        Reason.UNAUTHENTICATED,
    }
)
"""For want of a new token by these, lists, reads and stops go on with the one that is left. A denial is none of them: it is obeyed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Key:
    """What a token is for. Two calls of one key share it."""

    namespace: str
    name: str
    uid: str
    wanted: Exchange
    """Audiences, Google account, scope, endpoints, profile."""
    is_for_launches: bool


def _key(account: Account, wanted: Exchange, *, is_for_launches: bool) -> Key:
    return Key(namespace=account.namespace, name=account.name, uid=account.uid, wanted=wanted, is_for_launches=is_for_launches)


Sources = Callable[[Exchange], Source]
"""Returns where the subject token of a profile comes from."""


def no_profiles(wanted: Exchange) -> Source:
    """Know of no profile."""
    raise UnavailableError(Reason.PROFILE_NOT_ALLOWED, f"there is no profile {wanted.profile!r}")


class TokenBroker:
    """Fulfils ``adapters.dataflow.caller.Caller``: every ServiceAccount calls as itself. For one event loop."""

    def __init__(
        self,
        *,
        accounts: Reader,
        mode: Callable[[], Awaitable[Mode]],
        own_namespace: str | None,
        launch_life: timedelta,
        profiles: Sources = no_profiles,
        account_age: timedelta = ACCOUNT_AGE,
        exchange_for: Callable[..., Token] = exchange,
        exchange_seconds: float = EXCHANGE_SECONDS,
        threads: int = THREADS,
        monotonic: Callable[[], float] = time.monotonic,
        wall_seconds: Callable[[], float] = time.time,
        tally: Tally = uncounted,
    ) -> None:
        """*launch_life* is what the settle time counts on: a token for launches lives no longer."""
        self._accounts = accounts
        self._sight = Sight(accounts, now=self._now, found=self._drop_others, account_age=account_age)
        self._mode = mode
        self._profiles = profiles
        self._own_namespace = own_namespace
        self._launch_life = launch_life
        self._exchange = exchange_for
        self._exchange_seconds = exchange_seconds
        self._clocks = (monotonic, wall_seconds)
        self._tally = tally
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="exchange")
        self._lanes = defaultdict[str, asyncio.Semaphore](lambda: asyncio.Semaphore(max(threads // 4, 1)))
        """By profile: an issuer that hangs takes a quarter of the threads at most."""
        self._keys: dict[ServiceAccount, set[Key]] = {}
        """Which tokens there are of each ServiceAccount."""
        self._kept = Shelf[Key, Kept](dropped=self._forget_key)
        self._troubles = Shelf[Key, Trouble]()
        self._exchanges = Flights[Kept]()
        self._lacks = Shelf[ServiceAccount, UnavailableError]()
        """Whose reads go on with what is left, and why."""

    async def close(self) -> None:
        """End what is under way; a thread that waits for an answer ends by itself, in ten seconds."""
        await self._sight.close()
        await self._exchanges.close()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def name_of(self, account: ServiceAccount | None) -> str:
        """Return namespace and name."""
        return f"{account.namespace}/{account.name}" if account is not None else "nobody"

    async def metadata(self, account: ServiceAccount | None, use: Use) -> Metadata:
        """Return the bearer of the ServiceAccount. UnavailableError with a reason of the identity table: there is none to be had now."""
        if account is None:
            raise UnavailableError(
                Reason.SERVICE_ACCOUNT_NOT_FOUND,
                "the pipeline names no ServiceAccount, and this installation has no default one: set `serviceAccountName`",
            )
        self._refuse_reserved(account)
        try:
            carried = await self._fresh(account, is_for_launches=use is Use.LAUNCH)
        except UnavailableError as error:
            left = self._left(account) if use is Use.WATCH and error.reason in _LEFT_SERVES else None
            if left is None:
                raise
            if error.reason in _GONE:
                self._lacks.put(account, error)
            return left.metadata
        self._lacks.drop(account)
        return carried

    async def persona(self, account: ServiceAccount) -> Persona:
        """Read the ServiceAccount afresh and go through the whole exchange where nothing young is kept; return whom it is to Google.

        Where a launch got no token, one for launches is had first: what reads go on with may be older than a right that was revoked.
        """
        self._refuse_reserved(account)
        found = await self._sight.fresh(account)
        wanted = (await self._mode()).exchange_for(found)
        await self._fresh(account, is_for_launches=False, is_look=True)
        if self._troubles.get(_key(found, wanted, is_for_launches=True)) is not None:
            await self._fresh(account, is_for_launches=True, is_look=True)
        return wanted.persona

    def advice(self, account: ServiceAccount | None, error: OutsideError, project: str, worker: str | None) -> str:
        """Return which binding would help whom the ServiceAccount was to Google when it last called; asks nobody."""
        key = next(iter(self._keys_of(account)), None)
        return advice(key.wanted.persona, error.reason, project, worker) if key is not None else ""

    def lack_of(self, account: ServiceAccount | None) -> UnavailableError | None:
        """Return why the last read went on with a token that was left, where the ServiceAccount, or soon its namespace, is gone."""
        return self._lacks.get(account) if account is not None else None

    def turned_away(self, account: ServiceAccount | None, carried: Metadata) -> None:
        """Let the next call have a fresh token, unless the one that was carried is so young that another would be answered alike."""
        now = self._now()
        for key in self._keys_of(account):
            kept = self._kept.get(key)
            if kept is not None and kept.metadata == carried and now.has_passed(kept.since, GRACE):
                # Renewed, and not lost: while the namespace is being deleted there is no other, and another project may let it in.
                self._kept.put(key, kept.grown_old())

    def _refuse_reserved(self, account: ServiceAccount) -> None:
        if account.namespace.startswith("kube-") or account.namespace == self._own_namespace:
            raise UnavailableError(
                Reason.SERVICE_ACCOUNT_INVALID,
                f"ServiceAccounts of namespace {account.namespace} are the cluster's or the operator's own and serve no pipeline: "
                "move the pipeline to a namespace of its team",
            )

    async def _fresh(self, account: ServiceAccount, *, is_for_launches: bool, is_look: bool = False) -> Metadata:
        """Return the bearer of a token that is young, for the ServiceAccount as it is when the token has come."""
        for _ in range(ROUNDS):
            found = await self._sight.young(account)
            wanted = (await self._mode()).exchange_for(found)
            key = _key(found, wanted, is_for_launches=is_for_launches)
            kept = await self._token(key, found, is_look=is_look)
            if not self._sight.has_changed(found):
                return kept.metadata
        raise UnavailableError(Reason.SERVICE_ACCOUNT_INVALID, f"ServiceAccount {self.name_of(account)} changes all the time")

    async def _drop_others(self, account: Account) -> None:
        """Drop the tokens of an earlier ServiceAccount of that name, or of another annotation, and forget their troubles."""
        try:
            wanted = (await self._mode()).exchange_for(account)
        except UnavailableError:
            wanted = None
        for key in self._keys_of(account.reference):
            if key.uid != account.uid or key.wanted != wanted:
                self._kept.drop(key)
                self._troubles.drop(key)
                self._forget_key(key)

    async def _token(self, key: Key, account: Account, *, is_look: bool) -> Kept:
        """Return a young token of *key*: one that is kept, or the one that all who ask now wait for. A look puts up with a short pause only."""
        now = self._now()
        if (kept := self._kept.get(key)) is not None and kept.is_young(now):
            return kept
        if (trouble := self._troubles.get(key)) is not None and (trouble.speaks_to_a_look(now) if is_look else trouble.speaks(now)):
            raise trouble.said(now)
        return await self._exchanges.join(key, lambda: self._exchanged(key, account))

    async def _exchanged(self, key: Key, account: Account) -> Kept:
        since = self._now()
        try:
            token = await self._made(key, account)
        except UnavailableError as error:
            self._troubles.put(key, trouble_of(error, self._now(), self._troubles.get(key)))
            if error.reason in _ABOUT_ACCOUNT:
                self._sight.doubt(account.reference)
            raise
        kept = kept_of(token, since, LAUNCH_TOKEN_REST if key.is_for_launches else None)
        self._troubles.drop(key)
        if not self._sight.has_changed(account):  # else it has changed meanwhile: whoever waits begins anew
            self._kept.put(key, kept)
            self._keys.setdefault(account.reference, set()).add(key)
        return kept

    async def _made(self, key: Key, account: Account) -> Token:
        """Return a new token: from the API server, Google's STS and, where a Google account is annotated, IAM Credentials."""
        wanted, calls = key.wanted, list[tuple[str, str, str]]()

        def note(service: str, method: str, code: str) -> None:
            """Keep a call of the thread for this one to count."""
            calls.append((service, method, code))

        try:
            async with asyncio.timeout(self._exchange_seconds):
                if wanted.token_audience:
                    source: Source = OwnToken(await self._accounts.request_token(account, wanted.token_audience))
                else:
                    source = self._profiles(wanted)
                async with self._lane(wanted.profile):
                    return await asyncio.get_running_loop().run_in_executor(
                        self._threads,
                        lambda: self._exchange(
                            wanted,
                            source,
                            who=f"{account.namespace}/{account.name}",
                            life=self._launch_life if key.is_for_launches else LIFE,
                            most=self._launch_life if key.is_for_launches else None,
                            tally=note,
                        ),
                    )
        except TimeoutError:
            calls.append(("sts", "ExchangeToken", "TIMED_OUT"))
            said = f"no token for ServiceAccount {account.namespace}/{account.name} within {self._exchange_seconds:g} s"
            raise UnavailableError(Reason.STS_UNAVAILABLE, said) from None
        finally:
            for call in calls:
                self._tally(*call)

    def _lane(self, profile: str) -> AbstractAsyncContextManager[object]:
        return self._lanes[profile] if profile else nullcontext()

    def _left(self, account: ServiceAccount) -> Kept | None:
        """Return what still lives of a ServiceAccount's tokens, the one that lives longest."""
        now = self._now()
        alive = [
            kept
            for key in self._keys_of(account)
            if not key.is_for_launches and (kept := self._kept.get(key)) is not None and kept.is_alive(now)
        ]
        return max(alive, key=lambda kept: kept.since.monotonic + kept.life.total_seconds(), default=None)

    def _keys_of(self, account: ServiceAccount | None) -> tuple[Key, ...]:
        return tuple(self._keys.get(account, ())) if account is not None else ()

    def _forget_key(self, key: Key) -> None:
        account = ServiceAccount(key.namespace, key.name)
        keys = self._keys.get(account, set())
        keys.discard(key)
        if not keys:
            self._keys.pop(account, None)

    def _now(self) -> Now:
        monotonic, wall_seconds = self._clocks
        return Now(monotonic=monotonic(), wall=wall_seconds())
