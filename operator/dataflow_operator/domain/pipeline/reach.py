"""How far a change of each field of the spec reaches: one table, which decides, is documented, is tested, and warns when a change is applied."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.pipeline.model import BeamYamlTemplate, ClassicTemplate, FlexTemplate, PipelineSpec, ResolvedSpec, Template
from dataflow_operator.domain.remembered import remembered


class Reach(StrEnum):
    """What a change of a field brings about, from the least to the most."""

    NOTHING = "None"
    """Nothing is started, stopped or replaced. A policy holds from then on."""
    NEXT_RUN = "NextRun"
    """The next run uses it; none is started for it."""
    IN_PLACE = "InPlace"
    """The running job is changed, and runs on."""
    RUN = "Run"
    """A run is started: of a batch pipeline."""
    REPLACE = "Replace"
    """Another job takes over from the running one: of a stream, as `updatePolicy.strategy` says."""
    SUSPEND = "Suspend"
    """What runs is stopped, or may start again."""
    FORBIDDEN = "Forbidden"
    """The API server refuses it."""

    @property
    def makes_a_revision(self) -> bool:
        """Whether the change makes another revision, for which a job is launched."""
        return self in {Reach.RUN, Reach.REPLACE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One field of the spec, and how far a change of it reaches."""

    field: str
    """Path below `spec`, such as ``environment.maxWorkers``."""
    streaming: Reach | None
    """None: the field is not for this type."""
    batch: Reach | None
    why: str

    def of(self, kind: PipelineType) -> Reach | None:
        """Return the reach for one type of pipeline."""
        return self.batch if kind is PipelineType.BATCH else self.streaming


def _content(field: str, why: str) -> Row:
    return Row(field=field, streaming=Reach.REPLACE, batch=Reach.RUN, why=why)


def _of_the_job(field: str, why: str) -> Row:
    return Row(field=field, streaming=Reach.REPLACE, batch=Reach.NEXT_RUN, why=why)


def _policy(field: str, why: str) -> Row:
    return Row(field=field, streaming=Reach.NOTHING, batch=Reach.NOTHING, why=why)


def _of_a_stream(field: str, reach: Reach, why: str) -> Row:
    return Row(field=field, streaming=reach, batch=None, why=why)


def _fixed(field: str, why: str) -> Row:
    return Row(field=field, streaming=Reach.FORBIDDEN, batch=Reach.FORBIDDEN, why=why)


TABLE: Final = (
    _fixed("type", "Whether a job ends by itself decides all else about its pipeline."),
    _fixed("project", "A job cannot move to another project."),
    _fixed("region", "A job cannot move to another region."),
    _fixed("jobName", "A stream keeps one name for life, by which Dataflow refuses a second job."),
    _content("template.flex.containerSpecPath", "Another template is another program."),
    _content("template.flex.launchOptions", "They are part of how the template is launched."),
    _content("template.classic.path", "Another template is another program."),
    _content("template.beamYaml.pipeline", "It is the program."),
    _content("template.beamYaml.jinjaVariables", "They are part of the program."),
    _content("parameters", "They decide what the job computes, and a job reads them once, at its launch."),
    Row(
        field="environment.maxWorkers",
        streaming=Reach.IN_PLACE,
        batch=Reach.NEXT_RUN,
        why="Dataflow changes it while a stream on Streaming Engine runs; another job keeps what it was launched with.",
    ),
    _of_a_stream(
        "environment.minWorkers",
        Reach.IN_PLACE,
        "Dataflow changes it while a stream on Streaming Engine runs; another job keeps what it was launched with.",
    ),
    _of_a_stream(
        "environment.workerUtilizationPercent",
        Reach.IN_PLACE,
        "Dataflow changes it while a stream on Streaming Engine runs; another job keeps what it was launched with.",
    ),
    _of_the_job("environment.numWorkers", "A job starts with it; later their number follows the load."),
    _of_the_job("environment.machineType", "A job keeps the kind of machine that it was launched with."),
    _of_the_job("environment.diskSizeGb", "A job keeps the disks that it was launched with."),
    _of_the_job("environment.serviceAccountEmail", "The workers keep the identity that the job was launched with."),
    _of_the_job("environment.tempLocation", "A job reads it once, at its launch."),
    _of_the_job("environment.stagingLocation", "A job reads it once, at its launch."),
    _of_the_job("environment.bypassTempDirValidation", "It is asked once, at the launch."),
    _of_the_job("environment.network", "The workers keep the network that the job was launched with."),
    _of_the_job("environment.subnetwork", "The workers keep the network that the job was launched with."),
    _of_the_job("environment.ipConfiguration", "The workers keep the addresses that the job was launched with."),
    _of_the_job("environment.workerRegion", "A job keeps the place that its workers were launched in."),
    _of_the_job("environment.workerZone", "A job keeps the place that its workers were launched in."),
    _of_the_job("environment.kmsKeyName", "A job's state stays encrypted with the key that it was launched with."),
    _of_the_job("environment.enableStreamingEngine", "A job keeps its state where it was launched to keep it."),
    _of_a_stream("environment.streamingMode", Reach.REPLACE, "A job keeps the guarantee that it was launched with."),
    Row(
        field="environment.flexrsGoal",
        streaming=None,
        batch=Reach.NEXT_RUN,
        why="A job keeps the scheduling that it was launched with.",
    ),
    _of_the_job("environment.autoscalingAlgorithm", "A job keeps the way of scaling that it was launched with."),
    _of_the_job("environment.sdkContainerImage", "The workers keep the image that the job was launched with."),
    _of_the_job("environment.launcherMachineType", "It is used once, at the launch."),
    _of_the_job("environment.enableLauncherVmSerialPortLogging", "It is used once, at the launch."),
    _of_the_job("environment.dumpHeapOnOom", "The workers keep the setting that the job was launched with."),
    _of_the_job("environment.saveHeapDumpsToGcsPath", "The workers keep the setting that the job was launched with."),
    _of_the_job("environment.additionalExperiments", "A job takes part in the experiments that it was launched with."),
    _of_the_job("environment.additionalPipelineOptions", "A job reads its options once, at its launch."),
    _of_the_job("jobLabels", "A job keeps the labels that it was launched with."),
    Row(
        field="serviceAccountName",
        streaming=Reach.NEXT_RUN,
        batch=Reach.NEXT_RUN,
        why="It says who launches a job, and nothing about the job.",
    ),
    Row(
        field="suspend",
        streaming=Reach.SUSPEND,
        batch=Reach.SUSPEND,
        why="true stops a stream and keeps it stopped, and lets a batch pipeline start no new run; false lets both start again.",
    ),
    _of_a_stream("stopPolicy", Reach.NOTHING, "It says how the next suspension stops the job."),
    _policy("deletionPolicy", "It says what becomes of the job when the pipeline is deleted."),
    _policy("retryPolicy.maximumAttempts", "It is read when an attempt has failed, also one of the run that is under way."),
    _policy("retryPolicy.initialIntervalSeconds", "It is read when an attempt has failed, also one of the run that is under way."),
    _policy("retryPolicy.backoffCoefficient", "It is read when an attempt has failed, also one of the run that is under way."),
    _policy("retryPolicy.maximumIntervalSeconds", "It is read when an attempt has failed, also one of the run that is under way."),
    _policy("retryPolicy.stableSeconds", "It says when a running job has earned its place, also the one that runs now."),
    _policy("retryPolicy.nonRetryableReasons", "It is read when an attempt has failed, also one of the run that is under way."),
    _policy("timeouts.startSeconds", "It holds for what runs now, too, which is cancelled when it is later than that already."),
    Row(
        field="timeouts.runSeconds",
        streaming=None,
        batch=Reach.NOTHING,
        why="It holds for what runs now, too, which is cancelled when it runs longer than that already.",
    ),
    _of_a_stream("timeouts.drainSeconds", Reach.NOTHING, "It holds for a drain that is under way, too."),
    _policy("timeouts.cancelSeconds", "It holds for a cancel that is under way, too."),
    _of_a_stream("updatePolicy.strategy", Reach.NEXT_RUN, "It says how the next revision takes over."),
    _of_a_stream("updatePolicy.transformNameMapping", Reach.NEXT_RUN, "It is sent with the next update."),
    _of_a_stream("updatePolicy.parallel.overlapSeconds", Reach.NOTHING, "It says how long two jobs run side by side."),
    _of_a_stream("updatePolicy.rollback", Reach.NOTHING, "It is read when a revision has failed."),
    _policy("driftPolicy", "It says what is done about a difference that nobody asked for, from then on."),
    _policy("adopt.jobId", "It is read only while no run was ever started."),
    _policy("adopt.jobName", "It is read only while no run was ever started."),
    _policy("runHistory.successful", "It says how many finished runs are kept."),
    _policy("runHistory.failed", "It says how many finished runs are kept."),
)
"""Every field of the spec. A test compares them with the schema."""

ROWS: Final[Mapping[str, Row]] = {row.field: row for row in TABLE}

ENVIRONMENT: Final = "environment."

_UNKNOWN: Final = _of_the_job(ENVIRONMENT, "A job keeps the environment that it was launched with.")
"""For a field of the environment that this version has no row for."""

IN_PLACE: Final = frozenset(row.field.removeprefix(ENVIRONMENT) for row in TABLE if row.streaming is Reach.IN_PLACE)
"""Fields of `environment` that Dataflow changes while a job of Streaming Engine runs. Source: Dataflow's documentation of updating a pipeline."""


def in_place(spec: PipelineSpec | ResolvedSpec) -> frozenset[str]:
    """Return which fields of `environment` change while a job of *spec* runs: none where the spec does not ask for Streaming Engine."""
    engine = spec.environment.get("enableStreamingEngine") is True or spec.environment.get("streamingMode") == "AtLeastOnce"
    return IN_PLACE if engine and spec.type is PipelineType.STREAMING else frozenset()


@remembered
def options_of(spec: PipelineSpec | ResolvedSpec) -> Mapping[str, int]:
    """Return what *spec* says of the options that change in place; what is absent is left as it is."""
    return {name: value for name, value in spec.environment.items() if name in in_place(spec) and isinstance(value, int)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One difference between two specs, and how far it reaches."""

    field: str
    """The field of the table, such as ``parameters``."""
    key: str | None
    """Which part of a map, such as a parameter's name; None: the field itself."""
    old: str | None
    """As short text; None: absent."""
    new: str | None
    reach: Reach
    why: str

    @property
    def path(self) -> str:
        """The field and the part of it, such as ``parameters.topic``."""
        return self.field if self.key is None else f"{self.field}.{self.key}"


def changes(old: PipelineSpec | ResolvedSpec, new: PipelineSpec | ResolvedSpec) -> tuple[Change, ...]:
    """Return in what *new* differs from *old*, in the table's order. Of two of different kinds, what both have is compared.

    Defaults are applied, and empty and absent are equal, as in `revision.digest_of`: a change there makes another digest if, and only if, it
    makes a revision here.
    """
    has_policies = isinstance(old, PipelineSpec) and isinstance(new, PipelineSpec)
    before, after = _values_of(old, has_policies=has_policies), _values_of(new, has_policies=has_policies)
    can_stay = {ENVIRONMENT + name for name in in_place(old) & in_place(new)}
    order = {field: number for number, field in enumerate(ROWS)}
    places = sorted(before.keys() | after.keys(), key=lambda place: (order.get(place.field, len(order)), place.field, place.key or ""))
    return tuple(
        _change(place, before.get(place), after.get(place), new.type, can_stay=place.field in can_stay)
        for place in places
        if before.get(place) != after.get(place)
    )


class _Place(NamedTuple):
    field: str
    key: str | None = None


_Values: TypeAlias = Mapping[_Place, str]
"""What each place holds, as JSON, in which true is not 1 and 1 is not '1'."""


def _change(place: _Place, old: str | None, new: str | None, kind: PipelineType, *, can_stay: bool) -> Change:
    row = ROWS.get(place.field, _UNKNOWN)
    reach = row.of(kind)
    if reach is None:
        row = _UNKNOWN if place.field.startswith(ENVIRONMENT) else row
        reach = row.of(kind) or Reach.NOTHING
    if reach is Reach.IN_PLACE and not can_stay:
        reach = Reach.REPLACE
    before, after = _shorts(old, new)
    return Change(field=place.field, key=place.key, old=before, new=after, reach=reach, why=row.why)


_EMPTY: Final[tuple[object, ...]] = ("", (), {}, None)
"""Values that count as absent."""


def _values_of(spec: PipelineSpec | ResolvedSpec, *, has_policies: bool) -> _Values:
    found = dict(_shared(spec))
    if has_policies and isinstance(spec, PipelineSpec):
        found |= _policies(spec)
    return {
        place: json.dumps(value, sort_keys=True, ensure_ascii=False)
        for place, value in found.items()
        if value not in _EMPTY or (place.key is not None and place.field.startswith("template."))
    }


def _shared(spec: PipelineSpec | ResolvedSpec) -> Iterator[tuple[_Place, object]]:
    """Yield what both kinds of specs have."""
    yield _Place("type"), spec.type.value
    yield _Place("project"), spec.project
    yield _Place("region"), spec.region
    yield _Place("jobName"), spec.job_name
    yield _Place("serviceAccountName"), spec.service_account_name
    yield from _template(spec.template)
    yield from _parts("parameters", spec.parameters)
    yield from ((_Place(ENVIRONMENT + name), value) for name, value in spec.environment.items())
    yield from _parts("jobLabels", spec.job_labels)
    yield from _parts("updatePolicy.transformNameMapping", spec.transform_name_mapping)


def _template(template: Template) -> Iterator[tuple[_Place, object]]:
    match template:
        case FlexTemplate():
            yield _Place("template.flex.containerSpecPath"), template.container_spec_path
            yield from _parts("template.flex.launchOptions", template.launch_options)
        case ClassicTemplate():
            yield _Place("template.classic.path"), template.path
        case BeamYamlTemplate():
            yield _Place("template.beamYaml.pipeline"), template.pipeline
            yield from _parts("template.beamYaml.jinjaVariables", template.jinja_variables)


def _parts(field: str, values: Mapping[str, str]) -> Iterator[tuple[_Place, object]]:
    yield from ((_Place(field, key), value) for key, value in values.items())


def _policies(spec: PipelineSpec) -> dict[_Place, object]:
    """Return what only a pipeline has: how it is run, and not what."""
    retry, timeouts, adopt = spec.retry_policy, spec.timeouts, spec.adopt
    found: dict[str, object] = {
        "suspend": spec.suspend,
        "stopPolicy": spec.stop_policy.value,
        "deletionPolicy": spec.deletion_policy.value,
        "retryPolicy.maximumAttempts": retry.maximum_attempts,
        "retryPolicy.initialIntervalSeconds": _seconds(retry.initial_interval),
        "retryPolicy.backoffCoefficient": retry.backoff_coefficient,
        "retryPolicy.maximumIntervalSeconds": _seconds(retry.maximum_interval),
        "retryPolicy.stableSeconds": _seconds(retry.stable),
        "retryPolicy.nonRetryableReasons": sorted(retry.non_retryable) or None,
        "timeouts.startSeconds": _seconds(timeouts.start),
        "timeouts.runSeconds": _seconds(timeouts.run),
        "timeouts.drainSeconds": _seconds(timeouts.drain),
        "timeouts.cancelSeconds": _seconds(timeouts.cancel),
        "updatePolicy.strategy": spec.strategy.value,
        "updatePolicy.parallel.overlapSeconds": _seconds(spec.overlap),
        "updatePolicy.rollback": "OnFailure" if spec.rolls_back else "Never",
        "driftPolicy": spec.drift_policy.value,
        "adopt.jobId": adopt.job_id if adopt else None,
        "adopt.jobName": adopt.job_name if adopt else None,
        "runHistory.successful": spec.successful_runs_kept,
        "runHistory.failed": spec.failed_runs_kept,
    }
    return {_Place(field): value for field, value in found.items()}


def _seconds(span: timedelta | None) -> int | None:
    return None if span is None else round(span.total_seconds())


_LONGEST: Final = 60
"""Characters of a value that people are shown: two of them and a path still fit into a message. Source: chosen."""

_BEFORE: Final = 20
"""Characters that long texts are shown from before the first one in which they differ."""


def _shorts(old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """Return two values, as JSON, as short texts; long ones from shortly before they differ."""
    before, after = _plain(old), _plain(new)
    start = 0
    if before is not None and after is not None and max(len(before), len(after)) > _LONGEST:
        same = next((at for at, (one, other) in enumerate(zip(before, after, strict=False)) if one != other), min(len(before), len(after)))
        start = max(same - _BEFORE, 0)
    return _cut(before, start), _cut(after, start)


def _plain(value: str | None) -> str | None:
    """Return a value as a person would write it on one line: a text without the quotes that say nothing."""
    if value is None or not value.startswith('"'):
        return value
    text: str = json.loads(value)
    return value[1:-1] if text.strip() == text and text else value


def _cut(text: str | None, start: int) -> str | None:
    if text is None:
        return None
    shown = text[start : start + _LONGEST]
    return f"{'…' if start else ''}{shown}{'…' if start + _LONGEST < len(text) else ''}"
