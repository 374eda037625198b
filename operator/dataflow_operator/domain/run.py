"""A run: the picture of one execution, and a person's way to ask for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from dataflow_operator.domain.conditions import Condition
from dataflow_operator.domain.job import JobId
from dataflow_operator.domain.ledger import Attempt, Cause, Result, StopMode, Strategy
from dataflow_operator.domain.message import JobMessage
from dataflow_operator.domain.pipeline.model import ResolvedSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """What the operator last drew."""

    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    number: int | None = None
    cause: Cause | None = None
    revision: int | None = None
    digest: str | None = None
    replaces: str | None = None
    strategy: Strategy | None = None
    pipeline_uid: str | None = None
    resolved_spec: ResolvedSpec | None = None
    job_id: JobId | None = None
    job_name: str | None = None
    job_state: str | None = None
    job_state_time: datetime | None = None
    console_url: str | None = None
    attempts: tuple[Attempt, ...] = ()
    start_time: datetime | None = None
    completion_time: datetime | None = None
    result: Result | None = None
    messages: tuple[JobMessage, ...] = ()
    """What its jobs said last, as known when this was drawn; messages alone are a reason to write now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One DataflowRun object, as last seen."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    is_deleting: bool = False
    created: datetime | None = None
    owner_uid: str | None = None
    """uid of the pipeline that its controller ownerReference names; None for a run that a person made."""
    pipeline: str
    rerun_of: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    service_account_name: str | None = None
    """As whom whoever asked for the run expects it to run."""
    stop: StopMode | None = None
    status: RunStatus = field(default_factory=RunStatus)

    @property
    def is_over(self) -> bool:
        """Whether the run has a result: it is never launched again."""
        return self.status.result is not None
