"""Why a job failed, from what it said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from dataflow_operator.domain.errors import Failure, FailureClass, Reason, calm

MESSAGE_CHARACTERS: Final = 1024
"""Longest reason that is kept: a run keeps 32 attempts of them, and a pipeline several runs. Source: chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sign:
    """What a text says of the kind of failure, if it holds one of *words*."""

    words: tuple[str, ...]
    kind: FailureClass
    reason: Reason = Reason.JOB_FAILED
    retryable: bool = True


_SIGNS: Final = (
    _Sign(words=("not compatible",), kind=FailureClass.UPDATE_INCOMPATIBLE, reason=Reason.UPDATE_FAILED, retryable=False),
    _Sign(
        words=("QUOTA_", "quota", "Exceeded limit", "RESOURCE_EXHAUSTED", "RESOURCE_POOL_EXHAUSTED"),
        kind=FailureClass.QUOTA,
        reason=Reason.QUOTA_EXCEEDED,
    ),
    _Sign(words=("Traceback", "\tat ", "Exception: "), kind=FailureClass.USER_CODE),
    _Sign(
        words=(
            "lost contact with the service",
            "Timeout in polling result file",
            "Failed to start the VM",
            "appears to be stuck",
            "nternal error",
            "Internal Issue",
        ),
        kind=FailureClass.INFRASTRUCTURE,
    ),
)
"""The first sign that is found decides. Texts: recorded answers of the service, from public issues and its troubleshooting pages."""

_SECOND_HAND: Final = "work item was attempted"
"""A message that only says that another one explains. Source: Beam's own runner ranks it last, and one with a traceback first."""


def failure_of(errors: Sequence[str]) -> Failure | None:
    """Return the failure that a job's error messages, oldest first, tell; None: nothing is said yet."""
    said = [text for message in errors if (text := calm(message) and message.strip())]
    if not said:
        return None
    told = next((text for text in reversed(said) if "not compatible" in text), None) or max(
        reversed(said), key=lambda text: ("Traceback" in text, _SECOND_HAND not in text.lower())
    )
    sign = next((sign for sign in _SIGNS if any(part in told for part in sign.words)), None)
    message = calm(_shortened(_last_line_first(told)))
    if sign is None:
        return Failure(reason=Reason.JOB_FAILED, kind=FailureClass.UNKNOWN, message=message, retryable=True)
    return Failure(reason=sign.reason, kind=sign.kind, message=message, retryable=sign.retryable)


def _last_line_first(text: str) -> str:
    """Return a traceback with what it comes to before how it came to it: a person sees the first line of a message."""
    lines = text.splitlines()
    if not text.startswith("Traceback") or len(lines) == 1:
        return text
    return "\n".join([lines[-1].strip(), *lines[:-1]])


def _shortened(text: str) -> str:
    """Return a text without its middle: a traceback says most at its end."""
    if len(text) <= MESSAGE_CHARACTERS:
        return text
    head = MESSAGE_CHARACTERS // 4
    return f"{text[:head]} … {text[-(MESSAGE_CHARACTERS - head - 3) :]}"
