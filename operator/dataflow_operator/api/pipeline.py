"""DataflowPipeline: what should run."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .conditions import Conditions
from .environment import Environment
from .ledger import Ledger
from .policies import DeletionPolicy, DriftPolicy, RetryPolicy, RunHistory, StopPolicy, Timeouts, UpdatePolicy
from .rules import BY_TEMPLATE, BY_TYPE, CLASHES, JOB_NAME_STAYS, PARAMETERS
from .template import QUOTED_KEYS, SHORT_KEYS, Template
from .wire import Count, Message, Reason, Rule, Time, Wire, Word, list_map, ruled

NAME = Rule(
    rule="self.metadata.name.matches('^[a-z]([-a-z0-9]{0,50}[a-z0-9])?$')",
    message="`metadata.name` must be 1 to 52 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash",
    field_path=".metadata.name",
)
"""A pipeline's name leaves room for `-<number>` in the names of its runs, which are 63 characters at most where they become labels."""

SERVICE_ACCOUNT = Rule(
    rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",
    message="`serviceAccountName` must be the name of a Kubernetes ServiceAccount in this namespace, such as 'orders' (not an e-mail address: that is `environment.serviceAccountEmail`)",
)

JOB_NAME = Rule(
    rule="self.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')",
    message="`jobName` must be 1 to 63 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash",
)

ADOPTED_ID = Rule(
    rule="self.matches('^[0-9]{4}-[0-9]{2}-[0-9]{2}_[0-9]{2}_[0-9]{2}_[0-9]{2}-[0-9]{1,20}$')",
    message="`adopt.jobId` must be the id of a Dataflow job, such as '2026-01-31_12_00_00-1234567890123456789' (a job's name belongs in `adopt.jobName`)",
)

ADOPTED_NAME = Rule(
    rule="self.matches('^[a-z]([-a-z0-9]{0,254}[a-z0-9])?$')",
    message="`adopt.jobName` must be 1 to 256 lower-case letters, digits and dashes, beginning with a letter and not ending with a dash",
)

LABEL_KEYS = Rule(
    rule=r"self.all(key, key.matches('^[\\p{Ll}\\p{Lo}][\\p{Ll}\\p{Lo}\\p{N}_-]{0,62}$'))",
    message="keys of `jobLabels` must be 1 to 63 lower-case letters, digits, '_' and '-', beginning with a letter",
)

LABEL_VALUES = Rule(
    rule=r"self.all(key, self[key].matches('^[\\p{Ll}\\p{Lo}\\p{N}_-]*$'))",
    message="values of `jobLabels` must be at most 63 lower-case letters, digits, '_' and '-'",
)

LABELS_ARE_NOT_OURS = Rule(
    rule="!self.exists(key, key.startsWith('dataflow-operator') || key.startsWith('goog-'))",
    message="keys of `jobLabels` must not begin with 'dataflow-operator' or 'goog-', which the operator and Dataflow keep for themselves: rename them",
    reason=Reason.FORBIDDEN,
)


def stays(field: str) -> Rule:
    """Return the rule that a required field never changes."""
    return Rule(
        rule="self == oldSelf",
        message=f"`{field}` is immutable: make another pipeline, or delete this one first",
        reason=Reason.FORBIDDEN,
    )


class PipelineType(StrEnum):
    """Whether the job is meant to end."""

    BATCH = "Batch"
    STREAMING = "Streaming"


Parameters = Annotated[dict[str, Annotated[str, Field(max_length=16384)]], Field(max_length=128), QUOTED_KEYS, SHORT_KEYS, *PARAMETERS]
"""Parameters of a template, byte for byte as they were written."""


class Adopt(Wire):
    """A job that ran before its pipeline was there."""

    model_config = ruled(
        Rule(
            rule="has(self.jobId) != has(self.jobName)",
            message="`adopt` must have exactly one of `jobId` and `jobName`: add one, or remove the other",
        ),
    )

    job_id: Annotated[str, Field(max_length=256), ADOPTED_ID] | None = Field(
        None,
        description="Id of the job in Dataflow. Default: none; jobName says which job it is. Example: '2026-01-31_12_00_00-1234567890123456789'.",
    )
    job_name: Annotated[str, Field(max_length=256), ADOPTED_NAME] | None = Field(
        None,
        description="Name of the job in Dataflow, of which at most one is active in a region. Default: none; jobId says which job it is. Example: 'orders'.",
    )


class PipelineSpec(Wire):
    """What should run. What is absent has the default that its description says, and stays absent."""

    model_config = ruled(*BY_TYPE, *BY_TEMPLATE, *CLASHES, JOB_NAME_STAYS)

    type: Annotated[PipelineType, stays("type")] = Field(
        description="Batch, a job that ends by itself and runs once per change; or Streaming, a job that is kept running. Required, immutable.",
    )
    project: Annotated[
        str,
        Field(max_length=128),
        Rule(
            rule="self.matches('^([a-z0-9.-]+:)?[a-z][-a-z0-9]{4,28}[a-z0-9]$')",
            message="`project` must be the id of a Google Cloud project: 6 to 30 lower-case letters, digits and dashes, beginning with a letter, such as 'acme-prod'",
        ),
        stays("project"),
    ] = Field(description="Id of the Google Cloud project that the job runs in. Required, immutable. Example: 'acme-prod'.")
    region: Annotated[
        str,
        Field(max_length=64),
        Rule(
            rule="self.matches('^[a-z]+-[a-z]+[0-9]+$')",
            message="`region` must be a Google Cloud region, such as 'europe-west1' (not a zone)",
        ),
        stays("region"),
    ] = Field(description="Google Cloud region that the job runs in. Required, immutable. Example: 'europe-west1'.")
    service_account_name: Annotated[str, Field(max_length=253), SERVICE_ACCOUNT] | None = Field(
        None,
        description=(
            "Kubernetes ServiceAccount of this namespace whose Google identity launches, reads and stops the jobs; whoever writes the "
            "pipeline must be allowed to `use` it. It is not the account that workers run as: that is `environment.serviceAccountEmail`. "
            "Default: the one that the cluster's admin chose, else none. Example: 'orders'."
        ),
    )
    template: Template = Field(description="What the pipeline runs: exactly one of flex, classic and beamYaml. Required.")
    parameters: Parameters | None = Field(
        None,
        description=(
            "Parameters of the template, text to text, sent byte for byte: quote numbers, yes and no. "
            "Default: none. Example: {inputTopic: projects/acme-prod/topics/orders}."
        ),
    )
    environment: Environment | None = Field(
        None,
        description="Where and on what the job runs. What is absent is not sent. Default: the template's and Dataflow's own. Example: {maxWorkers: 10}.",
    )
    job_name: Annotated[str, Field(max_length=63), JOB_NAME] | None = Field(
        None,
        description="Name of the job in Dataflow, for jobs that had a name before. Immutable. Default: made of the pipeline's name, namespace and uid. Example: 'orders'.",
    )
    job_labels: (
        Annotated[dict[str, Annotated[str, Field(max_length=63)]], QUOTED_KEYS, LABEL_KEYS, LABEL_VALUES, LABELS_ARE_NOT_OURS] | None
    ) = Field(
        None,
        max_length=48,
        description="Labels of the job in Dataflow, for bills and searches. Default: none beyond the operator's own. Example: {team: orders}.",
    )
    suspend: bool | None = Field(
        None,
        description="true stops a streaming job, as stopPolicy says, and keeps it stopped; of a Batch pipeline no new run starts. Default: false.",
    )
    stop_policy: StopPolicy | None = Field(
        None,
        description="Drain or Cancel: how suspend ends the job. Streaming only. Default: Drain.",
    )
    deletion_policy: DeletionPolicy | None = Field(
        None,
        description=(
            "What becomes of the job when the pipeline is deleted: Drain finishes what was read (Streaming only), Cancel ends it at once, "
            "Orphan lets it run on. Default: Drain for Streaming, Cancel for Batch."
        ),
    )
    retry_policy: RetryPolicy | None = Field(None, description="When a failed attempt is followed by another. Default: that of each field.")
    timeouts: Timeouts | None = Field(None, description="How long each part of a run may take. Default: no limits.")
    update_policy: UpdatePolicy | None = Field(
        None,
        description="How a changed revision takes over from the job that runs. Streaming only. Default: that of each field.",
    )
    drift_policy: DriftPolicy | None = Field(
        None,
        description=(
            "What is done about a job that differs from its pipeline though nobody changed the pipeline: Correct makes it as the pipeline "
            "says, Report only says so, Ignore does not look. For Batch, Correct means that a run which somebody cancelled is run again. "
            "Default: Correct for Streaming, Report for Batch."
        ),
    )
    adopt: Adopt | None = Field(
        None,
        description=(
            "A job that runs already and becomes this pipeline's without being touched, named by exactly one of jobId and jobName. "
            "Only read while no run of this pipeline was ever started. Default: none; a first job is launched. "
            "Example: {jobName: orders}."
        ),
    )
    run_history: RunHistory | None = Field(None, description="How many finished runs are kept. Default: that of each field.")


class Drift(Wire):
    """One field in which the job differs from its pipeline."""

    field: Word = Field(description="The field that differs, such as maxWorkers.")
    desired: Word | None = Field(None, description="What the pipeline says.")
    observed: Word | None = Field(None, description="What the job has.")


class LastRun(Wire):
    """The run that was over last."""

    name: Word | None = Field(None, description="Name of the DataflowRun.")
    number: Count | None = Field(None, description="Number of the run.")
    digest: Word | None = Field(None, description="Digest of the revision that it ran.")
    result: Word | None = Field(None, description="How it ended: Succeeded, Failed, Stopped, Replaced or Refused.")
    reason: Word | None = Field(None, description="Why it ended so, in one word; absent where it went well.")
    message: Message | None = Field(None, description="Why it ended so, in Dataflow's words where it has any.")
    job_id: Word | None = Field(None, description="Id of its last job in Dataflow.")
    start_time: Time | None = Field(None, description="When it began.")
    completion_time: Time | None = Field(None, description="When it was over.")


class PipelineStatus(Wire):
    """What is, and what is under way. Written by the operator only."""

    observed_generation: int = Field(-1, ge=-1, description="The generation of the spec that this status is about; -1: not seen yet.")
    conditions: Conditions | None = Field(
        None, description="What holds: Ready always; Reconciling and Stalled only while True; details beside them."
    )
    revision: Count | None = Field(None, description="Number of the revision whose job is current.")
    update_revision: Count | None = Field(None, description="Number of the revision that is taking over; absent when none is.")
    started_digest: Word | None = Field(
        None, description="Digest of the revision that a run was last started for by a change: the memory of what has been run."
    )
    started_revision: Count | None = Field(None, description="Number of that revision.")
    run_number: Count | None = Field(None, description="Number of the newest run; it only grows.")
    ledger: Ledger | None = Field(
        None, description="The runs that are not over, with their attempts. An entry leaves when its DataflowRun tells the end."
    )
    current_run: Word | None = Field(None, description="Name of the run whose job serves (Streaming), or of the newest run (Batch).")
    update_run: Word | None = Field(None, description="Name of the run that is taking over; absent when none is.")
    job_id: Word | None = Field(None, description="Id of the current run's job in Dataflow.")
    job_name: Word | None = Field(None, description="Name of the current run's job in Dataflow.")
    job_state: Word | None = Field(None, description="State of the current run's job when last seen, such as JOB_STATE_RUNNING.")
    console_url: Annotated[str, Field(max_length=1024)] | None = Field(
        None,
        alias="consoleURL",
        description="Address of the current run's job in the Google Cloud console.",
    )
    stable_run: Word | None = Field(None, description="Name of the newest run whose job has earned its place: what a rollback brings back.")
    drift: Annotated[list[Drift], Field(max_length=64, json_schema_extra=list_map("field"))] | None = Field(
        None,
        description="Fields in which the job differs from the pipeline.",
    )
    last_run: LastRun | None = Field(None, description="The run that was over last.")
    last_handled_reconcile_at: Word | None = Field(
        None,
        description="The last value of the annotation dataflow-operator.io/reconcile-requested-at that was acted on.",
    )


class DataflowPipeline(Wire):
    """A Dataflow job that should run: what it runs, with which parameters, where, and how it is stopped, retried and replaced."""

    model_config = ruled(NAME)

    spec: PipelineSpec = Field(description="What should run. Written by the owner only.")
    status: PipelineStatus | None = Field(
        None,
        json_schema_extra={"default": {}},
        description="What is, and what is under way. Written by the operator only.",
    )
