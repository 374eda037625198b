"""The requests that launch a job, or ask whether one could be launched."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from dataflow_operator.adapters.dataflow.environment import classic_environment, flex_environment
from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.domain.pipeline.model import BeamYamlTemplate, ClassicTemplate, FlexTemplate, ResolvedSpec

YAML_TEMPLATE: Final = "gs://dataflow-templates-{region}/latest/flex/Yaml_Template"
"""Google's template that runs Beam YAML. Source: the path that `gcloud dataflow yaml run` uses."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sending:
    """What is launched, and how."""

    spec: ResolvedSpec
    job_name: str
    labels: Mapping[str, str]
    is_update: bool = False
    is_dry_run: bool = False


def classic_request(sending: Sending, template: ClassicTemplate) -> Any:
    """Return the launch of a classic template."""
    spec = sending.spec
    return messages.LaunchTemplateRequest(
        project_id=spec.project,
        location=spec.region,
        validate_only=sending.is_dry_run,
        gcs_path=template.path,
        launch_parameters=messages.LaunchTemplateParameters(
            job_name=sending.job_name,
            parameters=dict(spec.parameters),
            environment=classic_environment(spec.environment, sending.labels),
            update=sending.is_update,
            transform_name_mapping=_mapping_of(sending),
        ),
    )


def flex_request(sending: Sending, template: FlexTemplate | BeamYamlTemplate, yaml_template: str) -> Any:
    """Return the launch of a flex template; Beam YAML is a parameter of one."""
    spec = sending.spec
    match template:
        case FlexTemplate():
            path, options, parameters = template.container_spec_path, dict(template.launch_options), dict(spec.parameters)
        case BeamYamlTemplate():
            path, options = yaml_template.replace("{region}", spec.region), dict[str, str]()
            parameters = {**spec.parameters, "yaml_pipeline": template.pipeline}
            if template.jinja_variables:
                parameters["jinja_variables"] = json.dumps(dict(template.jinja_variables), sort_keys=True)
    return messages.LaunchFlexTemplateRequest(
        project_id=spec.project,
        location=spec.region,
        validate_only=sending.is_dry_run,
        launch_parameter=messages.LaunchFlexTemplateParameter(
            job_name=sending.job_name,
            container_spec_gcs_path=path,
            parameters=parameters,
            launch_options=options,
            environment=flex_environment(spec.environment, sending.labels),
            update=sending.is_update,
            transform_name_mappings=_mapping_of(sending),
        ),
    )


def _mapping_of(sending: Sending) -> dict[str, str]:
    """Return old names of transforms and their new ones: they mean something to an update only."""
    return dict(sending.spec.transform_name_mapping) if sending.is_update else {}
