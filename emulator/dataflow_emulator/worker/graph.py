"""A pipeline's graph as the emulator needs it: type, steps, and what an update must keep."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from apache_beam.coders import coders
from apache_beam.portability import common_urns, python_urns
from apache_beam.portability.api import beam_runner_api_pb2 as proto
from google.protobuf.wrappers_pb2 import BytesValue

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP_BY_KEY = common_urns.primitives.GROUP_BY_KEY.urn
COMBINE_PER_KEY = common_urns.composites.COMBINE_PER_KEY.urn
PAR_DO = common_urns.primitives.PAR_DO.urn


def is_streaming(pipeline: proto.Pipeline) -> bool:
    """Whether any collection is unbounded: such a job never ends by itself."""
    return any(collection.is_bounded == proto.IsBounded.UNBOUNDED for collection in pipeline.components.pcollections.values())


def describe(pipeline: proto.Pipeline, *, streaming: bool) -> dict[str, Any]:
    """The content of the `graph` event.

    `state` has the fingerprint of what each stateful step keeps, `sides` the side inputs of every ParDo, both by name.
    Longer windows, other parameters and other functions make the same graph; another kind of window does not.
    """
    steps = list(leaves(pipeline))
    return {
        "streaming": streaming,
        "steps": [step.unique_name for step in steps],
        "state": {step.unique_name: kept for step in steps if (kept := _kept(step, pipeline.components))},
        "sides": {step.unique_name: sorted(_par_do(step).side_inputs) for step in steps if step.spec.urn == PAR_DO},
    }


def leaves(pipeline: proto.Pipeline) -> Iterator[proto.PTransform]:
    """Steps in the order of the graph; a combine counts as one, though it has parts."""
    waiting = list(reversed(pipeline.root_transform_ids))
    while waiting:
        transform = pipeline.components.transforms[waiting.pop()]
        if transform.subtransforms and transform.spec.urn != COMBINE_PER_KEY:
            waiting.extend(reversed(transform.subtransforms))
        elif transform.spec.urn or transform.subtransforms:
            yield transform


def _par_do(step: proto.PTransform) -> proto.ParDoPayload:
    return proto.ParDoPayload.FromString(step.spec.payload)


def _kept(step: proto.PTransform, components: proto.Components) -> str | None:
    """A digest of the coders of all that a step keeps between bundles; None when it keeps nothing."""
    match step.spec.urn:
        case urn if urn in (GROUP_BY_KEY, COMBINE_PER_KEY):
            parts = [_coder(components.pcollections[name].coder_id, components) for name in step.inputs.values()]
            parts += _windows(step, components)
            if urn == COMBINE_PER_KEY:
                payload = proto.CombinePayload.FromString(step.spec.payload)
                parts.append(_coder(payload.accumulator_coder_id, components))
        case urn if urn == PAR_DO:
            payload = _par_do(step)
            if not (payload.restriction_coder_id or payload.state_specs or payload.timer_family_specs):
                return None
            parts = [_coder(payload.restriction_coder_id, components)] if payload.restriction_coder_id else []
            parts += [f"{name}:{_state(spec, components)}" for name, spec in sorted(payload.state_specs.items())]
            parts += sorted(payload.timer_family_specs)
            parts += _windows(step, components) if payload.state_specs or payload.timer_family_specs else []
        case _:
            return None
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _windows(step: proto.PTransform, components: proto.Components) -> list[str]:
    """How the windows of a step's inputs are written down, and whether they merge: longer windows are still the same ones."""
    strategies = [components.windowing_strategies[components.pcollections[name].windowing_strategy_id] for name in step.inputs.values()]
    return [f"{_coder(each.window_coder_id, components)}{each.merge_status}" for each in strategies]


def _state(spec: proto.StateSpec, components: proto.Components) -> str:
    kind = spec.WhichOneof("spec")
    inner = getattr(spec, kind)
    coders = sorted(field.name for field, _ in inner.ListFields() if field.name.endswith("coder_id"))
    return kind + "".join(_coder(getattr(inner, name), components) for name in coders)


def _coder(coder_id: str, components: proto.Components) -> str:
    """A coder with all its components, without the ids, which differ from build to build."""
    coder = components.coders[coder_id]
    payload = hashlib.sha256(_nameless(coder.spec)).hexdigest()[:16]
    return f"{coder.spec.urn}[{payload}]({','.join(_coder(part, components) for part in coder.component_coder_ids)})"


def _nameless(spec: proto.FunctionSpec) -> bytes:
    """A coder's payload without the name of its step, which some carry for their error messages: a step may be renamed."""
    if spec.urn != python_urns.PICKLED_CODER:
        return bytes(spec.payload)
    coder = coders.deserialize_coder(BytesValue.FromString(spec.payload).value)
    if hasattr(coder, "_step_label"):
        coder._step_label = ""  # noqa: SLF001 — Beam's deterministic coder has no other way to drop it
    return bytes(coders.serialize_coder(coder))
