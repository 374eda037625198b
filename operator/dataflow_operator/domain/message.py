"""What Dataflow said about a job last: errors, warnings and autoscaling, cut to what a status may hold."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dataflow_operator.domain.errors import calm

MESSAGES_SHOWN: Final = 3
"""Messages of a run that its status shows, the newest. Source: chosen; the console has all of them."""

TEXT_CHARACTERS: Final = 512
"""Longest text of one. A traceback says most at its end, and a failure's own message has it whole. Source: chosen."""


APART: Final = timedelta(minutes=5)
"""How much newer than what a status shows must be what alone is a reason to write it: a stream that complains of each element would else be
written once a minute. Source: chosen; an event of the same text is counted as a repeat for six."""


class Importance(StrEnum):
    """What kind of message it is."""

    ERROR = "Error"
    WARNING = "Warning"
    AUTOSCALING = "Autoscaling"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobMessage:
    """One message."""

    time: datetime
    importance: Importance
    text: str


def message_of(time: datetime, importance: Importance, text: str) -> JobMessage:
    """Return a message in whole seconds, without what changes from one answer to the next, and without its middle if it is long."""
    if len(text) > TEXT_CHARACTERS:
        head = TEXT_CHARACTERS // 2
        text = f"{text[:head]} … {text[-(TEXT_CHARACTERS - head - 3) :]}"
    return JobMessage(time=time.replace(microsecond=0), importance=importance, text=calm(text))


def is_news(shown: tuple[JobMessage, ...], known: tuple[JobMessage, ...], now: datetime, *, is_batch: bool) -> bool:
    """Return whether what is known is worth a write by itself. That a batch has more or fewer workers is not: its end is near, and tells it."""
    told = any(not (is_batch and message.importance is Importance.AUTOSCALING) for message in known if message not in shown)
    return told and (not shown or now - shown[-1].time >= APART)


def newest_of(messages: Iterable[JobMessage]) -> tuple[JobMessage, ...]:
    """Return the newest few, oldest first, each once."""
    return tuple(sorted(dict.fromkeys(messages), key=lambda message: (message.time, message.text)))[-MESSAGES_SHOWN:]
