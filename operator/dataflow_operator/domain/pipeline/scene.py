"""What is to be told of a pipeline, and what stands in its way."""

from __future__ import annotations

from dataclasses import dataclass

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.pipeline.model import PipelineSpec, PipelineStatus
from dataflow_operator.domain.pipeline.observation import Observation


@dataclass(frozen=True, slots=True, kw_only=True)
class Obstacle:
    """What stands in the way of what the owner wants."""

    reason: Reason
    message: str
    is_final: bool
    """True: nothing will happen until the owner acts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Everything that is to be told."""

    seen: Observation
    spec: PipelineSpec | None
    status: PipelineStatus
    obstacle: Obstacle | None = None
    is_at_rest: bool = False

    @property
    def is_batch(self) -> bool:
        """Whether the pipeline's runs end by themselves."""
        return self.spec is not None and self.spec.is_batch
