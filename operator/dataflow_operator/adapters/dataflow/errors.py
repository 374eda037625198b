"""What Dataflow's errors mean: the one place that looks up the tables of ``answers``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from google.api_core.exceptions import GoogleAPICallError
from google.rpc.error_details_pb2 import (  # type: ignore[import-untyped]  # generated code without stubs
    RetryInfo,  # pyright: ignore[reportMissingTypeStubs]  # generated code without stubs
)
from grpc import StatusCode

from dataflow_operator.adapters.dataflow.answers import DRY_RUNS, INPLACE, LAUNCHES, LISTS, LOOKS, REASONS, STOPS, UPDATES, Meaning, Row
from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.domain.errors import IDENTITY, AmbiguousError, OutsideError, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.tokens import without_tokens

LONGEST_WISH: Final = timedelta(minutes=5)
"""The longest pause that an answer can ask for: a service that asks for hours may be well again in minutes. Source: chosen."""

_CREDENTIALS: Final = IDENTITY | {Reason.UNAUTHENTICATED, Reason.TIMED_OUT}
"""Reasons for which a credential could not be had."""

_RETRY_KEYS: Final = {"retry-after": 1.0, "grpc-retry-pushback-ms": 0.001}
"""Metadata that says when to come again, and what one of its units is in seconds. Source: RFC 9110; gRPC's retry design (A6)."""


@dataclass(frozen=True, slots=True)
class Judged:
    """An error of a call, with what the tables say of it."""

    row: Row
    error: OutsideError | None
    """None: what was wanted holds already, or there is nothing to be found."""


def code_of(error: GoogleAPICallError) -> StatusCode:
    """Return the gRPC code of an error; one without a code is UNKNOWN."""
    plain: Any = error
    code: Any = plain.grpc_status_code
    return code if isinstance(code, StatusCode) else StatusCode.UNKNOWN


def judged(error: GoogleAPICallError, table: Sequence[Row]) -> Judged:
    """Return what *error* means by the first row of *table* that fits."""
    code, message = code_of(error), _message_of(error)
    row = next(row for row in table if row.fits(code, message))
    reason = row.reason or REASONS.get(code, Reason.UNKNOWN)
    match row.meaning:
        case Meaning.NOTHING:
            return Judged(row, None)
        case Meaning.REFUSED:
            unsaid = (violation for violation in _violations_of(error) if violation not in message)
            return Judged(row, RefusedError(reason, "; ".join([message, *unsaid])))
        case Meaning.UNAVAILABLE:
            return Judged(row, UnavailableError(reason, message, wish_of(error) or row.after))
        case Meaning.AMBIGUOUS:
            return Judged(row, AmbiguousError(reason, message))


def read_error(error: GoogleAPICallError) -> OutsideError:
    """Return what a failed list is."""
    return _certain(judged(error, LISTS), error)


def look_error(error: GoogleAPICallError) -> OutsideError | None:
    """Return what a failed read of one job is; None: the service does not know the job."""
    return judged(error, LOOKS).error


def launch_error(error: GoogleAPICallError, *, is_update: bool) -> OutsideError:
    """Return what a failed launch is: ambiguous, but for what certainly made no job."""
    return _certain(judged(error, UPDATES if is_update else LAUNCHES), error)


def stop_error(error: GoogleAPICallError) -> OutsideError | None:
    """Return what a failed stop is; None: the job is over, which is what was wanted."""
    return judged(error, STOPS).error


def inplace_error(error: GoogleAPICallError) -> OutsideError:
    """Return what a failed change of a running job's options is."""
    return _certain(judged(error, INPLACE), error)


def dry_run_error(error: GoogleAPICallError) -> OutsideError | None:
    """Return what a failed dry run says of the template; None: the name is in use, so template and parameters were found good."""
    return judged(error, DRY_RUNS).error


def blame_of(error: Exception, table: Sequence[Row]) -> OutsideError | None:
    """Return *error* where it speaks of the identity that called: by the table, or because its credential could not be had."""
    if isinstance(error, GoogleAPICallError):
        said = judged(error, table)
        return said.error if said.row.blames_caller else None
    return error if isinstance(error, UnavailableError) and error.reason in _CREDENTIALS else None


def wish_of(error: GoogleAPICallError) -> timedelta | None:
    """Return when the service wants to be asked again, bounded: from a RetryInfo, or from what stands in the trailing metadata."""
    plain: Any = error
    wishes = [detail.retry_delay.ToTimedelta() for detail in plain.details or () if isinstance(detail, RetryInfo)]
    wishes += [wish for call in plain.errors or () for key, value in _trailers_of(call) if (wish := _wish(key, value)) is not None]
    wished = max(wishes, default=timedelta(0))
    return min(wished, LONGEST_WISH) if wished > timedelta(0) else None


def _wish(key: str, value: str) -> timedelta | None:
    unit = _RETRY_KEYS.get(key)
    if unit is None or not value.isdecimal():
        return None
    return timedelta(seconds=min(float(value) * unit, LONGEST_WISH.total_seconds()))


def _trailers_of(call: Any) -> Iterator[tuple[str, str]]:
    read = getattr(call, "trailing_metadata", None)
    yield from ((str(key), str(value)) for key, value in (read() if read is not None else None) or ())


def _certain(said: Judged, error: GoogleAPICallError) -> OutsideError:
    """Return the error of a kind of call that no row takes for nothing."""
    return said.error if said.error is not None else UnavailableError(Reason.UNKNOWN, _message_of(error))


def _message_of(error: GoogleAPICallError) -> str:
    plain: Any = error
    return without_tokens(str(plain.message or error))


def _violations_of(error: GoogleAPICallError) -> Iterator[str]:
    """Return which parameters are wrong and why, from the error's details."""
    plain: Any = error
    for detail in plain.details or ():
        if not str(getattr(detail, "type_url", "")).endswith("InvalidTemplateParameters"):
            continue
        parsed: Any = messages.InvalidTemplateParameters.pb().FromString(detail.value)
        yield from (f"{one.parameter}: {without_tokens(one.description)}" for one in parsed.parameter_violations)
