"""Finished runs go as `runHistory` says."""

from __future__ import annotations

from tests.e2e.conftest import RUN, Owner, a_person_s_run, a_pipeline
from tests.waiting import eventually


def test_where_none_is_kept_a_finished_run_of_the_operators_goes_and_the_newest_and_a_persons_stay(owner: Owner) -> None:
    owner.apply(a_pipeline("nightly", parameters=RUN | {"simulate.runSeconds": "0.1"}, runHistory={"successful": 0}))
    owner.becomes("nightly", "Succeeded", "True")
    assert set(owner.runs()) == {"nightly-1"}
    owner.apply(a_person_s_run("again", "nightly"))
    eventually(owner.runs, until=lambda runs: set(runs) == {"again"}, seconds=60)
