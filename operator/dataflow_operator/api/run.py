"""DataflowRun: one execution of a pipeline, and a person's way to ask for one."""

from typing import Annotated, Any

from pydantic import Field

from .conditions import Conditions
from .ledger import Attempts
from .pipeline import SERVICE_ACCOUNT, Parameters
from .policies import DeletionPolicy
from .rules import NotYet
from .wire import ATOMIC, Count, Message, Reason, Rule, Time, Wire, Word, ruled, same

Name = Annotated[
    str,
    Field(max_length=253),
    Rule(
        rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')", message="must be the name of an object in this namespace, such as 'orders'"
    ),
]


def _stays(field: str) -> Rule:
    return Rule(
        rule=same(field),
        message=f"`{field}` is immutable, and must not be added or removed later: make another run",
        field_path=f".{field}",
        reason=Reason.FORBIDDEN,
    )


STOP_RISES = Rule(
    rule="!has(oldSelf.stop) || (has(self.stop) && (self.stop == oldSelf.stop || oldSelf.stop == 'Drain' || self.stop == 'Orphan'))",
    message="`stop` must only go from 'Drain' to 'Cancel' to 'Orphan', and must not be removed: make another run to start the pipeline again",
    field_path=".stop",
    reason=Reason.FORBIDDEN,
)
"""What was told to stop is not told to go on."""


NO_ORPHANS_YET = NotYet(
    path="stop", value="Orphan", instead="use 'Drain' or 'Cancel'; a pipeline with deletionPolicy Orphan lets its jobs go"
)
"""A run that lets its job go needs a place where that is remembered, or the sweep would find the job again."""


class PipelineRef(Wire):
    """A pipeline of the same namespace."""

    name: Name = Field(description="Name of the DataflowPipeline in this namespace. Required, immutable. Example: 'orders'.")


class RunSpec(Wire):
    """Which pipeline is to run, and how that run differs. Only `stop` can change later."""

    model_config = ruled(_stays("rerunOf"), _stays("parameters"), _stays("serviceAccountName"), STOP_RISES, NO_ORPHANS_YET.rule())

    pipeline_ref: Annotated[
        PipelineRef,
        Rule(rule="self == oldSelf", message="`pipelineRef` is immutable: make another run", reason=Reason.FORBIDDEN),
    ] = Field(description="The pipeline that is to run. Required, immutable.")
    rerun_of: Name | None = Field(
        None,
        description=(
            "Name of an earlier run of the pipeline, whose resolved spec runs again; also the way back to it. Immutable. "
            "Default: the pipeline as it is now. Example: 'orders-4'."
        ),
    )
    parameters: Parameters | None = Field(
        None,
        description=(
            "Parameters that take the place of the pipeline's own for this run; needs the right to update the pipeline and to `use` its "
            "ServiceAccount, which is to be named beside them. Immutable. Default: none. Example: {day: '2026-01-31'}."
        ),
    )
    service_account_name: Annotated[str, Field(max_length=253), SERVICE_ACCOUNT] | None = Field(
        None,
        description=(
            "The ServiceAccount that the run's code runs as, which must be the pipeline's. Required with `parameters` where each pipeline "
            "has an identity of its own; it is what the right to `use` is asked for. Immutable. Default: absent. Example: 'orders'."
        ),
    )
    stop: DeletionPolicy | None = Field(
        None,
        description="Drain or Cancel: ends the run. It can only go in that direction. Not supported yet: Orphan. Default: absent, the run goes on.",
    )


MESSAGES_LIMIT = 3
"""Messages that a run shows: the last ones, which tell most of an end."""


class JobMessage(Wire):
    """Something that Dataflow said of a job."""

    time: Time | None = Field(None, description="When it was said, by Dataflow's clock.")
    importance: Word | None = Field(None, description="What kind of message it is: Error, Warning or Autoscaling.")
    text: Message | None = Field(None, description="What was said, without its middle if that is long.")


class RunStatus(Wire):
    """How the run goes. Written by the operator only."""

    observed_generation: int = Field(-1, ge=-1, description="The generation of the spec that this status is about; -1: not seen yet.")
    conditions: Conditions | None = Field(None, description="What holds: Succeeded always; Reconciling and Stalled only while True.")
    number: Count | None = Field(None, description="The run's number, which grows for the life of the pipeline.")
    cause: Word | None = Field(None, description="Why the run was started: Change, Asked, Resume, Recovery, Rollback or Adoption.")
    revision: Count | None = Field(None, description="Number of the revision that the run runs.")
    digest: Word | None = Field(None, description="Digest of that revision.")
    replaces: Word | None = Field(None, description="Name of the run that this one takes over from.")
    strategy: Word | None = Field(
        None, description="How the run takes over from what runs when it starts, if anything does. Streaming only."
    )
    pipeline_uid: Word | None = Field(None, alias="pipelineUID", description="UID of the pipeline, bound when the run was first seen.")
    resolved_spec: dict[str, Any] | None = Field(
        None,
        json_schema_extra={"x-kubernetes-preserve-unknown-fields": True},
        description="What this run runs, written once before the first launch; retries and reruns use it.",
    )
    job_id: Word | None = Field(None, description="Id of the run's job in Dataflow.")
    job_name: Word | None = Field(None, description="Name of the run's job in Dataflow.")
    job_state: Word | None = Field(None, description="State of the run's job when last seen, such as JOB_STATE_RUNNING.")
    job_state_time: Time | None = Field(None, description="When the job came into that state, by Dataflow's clock.")
    console_url: Annotated[str, Field(max_length=1024)] | None = Field(
        None,
        alias="consoleURL",
        description="Address of the run's job in the Google Cloud console.",
    )
    attempts: Attempts | None = Field(None, description="The run's attempts at launching a job, copied from the ledger, newest last.")
    start_time: Time | None = Field(None, description="When the run began.")
    completion_time: Time | None = Field(None, description="When the run was over.")
    result: Word | None = Field(None, description="How the run ended: Succeeded, Failed, Stopped, Replaced or Refused.")
    messages: Annotated[list[JobMessage], Field(max_length=MESSAGES_LIMIT, json_schema_extra=ATOMIC)] | None = Field(
        None,
        description=(
            "What Dataflow said of the run's jobs last: errors, warnings and autoscaling, oldest first. Of a job that runs on they are renewed "
            "at most once in five minutes, unless the status is written for another reason."
        ),
    )


class DataflowRun(Wire):
    """One execution of a DataflowPipeline. Made by the operator, or by a person who asks for one."""

    spec: RunSpec = Field(description="Which pipeline is to run, and how that run differs.")
    status: RunStatus | None = Field(None, json_schema_extra={"default": {}}, description="How the run goes. Written by the operator only.")
