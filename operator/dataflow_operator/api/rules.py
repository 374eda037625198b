"""Rules in CEL that concern more than one field, or that will be lifted later."""

from __future__ import annotations

from dataclasses import dataclass

from .wire import Reason, Rule, same

_CLASHES: dict[str, tuple[str, ...]] = {
    "serviceAccountEmail": ("serviceAccount", "service_account_email"),
    "machineType": ("workerMachineType", "worker_machine_type", "machine_type"),
    "numWorkers": ("num_workers",),
    "maxWorkers": ("maxNumWorkers", "max_num_workers"),
    "minWorkers": ("minNumWorkers", "min_num_workers"),
    "workerUtilizationPercent": ("workerUtilizationHint", "worker_utilization_hint"),
    "tempLocation": ("gcpTempLocation", "temp_location"),
    "stagingLocation": ("staging_location",),
    "network": (),
    "subnetwork": (),
    "kmsKeyName": ("dataflowKmsKey", "dataflow_kms_key"),
    "ipConfiguration": ("usePublicIps", "use_public_ips", "no_use_public_ips"),
    "workerRegion": ("worker_region",),
    "workerZone": ("worker_zone", "zone"),
    "enableStreamingEngine": ("enable_streaming_engine",),
    "flexrsGoal": ("flexRSGoal", "flexrs_goal"),
    "sdkContainerImage": ("sdk_container_image",),
    "diskSizeGb": ("disk_size_gb",),
    "autoscalingAlgorithm": ("autoscaling_algorithm",),
    "dumpHeapOnOom": ("dumpHeapOnOOM", "dump_heap_on_oom"),
    "saveHeapDumpsToGcsPath": ("save_heap_dumps_to_gcs_path",),
    "additionalExperiments": ("experiments", "additional_experiments"),
    "additionalPipelineOptions": (),
    "streamingMode": ("streaming_mode",),
    "launcherMachineType": (),
    "enableLauncherVmSerialPortLogging": (),
    "bypassTempDirValidation": (),
}
"""Fields of `environment`, and the other names under which Beam's pipeline options know the same thing (Java's, then Python's).

A flex template gets its parameters as pipeline options, so that the same thing written twice has no certain winner.
"""


def _held(names: tuple[str, ...]) -> str:
    """Return the condition that one of the names is a parameter."""
    return " || ".join(f"'{name}' in self.parameters" for name in names)


def _clash(field: str, others: tuple[str, ...]) -> Rule:
    names = (field, *others)
    spoken = " or ".join(f"'{name}'" for name in names)
    return Rule(
        rule=f"!has(self.parameters) || !self.?environment.?{field}.hasValue() || !({_held(names)})",
        message=f"`parameters` must not have {spoken} beside `environment.{field}`: remove one of the two",
        field_path=".parameters",
        reason=Reason.FORBIDDEN,
    )


CLASHES = tuple(_clash(field, others) for field, others in _CLASHES.items())
"""No parameter says again what `environment` says."""

RELAUNCHING = ("create_or_update_job", "update_strategy", "parallel_replace")
"""Beginnings of experiments and service options that make Dataflow itself replace another job: one that may not be ours."""

_OPTION_PARAMETERS = (
    "experiments",
    "additionalExperiments",
    "additional_experiments",
    "dataflowServiceOptions",
    "dataflow_service_options",
    "yaml_pipeline",
)
"""Parameters that carry experiments or service options into a job; Beam YAML does it in its `options`."""


def _relaunching(value: str) -> str:
    return " || ".join(f"{value}.contains('{word}')" for word in RELAUNCHING)


NO_RELAUNCHING_ITEM = Rule(
    rule=f"!self.exists(item, {_relaunching('item')})",
    message="must not have 'create_or_update_job', 'update_strategy…' or 'parallel_replace…': remove it, `updatePolicy` says how a new revision takes over",
    reason=Reason.FORBIDDEN,
)
"""An experiment or option does not make Dataflow replace a job behind the operator's back."""

NO_RELAUNCHING_TEXT = Rule(
    rule=f"!({_relaunching('self')})",
    message=(
        "`template.beamYaml.pipeline` must not have 'create_or_update_job', 'update_strategy…' or 'parallel_replace…' in its options: "
        "remove it, `updatePolicy` says how a new revision takes over"
    ),
    reason=Reason.FORBIDDEN,
)
"""Nor do the options that a Beam YAML pipeline brings itself."""

NO_OWNED_OPTION = Rule(
    rule=r"!self.exists(item, item.matches('^(--)?(update|job_?[nN]ame|labels|transform_?[nN]ame_?[mM]apping|project|region)(=|\\s|$)'))",
    message=(
        "must not have '--update', '--jobName', '--labels', '--transformNameMapping', '--project' or '--region': "
        "remove it, `jobName`, `jobLabels`, `updatePolicy`, `project` and `region` of the pipeline say it"
    ),
    reason=Reason.FORBIDDEN,
)
"""An option does not rename, move or relabel the job: it would no longer be known as ours."""

PARAMETERS = (
    Rule(
        rule="!('update' in self || 'jobName' in self || 'job_name' in self)",
        message="`parameters` must not have 'update', 'jobName' or 'job_name': remove it, `updatePolicy` and `jobName` of the pipeline say it",
        reason=Reason.FORBIDDEN,
    ),
    Rule(
        rule=f"!('create_or_update_job' in self || {list(_OPTION_PARAMETERS)}.exists(name, name in self && ({_relaunching('self[name]')})))",
        message=(
            "`parameters` must not have the experiments or service options 'create_or_update_job', 'update_strategy…' or 'parallel_replace…': "
            "remove them, `updatePolicy` says how a new revision takes over"
        ),
        reason=Reason.FORBIDDEN,
    ),
)
"""What a parameter must not be called or carry, in a pipeline or a run."""

_YAML_PARAMETERS = ("yaml_pipeline", "yaml_pipeline_file", "jinja_variables")

_CLASSIC_LACKS = (
    "stagingLocation",
    "sdkContainerImage",
    "autoscalingAlgorithm",
    "flexrsGoal",
    "dumpHeapOnOom",
    "saveHeapDumpsToGcsPath",
    "launcherMachineType",
    "enableLauncherVmSerialPortLogging",
)
"""Fields of FlexTemplateRuntimeEnvironment that RuntimeEnvironment, the classic templates' one, does not have."""


def _without(template: str, lacking: tuple[str, ...]) -> tuple[Rule, ...]:
    return tuple(
        Rule(
            rule=f"!has(self.template.{template}) || !self.?environment.?{field}.hasValue()",
            message=f"`environment.{field}` must not be set with `template.{template}`, which has no such setting: remove it",
            field_path=f".environment.{field}",
            reason=Reason.FORBIDDEN,
        )
        for field in lacking
    )


def _only(wanted: str, path: str, *, value: str | None = None) -> Rule:
    """Return the rule that a field, or one value of it, is for one type of pipeline only."""
    chain = "self" + "".join(f".?{name}" for name in path.split("."))
    unset = f"{chain}.orValue('') != '{value}'" if value else f"!{chain}.hasValue()"
    said = f"'{value}' must not be the value of `{path}`" if value else f"`{path}` must not be set"
    other = "Batch" if wanted == "Streaming" else "Streaming"
    return Rule(
        rule=f"self.type == '{wanted}' || {unset}",
        message=f"{said} with `type: {other}`: it is for `type: {wanted}` only",
        field_path=f".{path}",
        reason=Reason.FORBIDDEN,
    )


BY_TYPE = (
    _only("Streaming", "updatePolicy"),
    _only("Streaming", "stopPolicy"),
    _only("Streaming", "timeouts.drainSeconds"),
    _only("Streaming", "environment.streamingMode"),
    _only("Streaming", "environment.minWorkers"),
    _only("Streaming", "environment.workerUtilizationPercent"),
    _only("Streaming", "deletionPolicy", value="Drain"),
    _only("Batch", "timeouts.runSeconds"),
    _only("Batch", "environment.flexrsGoal"),
)
"""A batch job cannot be drained or updated, and a stream has no end to wait for."""

BY_TEMPLATE = (
    *_without("classic", _CLASSIC_LACKS),
    *_without("flex", ("bypassTempDirValidation",)),
    *_without("beamYaml", ("bypassTempDirValidation",)),
    Rule(
        rule=f"!has(self.template.beamYaml) || !has(self.parameters) || !({_held(_YAML_PARAMETERS)})",
        message=(
            "`parameters` must not have 'yaml_pipeline', 'yaml_pipeline_file' or 'jinja_variables' beside `template.beamYaml`: "
            "use `template.beamYaml.pipeline` and `template.beamYaml.jinjaVariables`"
        ),
        field_path=".parameters",
        reason=Reason.FORBIDDEN,
    ),
)
"""What one kind of template cannot take."""

JOB_NAME_STAYS = Rule(
    rule=same("jobName"),
    message="`jobName` is immutable, and must not be added or removed later: make another pipeline for another name",
    field_path=".jobName",
    reason=Reason.FORBIDDEN,
)
"""A stream keeps one name for life."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotYet:
    """A part of the schema that is there and does nothing yet: accepted and ignored, it would be a lie."""

    path: str
    value: str | None = None
    """The one value that is not supported; none: the field with any value."""

    instead: str = "remove it"

    def rule(self) -> Rule:
        """Return the rule that refuses it."""
        *parents, field = self.path.split(".")
        chain = "self" + "".join(f".?{name}" for name in (*parents, field))
        met = f"{chain}.orValue('') != '{self.value}'" if self.value else f"!{chain}.hasValue()"
        said = f"'{self.value}' as `{self.path}`" if self.value else f"`{self.path}`"
        return Rule(rule=met, message=f"{said} is not supported yet: {self.instead}", field_path=f".{self.path}", reason=Reason.FORBIDDEN)
