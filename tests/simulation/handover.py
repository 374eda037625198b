"""A job that somebody launched by hand, and owners who hand it over to their pipelines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random
from typing import Final

from tests.simulation.outside import Cloud
from tests.simulation.wishes import CONTENTS, WORKERS

from dataflow_operator.domain.job import JobId, PipelineType
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.model import Adoption, PipelineSpec

BY_ID: Final = 0.5
"""Share of jobs that are handed over by their id."""

LATER: Final = 0.25
"""Share of jobs handed over by name that are launched only after they were handed over."""

DIFFERS: Final = 0.2
"""Share of specs that say something else than the job runs."""

ENDS: Final = 0.15
"""Share of jobs that somebody stops before, while or after they are taken over."""

LEAD_SECONDS: Final = {PipelineType.STREAMING: 150.0, PipelineType.BATCH: 60.0}
"""How long before its pipeline a job was launched at most: some still wait by then, and some batch jobs are over."""

OF_ITS_TYPE: Final = 0.9
"""Share of pipelines that are of the job's type."""

LATER_SECONDS: Final = 90.0
"""How long after its pipeline a job is launched at most, and how soon one is stopped."""


class Handover:
    """What was launched by hand, once it was; the owners of one life have one between them."""

    def __init__(self, *, chance: Random, cloud: Cloud, name: str, spec: PipelineSpec) -> None:
        self._chance = chance
        self._cloud = cloud
        self._name = name
        self._spec = spec
        """What its launcher meant it to run."""
        self._id: JobId | None = None
        self._is_prepared = False

    def any_type(self) -> PipelineType | None:
        """Return the type of a pipeline that the job is handed over to; None: any."""
        return self._spec.type if self._chance.random() < OF_ITS_TYPE else None

    async def prepare(self) -> None:
        """Launch the job, or see to it that it will be; and let some time pass, so that it may run by then, or still wait."""
        if not self._is_prepared:
            self._is_prepared = True
            if self._chance.random() < LATER:
                asyncio.get_running_loop().call_later(self._chance.random() * LATER_SECONDS, self._launch)
            else:
                self._launch()
        await asyncio.sleep(self._chance.random() * LEAD_SECONDS[self._spec.type])

    def handing(self, spec: PipelineSpec) -> PipelineSpec:
        """Return *spec* as one that hands the job over; some say something else than it runs."""
        is_by_id = self._id is not None and self._chance.random() < BY_ID
        wish = Adoption(job_id=self._id) if is_by_id else Adoption(job_name=self._name)
        fitting = replace(self.fitted(spec), adopt=wish)
        return self._otherwise(fitting) if self._chance.random() < DIFFERS else fitting

    def fitted(self, spec: PipelineSpec) -> PipelineSpec:
        """Return *spec* as one that says what the job runs, and hands over whatever it did."""
        return replace(spec, parameters=self._spec.parameters, environment=self._spec.environment)

    def _launch(self) -> None:
        made = self._cloud.launch_by_hand(self._name, self._spec)
        if made is None:
            return
        self._id = made.id
        if self._chance.random() < ENDS:
            mode = StopMode.CANCEL if self._spec.is_batch else self._chance.choice([StopMode.DRAIN, StopMode.CANCEL])
            asyncio.get_running_loop().call_later(self._chance.random() * LATER_SECONDS, self._cloud.stop_by_hand, made.id, mode)

    def _otherwise(self, spec: PipelineSpec) -> PipelineSpec:
        if spec.environment and self._chance.random() < BY_ID:
            workers = self._chance.choice([workers for workers in WORKERS if workers != spec.environment.get("maxWorkers")])
            return replace(spec, environment={**spec.environment, "maxWorkers": workers})
        return replace(spec, parameters={"content": self._chance.choice(CONTENTS.replace(spec.parameters["content"], ""))})
