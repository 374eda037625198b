"""REST of the Security Token Service and of IAM Credentials, on the port of Dataflow's: with faults, and with every call in the journal."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Final, cast

from aiohttp import web

from dataflow_emulator.faults import Fault, Faults, Spoil, When
from dataflow_emulator.identity.assertions import OAuthError
from dataflow_emulator.identity.desk import Desk, Issue
from dataflow_emulator.identity.guard import Guard
from dataflow_emulator.journal import Call, Journal, stamp
from dataflow_emulator.refusals import Code, RefusedError, invalid
from dataflow_emulator.rest_front import RestFront, error_response

EXCHANGE: Final = "ExchangeToken"
"""What an exchange is called in the journal and in faults."""

IMPERSONATE: Final = "GenerateAccessToken"

GARBAGE: Final = b"<html><body>This is no answer.</body></html>"

HUGE_BYTES: Final = 1024 * 1024
"""Size of an answer that is far too large."""

LONGER: Final = timedelta(hours=12)
"""Life of a token that lives longer than it was asked for: as long as an organization policy can allow."""

_EXPIRIES: Final = frozenset({"expires_in", "expireTime"})
"""How the two services say when a token dies."""


@dataclass(slots=True)
class _Entry:
    """A call, as the journal is going to know it."""

    method: str
    project: str
    fields: Mapping[str, object]
    who: str = ""
    code: str = "OK"
    applied: bool = False


class IdentityFront:
    """Handlers over one desk."""

    def __init__(self, desk: Desk, guard: Guard, faults: Faults, journal: Journal, clock: Callable[[], datetime]) -> None:
        self._desk, self._guard, self._faults, self._journal, self._clock = desk, guard, faults, journal, clock

    def serve_on(self, front: RestFront) -> None:
        """Add the paths to a front."""
        front.add("POST", "/v1/token", self.exchange)
        front.add("POST", "/v1/introspect", self.introspect)
        front.add("POST", "/v1/projects/-/serviceAccounts/{email:[^/:]+}:generateAccessToken", self.impersonate)

    async def exchange(self, request: web.Request) -> web.Response:
        """Give an access token for a subject token."""
        form = await _form(request)
        audience = form.get("audience", "")
        entry = _Entry(method=EXCHANGE, project=_project_of(audience), fields={"audience": audience, "scope": form.get("scope", "")})

        def issue() -> Issue:
            issue = self._desk.exchange(form)
            entry.who = issue.token.principal.name
            return issue

        return await self._answer(entry, issue)

    async def introspect(self, request: web.Request) -> web.Response:
        """Tell what a token stands for."""
        return web.json_response(self._desk.introspect((await _form(request)).get("token", "")))

    async def impersonate(self, request: web.Request) -> web.Response:
        """Give an access token of a service account."""
        body, email = _object(await request.read()), request.match_info["email"]
        caller = self._guard.token_of(request.headers.get("Authorization", ""))
        entry = _Entry(
            method=IMPERSONATE,
            project=email.partition("@")[2].partition(".")[0],
            fields={"account": email, "scope": body.get("scope"), "lifetime": body.get("lifetime")},
            who=caller.principal.name if caller else "",
        )
        return await self._answer(entry, lambda: self._desk.impersonate(caller, email, body))

    async def _answer(self, entry: _Entry, issue: Callable[[], Issue]) -> web.Response:
        """Answer, or fail as a fault says; either way it is in the journal before the caller hears of it.

        The answer's `Date` is by the clock of the services, as the life of a token is.
        """
        answer = await self._answered(entry, issue)
        answer.headers["Date"] = format_datetime(self._guard.now(), usegmt=True)
        return answer

    async def _answered(self, entry: _Entry, issue: Callable[[], Issue]) -> web.Response:
        try:
            return await self._struck(entry, issue)
        except OAuthError as refusal:
            entry.code = refusal.error
            return _oauth(refusal)
        except RefusedError as refusal:
            entry.code = refusal.code
            if entry.method == EXCHANGE and refusal.code is Code.RESOURCE_EXHAUSTED:
                return _oauth(OAuthError("quota_exceeded", _THROTTLED), refusal)
            return error_response(refusal)
        except asyncio.CancelledError:
            entry.code = Code.CANCELLED
            raise
        finally:
            self._journal.add(_call(entry, self._clock()))

    async def _struck(self, entry: _Entry, issue: Callable[[], Issue]) -> web.Response:
        # Who calls is known only by what is asked for; after a fault's wait it is looked at again.
        found = _found(issue)
        fault = self._faults.strike(entry.method, entry.who)
        if fault is not None:
            await asyncio.sleep(fault.latency_seconds)
            _fail(fault, When.BEFORE)
            found = _found(issue)
        if not isinstance(found, Issue):
            raise found
        body = found.answer(self._guard.tokens.issue(found.token, self._guard.now()))
        entry.applied = True
        if fault is None:
            return web.json_response(body)
        _fail(fault, When.AFTER)
        return _spoilt(body, fault.spoil, self._guard.now() + LONGER)


_THROTTLED: Final = "The request was throttled due to rate limit: sts.googleapis.com/requests. Please retry after a few seconds."
"""Source: IAM's troubleshooting page on workload identity federation."""


def _found(issue: Callable[[], Issue]) -> Issue | OAuthError | RefusedError:
    try:
        return issue()
    except (OAuthError, RefusedError) as refusal:
        return refusal


def _fail(fault: Fault, when: When) -> None:
    if fault.code is not None and fault.when is when:
        after = None if fault.retry_after_seconds is None else timedelta(seconds=fault.retry_after_seconds)
        raise RefusedError(fault.code, fault.message, retry_after=after)


def _spoilt(body: dict[str, object], spoil: Spoil | None, late: datetime) -> web.Response:
    """Return an answer that went wrong on its way."""
    match spoil:
        case None:
            return web.json_response(body)
        case Spoil.GARBAGE:
            return web.Response(body=GARBAGE, content_type="application/json")
        case Spoil.HUGE:
            return web.json_response({**body, "padding": "x" * HUGE_BYTES})
        case Spoil.EXPIRY_AS_TEXT:
            return web.json_response({key: f"{value} or so" if key in _EXPIRIES else value for key, value in body.items()})
        case Spoil.EXPIRY_QUOTED:
            return web.json_response({key: _quoted(value) if key in _EXPIRIES else value for key, value in body.items()})
        case Spoil.EXPIRY_ABSENT:
            return web.json_response({key: value for key, value in body.items() if key not in _EXPIRIES})
        case Spoil.LIVES_LONGER:
            changed = {"expires_in": int(LONGER.total_seconds()), "expireTime": f"{late:%Y-%m-%dT%H:%M:%SZ}"}
            return web.json_response({key: changed.get(key, value) for key, value in body.items()})


def _quoted(expiry: object) -> str:
    return f"{expiry.removesuffix('Z')}.250Z" if isinstance(expiry, str) else str(expiry)


def _oauth(refusal: OAuthError, because: RefusedError | None = None) -> web.Response:
    """Return a refusal as the token service writes it."""
    headers: dict[str, str] = {}
    if because is not None and because.retry_after is not None:
        headers["Retry-After"] = f"{because.retry_after.total_seconds():.0f}"
    body = {"error": refusal.error, "error_description": refusal.description}
    return web.json_response(body, status=because.code.http if because else 400, headers=headers)


def _call(entry: _Entry, now: datetime) -> Call:
    return Call(
        time=stamp(now),
        front="rest",
        method=entry.method,
        project=entry.project,
        region="global",
        code=entry.code,
        fields=entry.fields,
        applied=entry.applied,
        who=entry.who,
    )


async def _form(request: web.Request) -> Mapping[str, str]:
    return {key: value for key, value in (await request.post()).items() if isinstance(value, str)}


def _project_of(audience: str) -> str:
    """Return the project of a pool: its number, or for a cluster's pool its name."""
    if audience.startswith("identitynamespace:"):
        return audience.removeprefix("identitynamespace:").partition(".svc.id.goog")[0]
    return audience.partition("/projects/")[2].partition("/")[0]


def _object(body: bytes) -> Mapping[str, object]:
    try:
        value: object = json.loads(body or b"{}")
    except ValueError as error:
        raise invalid(f"Invalid JSON payload received. {error}") from error
    if not isinstance(value, dict):
        raise invalid("Invalid JSON payload received. An object is expected.")
    return cast("dict[str, object]", value)
