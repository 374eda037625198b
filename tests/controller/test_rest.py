"""A pass that finds all as it was left looks no further; whatever is new, or due, is looked at."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.builders import a_spec
from tests.controller.fakes import KEY, Town


@pytest.fixture
async def town() -> Town:
    """A stream whose job runs on trial, so that there is a time at which it is looked at again."""
    town = Town()
    await town.runs(a_spec())
    return town


async def test_a_key_that_is_woken_by_the_words_of_its_own_writes_costs_no_observation(town: Town) -> None:
    due, before = town.due, town.observations
    assert due is not None
    town.clock.seconds += 3
    again = await town.reconciler.reconcile(KEY)
    assert again is not None
    assert again.total_seconds() == pytest.approx(due.total_seconds() - 3)
    assert town.observations == before


async def test_what_is_due_is_looked_at(town: Town) -> None:
    before = town.observations
    assert town.due is not None
    town.clock.seconds += town.due.total_seconds()
    await town.reconciler.reconcile(KEY)
    assert town.observations == before + 1


def a_later_list(town: Town) -> None:
    town.clock.seconds += 1
    town.lists.poll()


def a_touched_run(town: Town) -> None:
    town.cache.put_run(replace(town.store.runs["orders-1"], resource_version="9999"))


def a_run_that_is_gone(town: Town) -> None:
    run = town.store.runs["orders-1"]
    town.cache.drop_run(run.namespace, run.name, run.uid)


def a_pipeline_of_another_version(town: Town) -> None:
    town.cache.put_pipeline(replace(town.pipeline, resource_version="9999"))


@pytest.mark.parametrize("news", [a_later_list, a_touched_run, a_run_that_is_gone, a_pipeline_of_another_version])
async def test_what_is_new_is_looked_at(town: Town, news: Callable[[Town], None]) -> None:
    before = town.observations
    news(town)
    await town.reconciler.reconcile(KEY)
    assert town.observations > before


async def test_an_operator_that_was_started_anew_looks(town: Town) -> None:
    before = town.observations
    town.restart()
    await town.reconciler.reconcile(KEY)
    assert town.observations > before


async def test_an_edit_that_a_read_tells_of_after_a_lost_answer_is_looked_at_though_the_watch_has_no_more_news() -> None:
    town = Town()
    town.store.loses_an_answer = lambda: town.store.apply(a_spec(suspend=False))
    town.store.apply(a_spec(suspend=True))
    await town.settle()
    assert town.store.loses_an_answer is None
    assert town.pipeline.status.observed_generation == town.pipeline.generation
