"""Revisions: the digest of what a pipeline runs, and what a run is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.pipeline.model import BeamYamlTemplate, ClassicTemplate, FlexTemplate, PipelineSpec, ResolvedSpec, Template
from dataflow_operator.domain.pipeline.reach import in_place
from dataflow_operator.domain.remembered import remembered

FORM: Final = "v2"
"""Version of the digest's form: v2 leaves out what changes in place. A later form keeps the code of this one, so that the digest in an old
status can be computed again."""

FIRST_FORM: Final = "v1"

_LENGTH: Final = 40
"""Hex digits kept of the SHA-256: 160 bits, and short enough for a label value (63 characters)."""


def digest_of(spec: PipelineSpec | ResolvedSpec, form: str = FORM) -> str:
    """Return the digest of what *spec* runs.

    Batch: template and parameters. Streaming: jobLabels, too, and environment without what changes in place. Key order, empty values and
    defaults do not count. `reach.TABLE` says the same by field, and a property holds the two together.
    """
    return _newest_digest_of(spec) if form == FORM else _digest_of(spec, form)


@remembered
def _newest_digest_of(spec: PipelineSpec | ResolvedSpec) -> str:
    return _digest_of(spec, FORM)


def _digest_of(spec: PipelineSpec | ResolvedSpec, form: str) -> str:
    parts: list[tuple[str, Mapping[str, object]]] = [("template", _plain(spec.template)), ("parameters", spec.parameters)]
    if spec.type is PipelineType.STREAMING:
        environment = (
            spec.environment
            if form == FIRST_FORM
            else {name: value for name, value in spec.environment.items() if name not in in_place(spec)}
        )
        parts += [("environment", environment), ("jobLabels", spec.job_labels)]
    content = {name: {key: value for key, value in part.items() if value not in _EMPTY} for name, part in parts}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"{form}-{hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]}"


def is_wanted(digest: str | None, spec: PipelineSpec | ResolvedSpec) -> bool:
    """Whether *digest*, of whatever form, is that of *spec*."""
    return digest is not None and digest == digest_of(spec, FIRST_FORM if digest.startswith(f"{FIRST_FORM}-") else FORM)


_EMPTY: Final[tuple[object, ...]] = ("", (), {}, None)
"""Values that count as absent."""


def resolved(spec: PipelineSpec, overrides: Mapping[str, str]) -> ResolvedSpec:
    """Return what a run of *spec* runs, with a person's *overrides* of parameters laid over it."""
    return ResolvedSpec(
        type=spec.type,
        project=spec.project,
        region=spec.region,
        template=spec.template,
        service_account_name=spec.service_account_name,
        parameters={**spec.parameters, **overrides},
        environment=spec.environment,
        job_name=spec.job_name,
        job_labels=spec.job_labels,
        transform_name_mapping=spec.transform_name_mapping,
    )


def overridden(base: ResolvedSpec, overrides: Mapping[str, str]) -> ResolvedSpec:
    """Return *base* with *overrides* of parameters laid over it."""
    return replace(base, parameters={**base.parameters, **overrides}) if overrides else base


def _plain(template: Template) -> dict[str, object]:
    match template:
        case FlexTemplate():
            return {"flex": template.container_spec_path, "launchOptions": dict(template.launch_options)}
        case ClassicTemplate():
            return {"classic": template.path}
        case BeamYamlTemplate():
            return {"beamYaml": template.pipeline, "jinjaVariables": dict(template.jinja_variables)}
