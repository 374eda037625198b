"""Templates: what a launch may say, and what program it starts. Pure; files are read in `bucket.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, cast

from dataflow_emulator.refusals import RefusedError, Violation, invalid_parameters

ENVIRONMENT_OF: Final[Mapping[str, str]] = {
    "serviceAccount": "serviceAccountEmail",
    "serviceAccountEmail": "serviceAccountEmail",
    "numWorkers": "numWorkers",
    "maxNumWorkers": "maxWorkers",
    "maxWorkers": "maxWorkers",
    "workerMachineType": "machineType",
    "machineType": "machineType",
    "tempLocation": "tempLocation",
    "stagingLocation": "stagingLocation",
    "network": "network",
    "subnetwork": "subnetwork",
    "workerRegion": "workerRegion",
    "workerZone": "workerZone",
    "zone": "zone",
    "diskSizeGb": "diskSizeGb",
    "sdkContainerImage": "sdkContainerImage",
    "dataflowKmsKey": "kmsKeyName",
    "enableStreamingEngine": "enableStreamingEngine",
    "experiments": "additionalExperiments",
    "labels": "additionalUserLabels",
}
"""Pipeline options that a launch may give as parameters though no metadata names them, and the environment field that means
the same. gcloud passes them so for YAML pipelines; given in both places they are refused, as recorded for serviceAccount."""

SERVICE_OPTIONS: Final = ("dataflow_service_options", "dataflowServiceOptions")
"""The pipeline option whose values are for the service, in Python's spelling and in Java's."""

SNAPSHOT_OPTIONS: Final = ("create_from_snapshot", "createFromSnapshot")
"""The pipeline option that starts a job from a snapshot, in Python's spelling and in Java's."""

FOR_THE_SERVICE: Final = frozenset({*SERVICE_OPTIONS, *SNAPSHOT_OPTIONS})
"""Parameters that no metadata needs to name, and that mean nothing to the program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a template, from its metadata."""

    name: str
    optional: bool = False
    regexes: tuple[str, ...] = ()
    choices: tuple[str, ...] = ()
    label: str = ""
    help_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """A program and what its metadata says about it."""

    path: str
    """gs:// path; empty for a container spec that came with the launch, or a job without a template."""
    image: str
    """What the engine runs: the container image of a flex template, the path of a classic one."""
    flex: bool = True
    name: str = ""
    description: str = ""
    streaming: bool | None = None
    """What the metadata says about the kind of job; None: nothing."""
    parameters: tuple[Parameter, ...] | None = None
    """None without metadata: then every parameter is allowed."""
    language: str = ""
    default_environment: Mapping[str, object] | None = None

    def check(self, parameters: Mapping[str, str], environment: Mapping[str, object], free: str = "") -> None:
        """Raise the service's answer to parameters that are missing, unknown, ill-formed or said twice."""
        violations = [*_said_twice(parameters, environment)]
        if self.parameters is not None:
            violations += [*_missing(self.parameters, parameters), *_unknown(self.parameters, parameters, free)]
            violations += _ill_formed(self.parameters, parameters)
        if violations:
            raise invalid_parameters(tuple(violations))


def _said_twice(parameters: Mapping[str, str], environment: Mapping[str, object]) -> list[Violation]:
    return [
        Violation(
            parameter=name,
            description=f"Runtime parameter {name} should not be specified in both parameters field and environment field."
            " Specifying runtime parameters in environment field is recommended.",
        )
        for name in parameters
        if ENVIRONMENT_OF.get(name) in environment
    ]


def _missing(known: tuple[Parameter, ...], given: Mapping[str, str]) -> list[Violation]:
    return [
        Violation(parameter=each.name, description="Missing required parameter")
        for each in known
        if not each.optional and each.name not in given
    ]


def _unknown(known: tuple[Parameter, ...], given: Mapping[str, str], free: str) -> list[Violation]:
    names = {each.name for each in known} | ENVIRONMENT_OF.keys() | FOR_THE_SERVICE
    return [
        Violation(parameter=name, description="Unrecognized parameter")
        for name in given
        if name not in names and not (free and name.startswith(free))
    ]


def _ill_formed(known: tuple[Parameter, ...], given: Mapping[str, str]) -> list[Violation]:
    return [
        Violation(parameter=each.name, description=complaint)
        for each in known
        if each.name in given
        for complaint in _complaints(each, given[each.name])
    ]


def _complaints(parameter: Parameter, value: str) -> list[str]:
    complaints = [f"Value does not match regex {regex}" for regex in parameter.regexes if not _matches(regex, value)]
    if parameter.choices and value not in parameter.choices:
        complaints.append(f"Value must be one of {', '.join(parameter.choices)}")
    return complaints


def _matches(regex: str, value: str) -> bool:
    try:
        return re.fullmatch(regex, value) is not None
    except re.error:
        # Metadata is written for Java's regular expressions; one that only Java knows holds nobody up here.
        return True


def flex_template(path: str, spec: object, refusal: RefusedError) -> Template:
    """Read a ContainerSpec as it is found in the wild: camelCase or snake_case, booleans as words; raise *refusal* if it is none."""
    fields = _fields(spec)
    image = _text(fields, "image")
    if not image:
        raise refusal
    metadata = fields.get("metadata")
    environment = fields.get("defaultenvironment")
    return _described(
        Template(
            path=path,
            image=image,
            language=_text(_fields(fields.get("sdkinfo")), "language"),
            default_environment=cast("Mapping[str, object]", environment) if isinstance(environment, Mapping) else None,
        ),
        metadata,
        refusal,
    )


def classic_template(path: str, metadata: object, refusal: RefusedError) -> Template:
    """Describe the classic template at *path*; its metadata may be absent (None)."""
    return _described(Template(path=path, image=path, flex=False), metadata, refusal)


def _described(template: Template, metadata: object, refusal: RefusedError) -> Template:
    if metadata is None:
        return template
    fields = _fields(metadata)
    listed = fields.get("parameters", [])
    if not isinstance(listed, list):
        raise refusal
    streaming = fields.get("streaming")
    return replace(
        template,
        name=_text(fields, "name"),
        description=_text(fields, "description"),
        streaming=None if streaming is None else _truth(streaming),
        parameters=tuple(_parameter(each) for each in cast("list[object]", listed)),
    )


def _parameter(entry: object) -> Parameter:
    fields = _fields(entry)
    options = _list(fields, "enumoptions")
    return Parameter(
        name=_text(fields, "name"),
        optional=_truth(fields.get("isoptional", False)),
        regexes=tuple(str(regex) for regex in _list(fields, "regexes")),
        choices=tuple(_text(_fields(option), "value") for option in options),
        label=_text(fields, "label"),
        help_text=_text(fields, "helptext"),
    )


def _fields(value: object) -> Mapping[str, object]:
    """Return a JSON object's fields under names without case and underscores, so that both spellings are one."""
    if not isinstance(value, Mapping):
        return {}
    mapping = cast("Mapping[object, object]", value)
    return {str(key).replace("_", "").lower(): field for key, field in mapping.items()}


def _text(fields: Mapping[str, object], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""


def _list(fields: Mapping[str, object], name: str) -> list[object]:
    value = fields.get(name)
    return cast("list[object]", value) if isinstance(value, list) else []


def _truth(value: object) -> bool:
    return value is True or (isinstance(value, str) and value.lower() == "true")
