"""One exchange, from a subject token to a Google token. It blocks: the broker calls it in a thread, the plugin as it is.

google-auth does nothing but ``refresh()``: ``before_request`` would start a call of its own to a fixed host with the live token.
What went wrong is told by the last answer rather than by its exceptions: an OAuthError is no RefreshError, an absent `expires_in` is a
TypeError, and both carry the raw body.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final, Protocol

from google.auth import identity_pool
from google.auth.exceptions import RefreshError
from typing_extensions import override

from dataflow_operator.adapters.identity.answers import EXCHANGES, Code, Loss, Step
from dataflow_operator.adapters.identity.hints import hint
from dataflow_operator.adapters.identity.modes import Exchange, ModeError
from dataflow_operator.adapters.identity.redaction import redacted
from dataflow_operator.adapters.identity.transport import Answered, Transport, quieten
from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects, text
from dataflow_operator.adapters.tally import Tally, uncounted
from dataflow_operator.domain.errors import UnavailableError
from dataflow_operator.domain.identity import LAUNCH_TOKEN_SLACK

JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
"""What a Kubernetes token is. Source: RFC 8693."""

LIFE: Final = timedelta(hours=1)
"""The life that is asked for where nothing needs a shorter one: the longest that every organisation allows. Source: IAM Credentials API."""

TOKEN_BYTES: Final = 16 * 1024
"""Longest token that is taken: Google's have at most 12 KiB, and it is sent with every call. Source: Google's STS reference."""

LONGEST_WISH: Final = timedelta(minutes=5)
"""The longest pause that an answer can ask for. Source: chosen, as for Dataflow."""

_METHODS: Final = {
    Step.SUBJECT: ("issuer", "GetSubjectToken"),
    Step.STS: ("sts", "ExchangeToken"),
    Step.IMPERSONATION: ("iamcredentials", "GenerateAccessToken"),
}
"""As what the calls of each step are counted: service and method."""

_ERROR_WORD: Final = re.compile(r"[A-Za-z_]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A Google token."""

    bearer: str = field(repr=False)
    life: timedelta
    """How long it lives, counted from when the exchange began."""


class Source(Protocol):
    """Where a subject token comes from."""

    @property
    def origins(self) -> frozenset[str]:
        """What may be spoken to besides Google."""
        ...

    def credentials(self, wanted: Exchange, life: timedelta) -> Any:
        """Return google-auth's credentials that have not been refreshed yet."""
        ...


class OwnToken:
    """The Kubernetes token of a ServiceAccount, good for one exchange."""

    def __init__(self, subject_token: str) -> None:
        self._supplier = _Once(subject_token)

    @property
    def origins(self) -> frozenset[str]:
        """Nobody."""
        return frozenset()

    def credentials(self, wanted: Exchange, life: timedelta) -> Any:
        """Return credentials of the identity pool."""
        return pool_credentials(wanted, self._supplier, life)


class _Once(identity_pool.SubjectTokenSupplier):
    """Gives a token out once: a library that asks again would herd."""

    def __init__(self, subject_token: str) -> None:
        self._left: str | None = subject_token

    @override
    def get_subject_token(self, context: Any, request: Any) -> str:
        """Return the token."""
        token, self._left = self._left, None
        if token is None:
            used: Any = RefreshError
            raise used("the subject token was used already")
        return token


def pool_credentials(wanted: Exchange, supplier: Any, life: timedelta) -> Any:
    """Return google-auth's credentials for an exchange whose subject token *supplier* gives."""
    make: Any = identity_pool.Credentials
    impersonation = (
        {
            "service_account_impersonation_url": wanted.endpoints.impersonation_url(wanted.google_account),
            "service_account_impersonation_options": {"token_lifetime_seconds": int(life.total_seconds())},
        }
        if wanted.google_account
        else {}
    )
    return make(
        audience=wanted.sts_audience,
        subject_token_type=JWT,
        token_url=wanted.endpoints.token_url,
        subject_token_supplier=supplier,
        scopes=[wanted.scope],
        **impersonation,
    )


def exchange(
    wanted: Exchange,
    source: Source,
    *,
    who: str,
    life: timedelta = LIFE,
    most: timedelta | None = None,
    tally: Tally = uncounted,
    transport_for: Callable[[frozenset[str]], Transport] = Transport,
) -> Token:
    """Return a token for *who*, a name for messages. *life* is asked for where the exchange can ask; more than *most* is refused.

    UnavailableError with a reason of the table ``answers.EXCHANGES``; its message says who, as whom, and what to run.
    """
    quieten()
    transport = transport_for(wanted.endpoints.origins | source.origins)
    began = datetime.now(UTC)
    token, detail = _refreshed(wanted, source, life, transport, began)
    for answer in transport.answers:
        code = answer.code.name if isinstance(answer.code, Loss) else str(int(answer.code))
        tally(*_METHODS[_step_of(answer, wanted)], code)
    if token is None:
        raise _error(wanted, who, transport.answers[-1] if transport.answers else None, detail)
    if most is not None and token.life > most + LAUNCH_TOKEN_SLACK:
        last = transport.answers[-1]
        lives = f"{token.life.total_seconds():.0f} s, and {most.total_seconds():.0f} s at most are good for a launch"
        raise _error(wanted, who, Answered(url=last.url, code=Loss.LIVES_TOO_LONG, detail=lives), "")
    return token


def _refreshed(wanted: Exchange, source: Source, life: timedelta, transport: Transport, began: datetime) -> tuple[Token | None, str]:
    """Return the token, or none and what the library says. No exception leaves it, nor hangs on to what is raised later: bodies are in them."""
    try:
        credentials = source.credentials(wanted, life)
        credentials.refresh(transport)
        return _token_of(credentials, transport.answers[-1], wanted, began), ""
    except ModeError as error:
        return None, str(error)
    except OSError as error:
        return None, f"{error.strerror or type(error).__name__}: {error.filename or ''}"
    except RefreshError as error:
        return None, str(error.args[0]) if error.args else ""
    except Exception as error:  # noqa: BLE001 # whatever a library makes of an odd answer; the answer itself is judged
        return None, type(error).__name__


def _token_of(credentials: Any, last: Answered, wanted: Exchange, began: datetime) -> Token | None:
    bearer, expiry = credentials.token, credentials.expiry
    if not isinstance(bearer, str) or not isinstance(expiry, datetime):
        return None
    if not 0 < len(bearer) <= TOKEN_BYTES or not bearer.isascii() or not bearer.isprintable() or " " in bearer:
        return None  # it would become a header, and a broken one would be quoted in an error
    # An `expireTime` is by the service's clock, and so is `Date`; `expires_in` was added to our own.
    since = (_date_of(last) or began) if _step_of(last, wanted) is Step.IMPERSONATION else began
    life = expiry.replace(tzinfo=UTC) - since
    return Token(bearer=bearer, life=life) if life > timedelta(0) else None


def _date_of(answer: Answered) -> datetime | None:
    try:
        return parsedate_to_datetime(answer.headers.get("Date", "")).astimezone(UTC)
    except ValueError:
        return None


def _step_of(answer: Answered, wanted: Exchange) -> Step:
    if answer.url == wanted.endpoints.token_url:
        return Step.STS
    return Step.IMPERSONATION if answer.url.endswith(":generateAccessToken") else Step.SUBJECT


def _error(wanted: Exchange, who: str, answer: Answered | None, detail: str) -> UnavailableError:
    """Return the error that an answer is by the first row that fits; None: nothing was asked."""
    step = _step_of(answer, wanted) if answer is not None else Step.SUBJECT
    code = _code_of(answer) if answer is not None else Loss.UNREADABLE
    says, said = said_in(answer) if answer is not None else ("", redacted(detail))
    row = next(row for row in EXCHANGES if row.fits(step, code, says, said))
    status = code.value if isinstance(code, Loss) else f"HTTP {int(code)}"
    told = ": ".join(part for part in (f"{step}: {status}", says, said) if part)
    as_whom = f"{wanted.principal} as {wanted.google_account}" if wanted.google_account else wanted.principal
    mend = hint(row.advice, wanted)
    message = f"{told.removesuffix('.')}. ServiceAccount {who} is {as_whom}" + (f". To mend it: {mend}" if mend else "")
    return UnavailableError(row.reason, message, _wish_of(answer) or row.after)


def _code_of(answer: Answered) -> Code:
    """Return the status; one that tells of success, when there is no token all the same, is that loss."""
    if not isinstance(answer.code, Loss) and HTTPStatus.OK <= answer.code < HTTPStatus.MULTIPLE_CHOICES:
        return Loss.NO_TOKEN
    return answer.code


def said_in(answer: Answered) -> tuple[str, str]:
    """Return the error's word and Google's own text, without secrets; of a body that is not as Google's are, nothing is quoted."""
    if isinstance(answer.code, Loss):
        return "", redacted(answer.detail)
    if answer.code < HTTPStatus.BAD_REQUEST:
        return "", ""
    try:
        raw: Json = mapping(json.loads(answer.body))
    except ValueError:
        return "", ""
    if error := mapping(raw.get("error")):  # as all of Google's APIs say it
        reasons = [reason for detail in objects(error.get("details")) if (reason := text(detail.get("reason")))]
        return _word(error.get("status")), redacted(" ".join([text(error.get("message")) or "", *reasons]))
    return _word(raw.get("error")), redacted(text(raw.get("error_description")) or "")  # as OAuth says it


def _word(value: object) -> str:
    return value if isinstance(value, str) and _ERROR_WORD.fullmatch(value) else ""


def _wish_of(answer: Answered | None) -> timedelta | None:
    """Return when the service wants to be asked again."""
    wish = answer.headers.get("Retry-After", "") if answer is not None else ""
    return min(timedelta(seconds=int(wish[:9])), LONGEST_WISH) if wish.isdecimal() else None
