"""How a pipeline retries, waits, replaces and remembers."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dataflow_operator.domain.failures import NON_RETRYABLE

from .template import QUOTED_KEYS, SHORT_KEYS
from .wire import ATOMIC, Rule, Wire, ruled

DAY = 86400
"""Seconds in a day: the longest pause between two attempts that an owner may ask for."""

MONTH = 31 * DAY
"""Seconds in 31 days: the longest that Dataflow lets two jobs run side by side, and more than it lets a batch job live (10 days)."""

Pause = Annotated[int, Field(ge=1, le=DAY)]
Limit = Annotated[int, Field(ge=1, le=MONTH)]
FailureWord = Annotated[str, Field(json_schema_extra={"enum": [*sorted(NON_RETRYABLE)]})]


class StopPolicy(StrEnum):
    """How a job ends: after finishing what it read, or at once."""

    DRAIN = "Drain"
    CANCEL = "Cancel"


class DeletionPolicy(StrEnum):
    """What becomes of the job when its pipeline is deleted."""

    DRAIN = "Drain"
    CANCEL = "Cancel"
    ORPHAN = "Orphan"


class Strategy(StrEnum):
    """How a changed revision takes over from the job that runs."""

    UPDATE = "Update"
    DRAIN = "Drain"
    CANCEL = "Cancel"
    PARALLEL = "Parallel"


class Rollback(StrEnum):
    """When the last stable revision comes back by itself."""

    ON_FAILURE = "OnFailure"
    NEVER = "Never"


class DriftPolicy(StrEnum):
    """What is done about a job that differs from its pipeline."""

    CORRECT = "Correct"
    REPORT = "Report"
    IGNORE = "Ignore"


class RetryPolicy(Wire):
    """When a failed attempt is followed by another."""

    model_config = ruled(
        Rule(
            rule="self.?initialIntervalSeconds.orValue(30) <= self.?maximumIntervalSeconds.orValue(600)",
            message="`retryPolicy.initialIntervalSeconds` (default 30) must be at most `retryPolicy.maximumIntervalSeconds` (default 600)",
            field_path=".initialIntervalSeconds",
        ),
    )

    maximum_attempts: Annotated[int, Field(ge=0, le=1000)] | None = Field(
        None,
        description="Attempts in a row before the pipeline is stalled; 0 is without limit. Default: 3 for Batch, 0 for Streaming. Example: 5.",
    )
    initial_interval_seconds: Pause | None = Field(
        None, description="Seconds between the first failure and the second attempt. Default: 30."
    )
    backoff_coefficient: Annotated[int, Field(ge=1, le=10)] | None = Field(
        None,
        description="What each pause is multiplied by for the next, a whole number from 1 (pauses stay the same) to 10. Default: 2.",
    )
    maximum_interval_seconds: Pause | None = Field(None, description="Seconds that a pause has at most. Default: 600.")
    stable_seconds: Annotated[int, Field(ge=0, le=DAY)] | None = Field(
        None,
        description="Seconds of running after which the count of attempts starts anew, and a revision counts as stable. Default: 120.",
    )
    non_retryable_reasons: Annotated[list[FailureWord], Field(max_length=64, json_schema_extra=ATOMIC)] | None = Field(
        None,
        description=(
            "Reasons of a failure, or classes for all the reasons of one, that no further attempt follows; docs/failures.md has them. "
            "Default: none beside those that never help to repeat. Example: [OutOfMemory, Quota]."
        ),
    )


class Timeouts(Wire):
    """How long each part of a run may take. A change reaches what runs now, and starts nothing anew."""

    start_seconds: Limit | None = Field(
        None,
        description="Seconds from launch to a running job. A job that is late is cancelled, and the attempt has failed as StartTimedOut. Default: no limit. Example: 900.",
    )
    run_seconds: Limit | None = Field(
        None,
        description="Seconds that a job may run. One that runs longer is cancelled, and the attempt has failed as RunTimedOut. Batch only. Default: no limit. Example: 7200.",
    )
    drain_seconds: Limit | None = Field(
        None,
        description="Seconds that a drain may take, whoever asked for it, before the job is cancelled. Streaming only. Default: no limit. Example: 3600.",
    )
    cancel_seconds: Limit | None = Field(
        None,
        description=(
            "Seconds that a cancel may take before it is forced, which Dataflow allows 30 minutes after the cancel at the earliest. "
            "A forced cancel may leave virtual machines behind. Default: never forced. Example: 3600."
        ),
    )


class Parallel(Wire):
    """How two jobs run side by side."""

    overlap_seconds: Limit | None = Field(
        None,
        description="Seconds that both jobs run side by side, from the new one's start on, before the old one is drained. Default: 300. Example: 900.",
    )


class UpdatePolicy(Wire):
    """How a changed revision of a stream takes over."""

    model_config = ruled(
        Rule(
            rule="self.?strategy.orValue('Update') == 'Update' || self.?transformNameMapping.orValue({}).size() == 0",
            message="`updatePolicy.transformNameMapping` must only be set with `updatePolicy.strategy: Update`: remove it, or change the strategy",
            field_path=".transformNameMapping",
        ),
        Rule(
            rule="self.?strategy.orValue('Update') == 'Parallel' || !has(self.parallel)",
            message="`updatePolicy.parallel` must only be set with `updatePolicy.strategy: Parallel`: remove it, or change the strategy",
            field_path=".parallel",
        ),
    )

    strategy: Strategy | None = Field(
        None,
        description=(
            "Update replaces the running job and keeps its state; Drain and Cancel end the old job first and then start the new one; "
            "Parallel starts the new job beside the old one, under another name, and drains the old one once the new one has earned "
            "its place: both process what arrives meanwhile. Default: Update."
        ),
    )
    transform_name_mapping: Annotated[dict[str, Annotated[str, Field(max_length=1024)]], QUOTED_KEYS, SHORT_KEYS] | None = Field(
        None,
        max_length=128,
        description="Old names of transforms and their new ones, so that state finds its place. Only with Update. Default: none. Example: {Parse: ParseOrder}.",
    )
    parallel: Parallel | None = Field(
        None, description="How two jobs run side by side. Only with Parallel. Default: that of each field. Example: {overlapSeconds: 900}."
    )
    rollback: Rollback | None = Field(
        None,
        description=(
            "OnFailure brings the last stable revision back when a new one fails before it is stable; Never leaves that to the owner. "
            "Default: Never."
        ),
    )


class RunHistory(Wire):
    """How many finished runs are kept. Only runs that the operator made are ever pruned."""

    successful: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None,
        description="Finished runs to keep that Succeeded, were Stopped or Replaced. Default: 3.",
    )
    failed: Annotated[int, Field(ge=0, le=100)] | None = Field(
        None, description="Finished runs to keep that Failed or were Refused. Default: 5."
    )
