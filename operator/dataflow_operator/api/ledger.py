"""What is under way: the entries of a pipeline's ledger and their attempts, as the status keeps them."""

from typing import Annotated

from pydantic import Field

from .wire import Count, Message, Time, Wire, Word, list_map

ATTEMPTS_LIMIT = 32
"""Attempts that a status may hold. The operator keeps half as many, so that many entries fit into one object; earlier releases kept all."""

ENTRIES_LIMIT = 64
"""Runs of one pipeline that may be under way at once; many more would bring the object near etcd's 1.5 MiB."""

OPTIONS_LIMIT = 8
"""Options of a running job that can be changed; Dataflow has fewer."""


class Claim(Wire):
    """The record, written first, that an attempt is about to launch."""

    time: Time | None = Field(None, description="When the launch was claimed.")
    nonce: Word | None = Field(None, description="A random word that tells this claim from another's.")


class Failure(Wire):
    """Why an attempt failed."""

    reason: Word | None = Field(None, description="Why, as one word of a closed set.")
    class_: Word | None = Field(None, alias="class", description="The kind of reason, such as Quota or Permission.")
    message: Message | None = Field(None, description="Why, in Dataflow's own words.")
    retryable: bool | None = Field(None, description="Whether another attempt may follow.")


class Attempt(Wire):
    """One try of a run at launching a job."""

    number: Count = Field(description="The attempt's number, which grows for the life of the run.")
    job_name: Word | None = Field(None, description="The name that the job was launched under.")
    claim: Claim | None = Field(None, description="The record, written first, that this attempt is about to launch.")
    base_job_id: Word | None = Field(None, description="Id of the job that this attempt updates.")
    job_id: Word | None = Field(None, description="Id of the job in Dataflow.")
    known_by: Word | None = Field(None, description="How the job was recognized as ours: by the answer to the launch, or by its labels.")
    job_state: Word | None = Field(None, description="The job's state when last seen, such as JOB_STATE_RUNNING.")
    job_state_time: Time | None = Field(None, description="When the job came into that state, by Dataflow's clock.")
    start_time: Time | None = Field(None, description="When the attempt began.")
    end_time: Time | None = Field(None, description="When the attempt was over.")
    end: Word | None = Field(None, description="How the attempt ended.")
    options: dict[str, Annotated[int, Field(ge=0)]] | None = Field(
        None,
        max_length=OPTIONS_LIMIT,
        description="What the job was last told of the fields of environment that change while it runs, such as maxWorkers.",
    )
    failure: Failure | None = Field(None, description="Why the attempt failed; absent if it did not.")


Attempts = Annotated[list[Attempt], Field(max_length=ATTEMPTS_LIMIT, json_schema_extra=list_map("number"))]
"""The attempts of a run, one of a number."""


class Entry(Wire):
    """One run that is not over."""

    number: Count = Field(description="The run's number, which grows for the life of the pipeline.")
    run: Word | None = Field(None, description="Name of the DataflowRun that shows this entry.")
    run_uid: Word | None = Field(None, alias="runUID", description="UID of that DataflowRun.")
    digest: Word | None = Field(None, description="Digest of the revision that the run runs.")
    revision: Count | None = Field(None, description="Number of that revision.")
    cause: Word | None = Field(None, description="Why the run was started: Change, Asked, Resume, Recovery, Rollback or Adoption.")
    strategy: Word | None = Field(None, description="How the run takes over from the one before it.")
    sealed: bool | None = Field(None, description="Whether the run never launches again.")
    stop: Word | None = Field(None, description="How the run's job is to end: Drain, Cancel or Orphan; absent while it is wanted.")
    stop_reason: Word | None = Field(None, description="Why the run is to stop.")
    stop_time: Time | None = Field(None, description="Since when the run is to stop.")
    asked: bool | None = Field(None, description="Whether a person asked for the run.")
    has_overrides: bool | None = Field(None, description="Whether the run has parameters of its own.")
    repeats: Word | None = Field(None, description="Name of the run that this one, which the operator made, runs again: a rollback.")
    stable: bool | None = Field(None, description="Whether a job of the run has earned its place.")
    because: Message | None = Field(None, description="Why the operator brought back what the run repeats.")
    result: Word | None = Field(None, description="How the run ended: Succeeded, Failed, Stopped, Replaced or Refused.")
    attempts: Attempts | None = Field(
        None, description="The run's attempts at launching a job, the newest last; a long row of them lacks the oldest."
    )
    failures_before: Count | None = Field(
        None, description="Failures in a row right before the attempts that are shown; absent if there are none."
    )


Ledger = Annotated[list[Entry], Field(max_length=ENTRIES_LIMIT, json_schema_extra=list_map("number"))]
"""The runs that are not over, one entry of a number."""
