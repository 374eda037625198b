"""What Dataflow's errors mean, for reads, for effects and for dry runs: three tables, one translation each."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from google.api_core.exceptions import GoogleAPICallError
from grpc import StatusCode

from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.domain.errors import AmbiguousError, OutsideError, Reason, RefusedError, UnavailableError

QUOTA_PAUSE: Final = timedelta(seconds=60)
"""How long to wait after a used-up quota: Dataflow's are counted by the minute."""

CANCEL_PAUSE: Final = timedelta(seconds=5)
"""How long to wait when a job is too young to be cancelled. Source: Terraform's provider asks again every 5 s."""

_LOCAL_LIMIT: Final = "Received message larger than max"
"""gRPC's own receive limit speaks as RESOURCE_EXHAUSTED, and has nothing to do with a quota: the call was answered."""

_NEVER_SENT: Final = ("failed to connect to all addresses", "DNS resolution failed", "Name resolution failure")
"""How gRPC says that there was no connection to send on: nothing can have happened."""

_REASONS: Final = {
    StatusCode.INVALID_ARGUMENT: Reason.INVALID_ARGUMENT,
    StatusCode.NOT_FOUND: Reason.NOT_FOUND,
    StatusCode.ALREADY_EXISTS: Reason.ALREADY_EXISTS,
    StatusCode.PERMISSION_DENIED: Reason.PERMISSION_DENIED,
    StatusCode.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
    StatusCode.FAILED_PRECONDITION: Reason.FAILED_PRECONDITION,
    StatusCode.RESOURCE_EXHAUSTED: Reason.QUOTA_EXCEEDED,
    StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED: Reason.TIMED_OUT,
    StatusCode.CANCELLED: Reason.CONNECTION_LOST,
}
"""The word for each code; any other is Unknown."""

_READ_REFUSED: Final = frozenset(
    {StatusCode.INVALID_ARGUMENT, StatusCode.NOT_FOUND, StatusCode.PERMISSION_DENIED, StatusCode.FAILED_PRECONDITION}
)
"""Codes of a read that a repeat does not change."""

_LAUNCH_REFUSED: Final = frozenset({StatusCode.ALREADY_EXISTS, StatusCode.PERMISSION_DENIED, StatusCode.NOT_FOUND})
"""Codes with which a launch certainly made no job. A 400 is not among them: jobs were seen that answered one."""

_DRY_RUN_REASONS: Final = {
    StatusCode.INVALID_ARGUMENT: Reason.TEMPLATE_INVALID,
    StatusCode.FAILED_PRECONDITION: Reason.TEMPLATE_INVALID,
    StatusCode.NOT_FOUND: Reason.TEMPLATE_NOT_FOUND,
}

_NOT_THE_TEMPLATE: Final = ("act as service account", "actAs", "SERVICE_DISABLED", "has not been used in project", "dataflow.jobs.")
"""How a 403 says that it is about the caller and not about the template's file."""


def code_of(error: GoogleAPICallError) -> StatusCode:
    """Return the gRPC code of an error; one without a code is UNKNOWN."""
    plain: Any = error
    code: Any = plain.grpc_status_code
    return code if isinstance(code, StatusCode) else StatusCode.UNKNOWN


def read_error(error: GoogleAPICallError) -> OutsideError:
    """Return what a failed read is: nothing happened, so all that is not refused can be repeated."""
    code, message = code_of(error), _message_of(error)
    reason = _REASONS.get(code, Reason.UNKNOWN)
    if _LOCAL_LIMIT in message:
        return UnavailableError(Reason.UNKNOWN, message)
    if code in _READ_REFUSED:
        return RefusedError(reason, message)
    return UnavailableError(reason, message, QUOTA_PAUSE if code is StatusCode.RESOURCE_EXHAUSTED else None)


def launch_error(error: GoogleAPICallError, *, is_update: bool) -> OutsideError:
    """Return what a failed launch is: ambiguous, but for what certainly made no job."""
    code, message = code_of(error), _message_of(error)
    reason = _REASONS.get(code, Reason.UNKNOWN)
    if is_update and code is StatusCode.NOT_FOUND:
        # The job to be updated is not RUNNING at this moment; Terraform's provider asks again for five minutes.
        return UnavailableError(reason, message)
    if code in _LAUNCH_REFUSED:
        return RefusedError(reason, message)
    return _unsent(code, reason, message) or AmbiguousError(reason, message)


def stop_error(error: GoogleAPICallError) -> OutsideError | None:
    """Return what a failed stop is; None: the job is over, which is what was wanted."""
    code, message = code_of(error), _message_of(error)
    reason = _REASONS.get(code, Reason.UNKNOWN)
    if "has terminated" in message:
        return None
    if "not yet ready for canceling" in message or "not yet ready for draining" in message:
        return UnavailableError(Reason.NOT_READY_FOR_CANCELING, message, CANCEL_PAUSE)
    if code in _READ_REFUSED:
        return RefusedError(reason, message)
    return _unsent(code, reason, message) or AmbiguousError(reason, message)


def dry_run_error(error: GoogleAPICallError) -> OutsideError | None:
    """Return what a failed dry run says of the template; None: the name is in use, so template and parameters were found good."""
    code, message = code_of(error), _message_of(error)
    if code is StatusCode.ALREADY_EXISTS:
        return None
    if code is StatusCode.PERMISSION_DENIED:
        about_caller = any(sign in message for sign in _NOT_THE_TEMPLATE)
        return RefusedError(Reason.PERMISSION_DENIED if about_caller else Reason.TEMPLATE_UNREADABLE, message)
    if (reason := _DRY_RUN_REASONS.get(code)) is not None:
        unsaid = (violation for violation in _violations_of(error) if violation not in message)
        return RefusedError(reason, "; ".join([message, *unsaid]))
    return read_error(error)


def _unsent(code: StatusCode, reason: Reason, message: str) -> OutsideError | None:
    """Return the error of an effect that certainly did not happen but may be tried again, if this is one."""
    if code is StatusCode.UNAUTHENTICATED:
        return UnavailableError(reason, message)
    if code is StatusCode.RESOURCE_EXHAUSTED and _LOCAL_LIMIT not in message:
        return UnavailableError(reason, message, QUOTA_PAUSE)
    if code is StatusCode.UNAVAILABLE and any(sign in message for sign in _NEVER_SENT):
        return UnavailableError(Reason.CONNECTION_LOST, message)
    return None


def _message_of(error: GoogleAPICallError) -> str:
    plain: Any = error
    return str(plain.message or error)


def _violations_of(error: GoogleAPICallError) -> Iterator[str]:
    """Return which parameters are wrong and why, from the error's details."""
    plain: Any = error
    for detail in plain.details or ():
        if not str(getattr(detail, "type_url", "")).endswith("InvalidTemplateParameters"):
            continue
        parsed: Any = messages.InvalidTemplateParameters.pb().FromString(detail.value)
        yield from (f"{one.parameter}: {one.description}" for one in parsed.parameter_violations)
