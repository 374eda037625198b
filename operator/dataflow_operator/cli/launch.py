"""What would be sent to Dataflow, in its own words, by the adapter's own builders. Its messages take most of a second to import."""

from __future__ import annotations

import json
from typing import Any

from dataflow_operator.adapters.dataflow.launching import YAML_TEMPLATE, Sending, classic_request, flex_request
from dataflow_operator.domain.pipeline.model import ClassicTemplate, PipelineSpec
from dataflow_operator.domain.pipeline.revision import resolved


def launch_of(spec: PipelineSpec, *, is_update: bool) -> dict[str, Any]:
    """Return the launch's parameters as JSON, without the job's name and the labels that say whose it is. RefusedError: it cannot be written."""
    # Names and ids are given out when a run is started; what is shown is what the owner decides.
    sending = Sending(spec=resolved(spec, {}), job_name="", labels=spec.job_labels, is_update=is_update)
    if isinstance(spec.template, ClassicTemplate):
        request = classic_request(sending, spec.template)
        return {"gcsPath": request.gcs_path, **_json(request.launch_parameters)}
    return _json(flex_request(sending, spec.template, YAML_TEMPLATE).launch_parameter)


def _json(message: Any) -> dict[str, Any]:
    kind: Any = message.__class__
    written: dict[str, Any] = kind.to_dict(
        message, use_integers_for_enums=False, preserving_proto_field_name=False, always_print_fields_with_no_presence=False
    )
    # A message's maps are in any order, another one each time.
    ordered: dict[str, Any] = json.loads(json.dumps(written, sort_keys=True))
    return ordered
