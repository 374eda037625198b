"""The spec of a pipeline, and the resolved spec of a run, from and to JSON.

The documented defaults are applied here, in reading, and never written back.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, W, count, items, mapping, present, text, word, words_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.failures import NON_RETRYABLE
from dataflow_operator.domain.job import JobId, PipelineType
from dataflow_operator.domain.ledger import StopMode, Strategy
from dataflow_operator.domain.pipeline.model import (
    DEFAULT_MAXIMUM_ATTEMPTS,
    Adoption,
    BeamYamlTemplate,
    Broken,
    ClassicTemplate,
    DriftPolicy,
    Environment,
    EnvironmentValue,
    FlexTemplate,
    PipelineSpec,
    ResolvedSpec,
    RetryPolicy,
    Template,
    Timeouts,
)

DEFAULT_DELETION_POLICY: Final = {PipelineType.BATCH: StopMode.CANCEL, PipelineType.STREAMING: StopMode.DRAIN}
"""What becomes of the job when its pipeline is deleted and the owner says nothing. Source: the API's documentation."""

DEFAULT_DRIFT_POLICY: Final = {PipelineType.BATCH: DriftPolicy.REPORT, PipelineType.STREAMING: DriftPolicy.CORRECT}
"""What is done about drift where the owner says nothing. Source: the API's documentation."""

_ROLLBACKS: Final = {"OnFailure": True, "Never": False}
_DRIFTS: Final = words_of(DriftPolicy)
_TYPES: Final = words_of(PipelineType)
_STOPS: Final = words_of(StopMode)
_STRATEGIES: Final = words_of(Strategy)


class UnreadableError(ValueError):
    """A spec holds something that this version cannot read."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"`{field}` {problem}: correct it, or use a version of the operator that knows it")


def spec_of(value: object) -> PipelineSpec | Broken:
    """Return a pipeline's spec, or what about it cannot be read."""
    try:
        return _pipeline_spec(mapping(value))
    except UnreadableError as error:
        return Broken(reason=Reason.SPEC_UNREADABLE, message=str(error))


def _pipeline_spec(raw: Json) -> PipelineSpec:
    kind = _type(raw)
    update = mapping(raw.get("updatePolicy"))
    history = mapping(raw.get("runHistory"))
    return PipelineSpec(
        type=kind,
        project=_required(raw, "project"),
        region=_required(raw, "region"),
        template=_template(raw.get("template")),
        service_account_name=_optional(raw, "serviceAccountName"),
        parameters=_texts(raw, "parameters"),
        environment=_environment(raw.get("environment")),
        job_name=_optional(raw, "jobName"),
        job_labels=_texts(raw, "jobLabels"),
        suspend=raw.get("suspend") is True,
        stop_policy=_word(_STOPS, raw, "stopPolicy") or StopMode.DRAIN,
        deletion_policy=_word(_STOPS, raw, "deletionPolicy") or DEFAULT_DELETION_POLICY[kind],
        retry_policy=_retry_policy(mapping(raw.get("retryPolicy")), kind),
        timeouts=_timeouts(mapping(raw.get("timeouts"))),
        strategy=_word(_STRATEGIES, update, "strategy", "updatePolicy.") or Strategy.UPDATE,
        transform_name_mapping=_texts(update, "transformNameMapping", "updatePolicy."),
        overlap=timedelta(seconds=_number(mapping(update.get("parallel")), "overlapSeconds", 300)),
        rolls_back=_rolls_back(update.get("rollback")),
        drift_policy=_word(_DRIFTS, raw, "driftPolicy") or DEFAULT_DRIFT_POLICY[kind],
        adopt=_adoption(mapping(raw.get("adopt"))),
        successful_runs_kept=_number(history, "successful", 3),
        failed_runs_kept=_number(history, "failed", 5),
    )


def _rolls_back(value: object) -> bool:
    if value in (None, ""):
        return False
    if not isinstance(value, str) or value not in _ROLLBACKS:
        raise UnreadableError("updatePolicy.rollback", f"must be one of {', '.join(_ROLLBACKS)}")
    return _ROLLBACKS[value]


def _adoption(raw: Json) -> Adoption | None:
    """Return which job is to be taken over; a job that is not named for sure is not guessed at."""
    job_id, job_name = _optional(raw, "jobId", "adopt."), _optional(raw, "jobName", "adopt.")
    if job_id and job_name:
        raise UnreadableError("adopt", "must have exactly one of jobId and jobName")
    return Adoption(job_id=JobId(job_id) if job_id else None, job_name=job_name) if job_id or job_name else None


def _retry_policy(raw: Json, kind: PipelineType) -> RetryPolicy:
    return RetryPolicy(
        maximum_attempts=_number(raw, "maximumAttempts", DEFAULT_MAXIMUM_ATTEMPTS[kind]),
        initial_interval=timedelta(seconds=_number(raw, "initialIntervalSeconds", 30)),
        backoff_coefficient=_number(raw, "backoffCoefficient", 2),
        maximum_interval=timedelta(seconds=_number(raw, "maximumIntervalSeconds", 600)),
        stable=timedelta(seconds=_number(raw, "stableSeconds", 120)),
        non_retryable=_non_retryable(raw.get("nonRetryableReasons")),
    )


def _non_retryable(value: object) -> frozenset[str]:
    found = frozenset(part for part in items(value) if isinstance(part, str))
    if unknown := found - NON_RETRYABLE:
        raise UnreadableError("retryPolicy.nonRetryableReasons", f"has {', '.join(sorted(unknown))}, which no failure is called")
    return found


def _timeouts(raw: Json) -> Timeouts:
    return Timeouts(
        start=_seconds(raw, "startSeconds"),
        run=_seconds(raw, "runSeconds"),
        drain=_seconds(raw, "drainSeconds"),
        cancel=_seconds(raw, "cancelSeconds"),
    )


def resolved_of(value: object) -> ResolvedSpec | None:
    """Return a run's resolved spec, or None where there is none that can be read."""
    raw = mapping(value)
    if not raw:
        return None
    try:
        return ResolvedSpec(
            type=_type(raw),
            project=_required(raw, "project"),
            region=_required(raw, "region"),
            template=_template(raw.get("template")),
            service_account_name=_optional(raw, "serviceAccountName"),
            parameters=_texts(raw, "parameters"),
            environment=_environment(raw.get("environment")),
            job_name=_optional(raw, "jobName"),
            job_labels=_texts(raw, "jobLabels"),
            transform_name_mapping=_texts(raw, "transformNameMapping"),
        )
    except UnreadableError:
        return None


def resolved_json(spec: ResolvedSpec | None) -> dict[str, object]:
    """Return a resolved spec as a run's status holds it."""
    if spec is None:
        return {}
    environment = {key: list(value) if isinstance(value, tuple) else value for key, value in spec.environment.items()}
    return present(
        (
            ("type", spec.type.value),
            ("project", spec.project),
            ("region", spec.region),
            ("template", _template_json(spec.template)),
            ("serviceAccountName", spec.service_account_name),
            ("parameters", dict(spec.parameters)),
            ("environment", environment),
            ("jobName", spec.job_name),
            ("jobLabels", dict(spec.job_labels)),
            ("transformNameMapping", dict(spec.transform_name_mapping)),
        )
    )


def _template(value: object) -> Template:
    raw = mapping(value)
    members = [name for name in ("flex", "classic", "beamYaml") if name in raw]
    if len(members) != 1:
        raise UnreadableError("template", "must have exactly one of flex, classic and beamYaml")
    member = mapping(raw[members[0]])
    where = f"template.{members[0]}."
    if members[0] == "flex":
        path = _required(member, "containerSpecPath", where)
        return FlexTemplate(container_spec_path=path, launch_options=_texts(member, "launchOptions", where))
    if members[0] == "classic":
        return ClassicTemplate(path=_required(member, "path", where))
    return BeamYamlTemplate(pipeline=_required(member, "pipeline", where), jinja_variables=_texts(member, "jinjaVariables", where))


def _template_json(template: Template) -> dict[str, object]:
    match template:
        case FlexTemplate():
            options = dict(template.launch_options)
            return {"flex": present((("containerSpecPath", template.container_spec_path), ("launchOptions", options)))}
        case ClassicTemplate():
            return {"classic": {"path": template.path}}
        case BeamYamlTemplate():
            return {"beamYaml": present((("pipeline", template.pipeline), ("jinjaVariables", dict(template.jinja_variables))))}


def _environment(value: object) -> Environment:
    """Return the runtime environment, without what is empty."""
    found: dict[str, EnvironmentValue] = {}
    for name, item in mapping(value).items():
        words = tuple(part for part in items(item) if isinstance(part, str))
        if words:
            found[name] = words
        elif isinstance(item, str | bool | int):
            if item != "":
                found[name] = item
        elif item not in (None, []):
            raise UnreadableError(f"environment.{name}", "must be a text, a whole number, true, false or a list of texts")
    return found


def _type(raw: Json) -> PipelineType:
    kind = _word(_TYPES, raw, "type")
    if kind is None:
        raise UnreadableError("type", "must be Batch or Streaming")
    return kind


def _word(words: Mapping[str, W], raw: Json, name: str, where: str = "") -> W | None:
    """Return what a field says, None where it is absent; an unknown word is not guessed at: too much hangs on it."""
    found = word(words, raw.get(name))
    if found is None and raw.get(name) not in (None, ""):
        raise UnreadableError(f"{where}{name}", f"must be one of {', '.join(words)}")
    return found


def _required(raw: Json, name: str, where: str = "") -> str:
    found = text(raw.get(name))
    if found is None:
        raise UnreadableError(f"{where}{name}", "must be a text and not be empty")
    return found


def _optional(raw: Json, name: str, where: str = "") -> str | None:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise UnreadableError(f"{where}{name}", "must be a text")
    return value or None


def _texts(raw: Json, name: str, where: str = "") -> dict[str, str]:
    """Return a map from text to text, byte for byte."""
    found: dict[str, str] = {}
    if raw.get(name) is not None and not isinstance(raw.get(name), dict):
        raise UnreadableError(f"{where}{name}", "must be a map from text to text")
    for key, item in mapping(raw.get(name)).items():
        if not isinstance(item, str):
            raise UnreadableError(f"{where}{name}.{key}", "must be a text: quote it")
        found[key] = item
    return found


def _seconds(raw: Json, name: str) -> timedelta | None:
    """Return a limit in seconds; absent: none."""
    return timedelta(seconds=_number(raw, name, 0)) if raw.get(name) is not None else None


def _number(raw: Json, name: str, default: int) -> int:
    found = count(raw.get(name))
    if found is None:
        if raw.get(name) is not None:
            raise UnreadableError(name, "must be a whole number")
        return default
    return found
