"""ServiceAccounts as they were read last: once for all that wait, and no oftener than need be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from dataflow_operator.adapters.identity.account import Account
from dataflow_operator.adapters.identity.flights import Flights
from dataflow_operator.adapters.identity.kept import Now, Shelf, Trouble, trouble_of
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.identity import ServiceAccount

ACCOUNT_AGE: Final = timedelta(seconds=60)
"""How old a read of a ServiceAccount may be: a changed annotation, or a deletion, is noticed so late at most. Source: chosen."""

ABSENCE_AGE: Final = timedelta(seconds=5)
"""How long an absent ServiceAccount is not looked for again: it may be made at any moment. Source: chosen."""


class Reader(Protocol):
    """Reads ServiceAccounts and has tokens made of them. Fulfilled by ``adapters.kubernetes.accounts``."""

    async def read(self, account: ServiceAccount) -> Account | None:
        """Read afresh; None: there is none."""
        ...

    async def request_token(self, account: Account, audience: str) -> str:
        """Return a token for *audience* alone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A ServiceAccount as it was read; None: it was not there."""

    account: Account | None
    since: Now


class Sight:
    """What is known of ServiceAccounts."""

    def __init__(
        self, reader: Reader, *, now: Callable[[], Now], found: Callable[[Account], Awaitable[None]], account_age: timedelta = ACCOUNT_AGE
    ) -> None:
        """*found* is told of each ServiceAccount that was read."""
        self._reader = reader
        self._now = now
        self._found = found
        self._account_age = account_age
        self._seen = Shelf[ServiceAccount, _Seen]()
        self._troubles = Shelf[ServiceAccount, Trouble]()
        """Of those that could not be read."""
        self._flights = Flights[Account | None]()

    async def close(self) -> None:
        """End what is under way."""
        await self._flights.close()

    def has_changed(self, account: Account) -> bool:
        """Whether another read has shown something else meanwhile."""
        seen = self._seen.get(account.reference)
        return seen is not None and seen.account != account

    def doubt(self, account: ServiceAccount) -> None:
        """Read it anew for the next one who asks."""
        self._seen.drop(account)

    async def young(self, account: ServiceAccount) -> Account:
        """Return the ServiceAccount by a read that is young enough. UnavailableError: it is not there, or is not to stay."""
        seen, now = self._seen.get(account), self._now()
        if seen is not None and not now.has_passed(seen.since, self._account_age if seen.account else ABSENCE_AGE):
            return _there(seen.account, account)
        if (trouble := self._troubles.get(account)) is not None and trouble.speaks(now):
            raise trouble.said(now)
        return await self.fresh(account)

    async def fresh(self, account: ServiceAccount) -> Account:
        """Read the ServiceAccount, once for all that wait. UnavailableError: it is not there, or is not to stay."""
        return _there(await self._flights.join(account, lambda: self._read(account)), account)

    async def _read(self, account: ServiceAccount) -> Account | None:
        since = self._now()
        try:
            found = await self._reader.read(account)
        except UnavailableError as error:
            self._troubles.put(account, trouble_of(error, self._now(), self._troubles.get(account)))
            raise
        self._troubles.drop(account)
        self._seen.put(account, _Seen(account=found, since=since))
        if found is not None:
            await self._found(found)
        return found


def _there(found: Account | None, account: ServiceAccount) -> Account:
    """Return a ServiceAccount that is there to stay. UnavailableError: it is not."""
    name = f"{account.namespace}/{account.name}"
    if found is None:
        raise UnavailableError(
            Reason.SERVICE_ACCOUNT_NOT_FOUND,
            f"there is no ServiceAccount {name}: create it, or name another as `serviceAccountName`, always one of the pipeline's own namespace",
        )
    if found.is_deleting:
        raise UnavailableError(Reason.SERVICE_ACCOUNT_NOT_FOUND, f"ServiceAccount {name} is being deleted")
    return found
