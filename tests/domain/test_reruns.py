"""Why a run that repeats another one runs."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.builders import BATCH, STREAM, a_batch, a_last_run, a_run, a_spec, a_world, an_entry

from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.ledger import Cause, Result
from dataflow_operator.domain.pipeline.decide import decide
from dataflow_operator.domain.pipeline.model import PipelineSpec
from dataflow_operator.domain.pipeline.observation import Memory, RunLook, Validation
from dataflow_operator.domain.pipeline.revision import digest_of


@pytest.mark.parametrize(
    ("ran", "wanted", "cause"),
    [
        (BATCH, BATCH, Cause.ASKED),
        (BATCH, a_batch(content="B"), Cause.ASKED),
        (STREAM, STREAM, Cause.ASKED),
        (STREAM, a_spec(content="B"), Cause.ROLLBACK),
    ],
    ids=["a batch", "a batch that was changed since", "what a stream is to run anyway", "what a stream ran before"],
)
def test_only_a_stream_that_is_to_run_something_else_than_its_spec_is_rolled_back(
    ran: PipelineSpec, wanted: PipelineSpec, cause: Cause
) -> None:
    done = replace(
        a_run(an_entry(1, spec=ran), spec=ran), status=replace(a_run(an_entry(1, spec=ran), spec=ran).status, result=Result.FAILED)
    )
    asked = replace(a_run(an_entry(9), drawn=False), name="again", uid="uid-again", owner_uid=None, rerun_of="orders-1")
    memory = Memory(
        validations={"run-uid-again": Validation(problem=None, at=999.0)},
        runs={"orders-1": RunLook(run=done, at=999.0), "again": RunLook(run=asked, at=999.0)},
    )
    failed = a_last_run(2, digest=digest_of(wanted), result=Result.FAILED, reason=Reason.USER_CODE_FAILED)
    plan = decide(a_world(wanted, runs=(done, asked), memory=memory, started=wanted, run_number=2, last_run=failed))
    assert [(entry.run, entry.cause, entry.has_overrides) for entry in plan.status.ledger] == [("again", cause, True)]
