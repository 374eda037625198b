"""What the answers of an exchange mean: one table, from the step, the status and the text to the reason that a person sees.

Whatever it is, nothing happened outside and a repeat later can help, because somebody's binding can heal it: all are unavailable.
The first row that fits decides, and the last fits everything. `docs/errors.md` is made of these rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Final, TypeAlias

from dataflow_operator.domain.errors import Reason

THROTTLE_PAUSE: Final = timedelta(seconds=30)
"""How long to wait after a 429 that does not say: Google's quotas for tokens are counted by the minute. Source: chosen, half of that."""


class Step(StrEnum):
    """The parts of an exchange."""

    SUBJECT = "subject token"
    """What a profile's own issuer or machine gives, to be exchanged."""
    STS = "STS"
    """`POST v1/token` of Google's Security Token Service."""
    IMPERSONATION = "impersonation"
    """`generateAccessToken` of IAM Credentials."""


class Loss(StrEnum):
    """What came instead of an answer that can be used."""

    NOT_ALLOWED = "host not allowed"
    """The address is none that may be spoken to: nothing was sent."""
    NOT_SENT = "no connection"
    NO_ANSWER = "no answer in time"
    BROKEN_OFF = "connection lost"
    TOO_LARGE = "too large"
    """More than is read of an answer."""
    NO_TOKEN = "2xx without a token"  # noqa: S105 # a name, not a token
    """No JSON, no token in it, or no time of its end that can be read."""
    LIVES_TOO_LONG = "token lives too long"
    """A token for launches that lives longer than was asked for: the settle time counts on its end."""
    UNREADABLE = "unreadable"
    """A file or a setting of the profile cannot be used now."""


Code: TypeAlias = int | Loss
"""An HTTP status, or what came instead of one."""


class Advice(StrEnum):
    """What a person can do, to be filled with names by ``hints``."""

    NONE = "wait"
    AUDIENCE = "let the provider accept the audience"
    SUBJECT = "map a shorter subject"
    CONDITION = "look at the provider's attribute condition"
    TRUST = "look at the provider's issuer and keys"
    IMPERSONATE = "let the principal impersonate the account"
    ENABLE = "enable the API"
    PROFILE = "look at the profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of the table."""

    step: Step | None = None
    """None: any step."""
    codes: tuple[Code, ...] = ()
    """Any of these; none: any code."""
    says: tuple[str, ...] = ()
    """The OAuth error, or Google's status word, is one of these; none: any."""
    words: tuple[str, ...] = ()
    """The text holds one of these, in large or small letters; none: any text."""
    reason: Reason
    advice: Advice = Advice.NONE
    after: timedelta | None = None
    """When to try again where the answer does not say; None: as the one who asks backs off."""
    why: str
    source: str

    def fits(self, step: Step, code: Code, says: str, text: str) -> bool:
        """Whether an answer is one of this row's."""
        return (
            self.step in {None, step}
            and (not self.codes or code in self.codes)
            and (not self.says or says in self.says)
            and (not self.words or any(word.lower() in text.lower() for word in self.words))
        )


_STS: Final = "Google's Security Token Service API, v1.token"
_IAM: Final = "IAM Credentials API, generateAccessToken"
_DISABLED: Final = ("SERVICE_DISABLED", "has not been used in project", "it is disabled")
_BUSY: Final = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
_LOST: Final = (Loss.NOT_SENT, Loss.NO_ANSWER, Loss.BROKEN_OFF)

EXCHANGES: Final = (
    Row(
        codes=(HTTPStatus.TOO_MANY_REQUESTS,),
        reason=Reason.STS_THROTTLED,
        after=THROTTLE_PAUSE,
        why="A quota of tokens is used up, for all of the project; those that are kept go on.",
        source="google.rpc.Code",
    ),
    Row(
        step=Step.STS,
        codes=(HTTPStatus.BAD_REQUEST,),
        words=("127 bytes", "mapped attribute google.subject exceeds"),
        reason=Reason.SUBJECT_TOO_LONG,
        advice=Advice.SUBJECT,
        why="What the provider maps to google.subject is longer than Google takes.",
        source="google-github-actions/auth#423, kubernetes/k8s.io#4951",
    ),
    Row(
        step=Step.STS,
        codes=(HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND),
        says=("invalid_target",),
        reason=Reason.AUDIENCE_REJECTED,
        advice=Advice.AUDIENCE,
        why="The audience names no pool or provider that is there and enabled: a wrong name, another location of the cluster, or one disabled.",
        source=f"{_STS}; external-secrets/external-secrets#3408",
    ),
    Row(
        step=Step.STS,
        codes=(HTTPStatus.BAD_REQUEST,),
        says=("unauthorized_client",),
        reason=Reason.PERMISSION_DENIED,
        advice=Advice.CONDITION,
        why="The provider's attribute condition does not hold for this ServiceAccount.",
        source=_STS,
    ),
    Row(
        step=Step.STS,
        codes=(HTTPStatus.BAD_REQUEST,),
        words=("audience",),
        reason=Reason.AUDIENCE_REJECTED,
        advice=Advice.AUDIENCE,
        why="The token is not for this provider: its audience is none of those that the provider allows.",
        source=f"{_STS}; external-secrets/external-secrets#5388",
    ),
    Row(
        step=Step.STS,
        codes=(HTTPStatus.FORBIDDEN,),
        words=_DISABLED,
        reason=Reason.API_DISABLED,
        advice=Advice.ENABLE,
        why="The Security Token Service API is switched off in the pool's project.",
        source="google.rpc.ErrorInfo, SERVICE_DISABLED",
    ),
    Row(
        step=Step.STS,
        codes=(HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED),
        reason=Reason.UNAUTHENTICATED,
        advice=Advice.TRUST,
        why="The provider does not trust the token: another issuer, a key that it does not know yet (after a rotation), or clocks that differ.",
        source=f"{_STS}, invalid_grant and invalid_request",
    ),
    Row(
        step=Step.STS,
        codes=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        reason=Reason.PERMISSION_DENIED,
        advice=Advice.CONDITION,
        why="An organisation's policy or a perimeter (VPC Service Controls) forbids the exchange.",
        source="google.rpc.Code",
    ),
    Row(
        step=Step.IMPERSONATION,
        codes=(HTTPStatus.FORBIDDEN,),
        words=_DISABLED,
        reason=Reason.API_DISABLED,
        advice=Advice.ENABLE,
        why="The IAM Service Account Credentials API is switched off in the account's project.",
        source="google.rpc.ErrorInfo, SERVICE_DISABLED",
    ),
    Row(
        step=Step.IMPERSONATION,
        codes=(HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        reason=Reason.IMPERSONATION_DENIED,
        advice=Advice.IMPERSONATE,
        why="The principal may not act as the Google account, or there is no such account: Google does not say which.",
        source=f"{_IAM}; external-secrets/external-secrets#2255",
    ),
    Row(
        step=Step.IMPERSONATION,
        codes=(HTTPStatus.UNAUTHORIZED,),
        reason=Reason.FEDERATION_UNSUPPORTED,
        why="The federated token, just issued, was not accepted: it was revoked, or a service in between does not know such tokens.",
        source="cloud.google.com/iam/docs/troubleshooting-workload-identity-federation",
    ),
    Row(
        step=Step.IMPERSONATION,
        codes=(HTTPStatus.BAD_REQUEST,),
        reason=Reason.SERVICE_ACCOUNT_INVALID,
        advice=Advice.IMPERSONATE,
        why="The account, or the life that was asked for, is none that Google takes.",
        source=_IAM,
    ),
    Row(
        step=Step.SUBJECT,
        codes=(HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND),
        reason=Reason.UNAUTHENTICATED,
        advice=Advice.PROFILE,
        why="The profile's own issuer refuses its client: a secret that was changed, a scope that is not allowed, an address that is not its.",
        source="RFC 6749, 5.2",
    ),
    Row(
        step=Step.SUBJECT,
        codes=(Loss.UNREADABLE, Loss.NO_TOKEN, Loss.NOT_ALLOWED),
        reason=Reason.UNAUTHENTICATED,
        advice=Advice.PROFILE,
        why="No subject token is to be had from where the profile says.",
        source="chosen",
    ),
    Row(
        codes=(Loss.LIVES_TOO_LONG,),
        reason=Reason.STS_UNAVAILABLE,
        why="A token for a launch that outlives the settle time would let a launch come late, and twice: it is not used.",
        source="chosen; the settle time is checked against its life at start",
    ),
    Row(
        codes=_LOST,
        reason=Reason.STS_UNAVAILABLE,
        why="No answer, or none in time. An exchange changes nothing, so it can be repeated.",
        source="measured with requests against a closed port, a silent server and one that hangs up",
    ),
    Row(
        codes=_BUSY,
        reason=Reason.STS_UNAVAILABLE,
        why="The service is in trouble. An exchange changes nothing, so it can be repeated.",
        source="google.rpc.Code",
    ),
    Row(
        reason=Reason.STS_UNAVAILABLE,
        why="Anything else, such as a page of a proxy, a redirection, or an answer that is too large: the services do not speak so.",
        source="chosen",
    ),
)
"""An exchange, whichever step of it failed."""
