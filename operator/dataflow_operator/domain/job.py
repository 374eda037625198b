"""A Dataflow job as it is seen from here: states, terminal or not, and whose it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType

JobId = NewType("JobId", str)
"""Dataflow's id of a job, e.g. ``2026-11-25_01_02_03-1234567890123456789``."""


class PipelineType(StrEnum):
    """Whether a pipeline ends by itself."""

    BATCH = "Batch"
    STREAMING = "Streaming"


class JobState(StrEnum):
    """Dataflow's job states. One that this version does not know counts as UNKNOWN: active, keep looking.

    Source: google.dataflow.v1beta3.JobState.
    """

    UNKNOWN = "JOB_STATE_UNKNOWN"
    STOPPED = "JOB_STATE_STOPPED"
    RUNNING = "JOB_STATE_RUNNING"
    DONE = "JOB_STATE_DONE"
    FAILED = "JOB_STATE_FAILED"
    CANCELLED = "JOB_STATE_CANCELLED"
    UPDATED = "JOB_STATE_UPDATED"
    DRAINING = "JOB_STATE_DRAINING"
    DRAINED = "JOB_STATE_DRAINED"
    PENDING = "JOB_STATE_PENDING"
    CANCELLING = "JOB_STATE_CANCELLING"
    QUEUED = "JOB_STATE_QUEUED"
    RESOURCE_CLEANING_UP = "JOB_STATE_RESOURCE_CLEANING_UP"
    PAUSING = "JOB_STATE_PAUSING"
    PAUSED = "JOB_STATE_PAUSED"

    is_terminal: bool
    """Whether the job is over for good."""
    is_stopping: bool
    """Whether the job was asked to end and still works on it."""
    has_begun: bool
    """Whether workers run, so that the job's labels are certainly visible."""

    @property
    def word(self) -> str:
        """The state as people say it, e.g. ``RUNNING``."""
        return self.removeprefix("JOB_STATE_")


_TERMINAL: Final = frozenset({JobState.DONE, JobState.FAILED, JobState.CANCELLED, JobState.UPDATED, JobState.DRAINED})
_BEGUN: Final = frozenset({JobState.RUNNING, JobState.DRAINING, JobState.RESOURCE_CLEANING_UP, JobState.PAUSING, JobState.PAUSED})

for _state in JobState:
    # Set once: a state is asked a hundred times in a pass.
    _state.is_terminal = _state in _TERMINAL
    _state.is_stopping = _state in {JobState.DRAINING, JobState.CANCELLING}
    _state.has_begun = _state in _BEGUN

_RAN: Final = frozenset({JobState.DONE, JobState.UPDATED, JobState.DRAINED})
"""Ends that only a job comes to that has begun: its labels were to be seen."""

_KNOWN: Final = {state.value: state for state in JobState}


def state_of(word: str) -> JobState:
    """Return the state called *word*, or UNKNOWN for a word that is not known here."""
    return _KNOWN.get(word, JobState.UNKNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownership:
    """What our labels on a job say: whose it is and which attempt made it."""

    pipeline_uid: str
    run_uid: str
    run_number: int
    digest: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job, as a list or a GET shows it."""

    id: JobId
    name: str
    state: JobState
    ownership: Ownership | None = None
    """None: no labels of ours are to be seen. While a job is queued that does not mean that it is not ours."""
    type: PipelineType | None = None
    """Known from RUNNING on; absent while queued."""
    create_time: datetime | None = None
    state_time: datetime | None = None
    replaces: JobId | None = None
    replaced_by: JobId | None = None
    options: Mapping[str, int] | None = None
    """What can change while the job runs, by the names of `reach.IN_PLACE`; None: not shown."""
    details: Mapping[str, str] | None = None
    """The pipeline options it was started with, as text; only a read of the one job shows them, and only once it runs."""

    @property
    def is_active(self) -> bool:
        """Whether the job runs, waits or stops, and so holds its name."""
        return not self.state.is_terminal

    @property
    def is_unlabelled(self) -> bool:
        """Whether the job may still turn out to be ours: it shows no labels of ours and never had to.

        The launch answer and QUEUED reads of the real service carry only labels of its own.
        """
        return self.ownership is None and not self.state.has_begun and self.state not in _RAN
