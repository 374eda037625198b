"""A job that is handed over to two pipelines, or to one that the watch tells by half, goes to whom it is meant for."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders import a_job, a_spec, an_attempt, an_entry
from tests.controller.fakes import KEY, Town

from dataflow_operator.controller.ports import Key
from dataflow_operator.controller.reader import UNTOLD_READS
from dataflow_operator.domain.errors import UnavailableError
from dataflow_operator.domain.job import JobId, PipelineType
from dataflow_operator.domain.ledger import Cause
from dataflow_operator.domain.pipeline.model import Adoption, Pipeline, PipelineStatus

BY_HAND = a_job("2026-by-hand", name="by-hand", type=PipelineType.STREAMING, details={"content": "A"})
WISH = Adoption(job_name="by-hand")


@pytest.fixture
def town() -> Town:
    town = Town()
    town.dataflow.jobs[BY_HAND.id] = BY_HAND
    return town


def another(town: Town, name: str, status: PipelineStatus | None = None) -> Pipeline:
    """Return another pipeline that the job is handed over to, of which the watch has not told."""
    known = replace(town.pipeline, name=name, uid=f"uid-{name}", resource_version="1000", status=status or PipelineStatus())
    town.store.pipelines[Key(KEY.namespace, name)] = known
    return known


async def test_a_job_that_is_handed_over_is_taken_over(town: Town) -> None:
    town.store.apply(a_spec(adopt=WISH))
    await town.settle()
    assert [(entry.cause, [one.job_id for one in entry.attempts]) for entry in town.pipeline.status.ledger] == [
        (Cause.ADOPTION, [JobId("2026-by-hand")])
    ]
    assert not town.dataflow.orders


async def test_a_job_is_left_to_a_pipeline_that_the_watch_has_not_told_of(town: Town) -> None:
    town.store.apply(a_spec(adopt=WISH))
    first = another(town, "alpha")
    await town.settle()
    assert (town.pipeline.status.ledger, town.condition("Ready")) == ((), ("False", "JobNameTaken"))
    assert first not in town.cache.pipelines(), "else the watch would have nothing to tell of it, and nobody would be woken"
    del town.store.pipelines[Key(KEY.namespace, "alpha")]
    await town.until(lambda: bool(town.pipeline.status.ledger))


async def test_a_job_that_an_untold_pipeline_has_taken_is_not_taken_twice(town: Town) -> None:
    town.store.apply(a_spec(adopt=WISH))
    another(town, "zulu", PipelineStatus(run_number=1, ledger=(an_entry(1, an_attempt(job="2026-by-hand")),)))
    await town.settle()
    assert (town.pipeline.status.ledger, town.condition("Ready")) == ((), ("False", "JobNameTaken"))


async def test_no_job_is_taken_over_before_all_pipelines_are_known_and_each_is_read_once(town: Town) -> None:
    town.store.apply(a_spec(adopt=WISH))
    others = [another(town, f"zulu-{number}") for number in range(UNTOLD_READS + 1)]
    for other in others:
        town.cache.put_pipeline(other)
    with pytest.raises(UnavailableError, match="yet to be read"):
        await town.settle()
    assert (town.pipeline.status.ledger, town.store.reads) == ((), UNTOLD_READS)
    await town.settle()
    assert town.pipeline.status.ledger
    assert town.store.reads <= len(others) + 4, "and the pipeline itself, before each thing that follows"


async def test_an_edit_that_the_watch_tells_by_half_has_no_job_taken_over_that_runs_something_else(town: Town) -> None:
    town.store.apply(a_spec(content="B", adopt=WISH))
    await town.settle()
    assert town.condition("Ready") == ("False", "AdoptionDiffers")
    town.store.is_pale = True
    town.store.apply(a_spec(content="C", adopt=WISH))
    await town.settle()
    assert (town.pipeline.status.ledger, town.condition("Ready")) == ((), ("False", "AdoptionDiffers"))
