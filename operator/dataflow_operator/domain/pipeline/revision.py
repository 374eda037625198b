"""Revisions: the digest of what a pipeline runs, and what a run is given."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.pipeline.model import BeamYamlTemplate, ClassicTemplate, FlexTemplate, PipelineSpec, ResolvedSpec, Template
from dataflow_operator.domain.remembered import remembered

FORM: Final = "v1"
"""Version of the digest's form. A later form keeps the code of this one, so that the digest in an old status can be computed again."""

_LENGTH: Final = 40
"""Hex digits kept of the SHA-256: 160 bits, and short enough for a label value (63 characters)."""


@remembered
def digest_of(spec: PipelineSpec | ResolvedSpec) -> str:
    """Return the digest of what *spec* runs.

    Batch: template and parameters. Streaming: environment and jobLabels, too. Key order, empty values and defaults do not count.
    """
    parts: list[tuple[str, Mapping[str, object]]] = [("template", _plain(spec.template)), ("parameters", spec.parameters)]
    if spec.type is PipelineType.STREAMING:
        parts += [("environment", spec.environment), ("jobLabels", spec.job_labels)]
    content = {name: {key: value for key, value in part.items() if value not in _EMPTY} for name, part in parts}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return f"{FORM}-{hashlib.sha256(text.encode()).hexdigest()[:_LENGTH]}"


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
