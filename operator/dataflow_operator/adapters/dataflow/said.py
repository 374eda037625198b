"""What jobs said last, as the reads of their messages showed it: kept in memory, so that whoever draws a run has it at hand."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.message import Importance, JobMessage, message_of, newest_of

JOBS_KEPT: Final = 10_000
"""Jobs of which messages are kept at most, the last read. Source: chosen, as for lines of the gate."""

_IMPORTANCES: Final[Mapping[int, Importance]] = {
    messages.JobMessageImportance.JOB_MESSAGE_ERROR.value: Importance.ERROR,
    messages.JobMessageImportance.JOB_MESSAGE_WARNING.value: Importance.WARNING,
}
"""What is worth showing; the rest tells of steps that go well."""


class Said:
    """The last messages by job."""

    def __init__(self) -> None:
        self._known: dict[JobId, tuple[JobMessage, ...]] = {}

    def of(self, job_id: JobId) -> tuple[JobMessage, ...]:
        """Return a job's last messages, oldest first."""
        return self._known.get(job_id, ())

    def heard(self, job_id: JobId, page: Any) -> None:
        """Take note of a page of messages, as plain protobuf."""
        if found := [*_messages(page.job_messages), *_scaling(page.autoscaling_events)]:
            self._known[job_id] = newest_of((*self._known.pop(job_id, ()), *found))
        while len(self._known) > JOBS_KEPT:
            del self._known[next(iter(self._known))]


def _messages(found: Iterable[Any]) -> Iterator[JobMessage]:
    for one in found:
        importance = _IMPORTANCES.get(one.message_importance)
        if importance is not None:
            yield message_of(_time_of(one.time), importance, one.message_text)


def _scaling(found: Iterable[Any]) -> Iterator[JobMessage]:
    for one in found:
        text = one.description.message_text or f"{one.current_num_workers} workers, to be {one.target_num_workers}"
        yield message_of(_time_of(one.time), Importance.AUTOSCALING, text)


def _time_of(stamp: Any) -> datetime:
    return datetime.fromtimestamp(stamp.seconds, UTC)
