from __future__ import annotations

from typing import TYPE_CHECKING

from tests.emulator.conftest import until_state

from dataflow_emulator.journal import Call, JobForm, Journal

if TYPE_CHECKING:
    from pathlib import Path

    from tests.emulator.google_clients import Clients

    from dataflow_emulator.emulator import Emulator

PLACE = {"project_id": "p", "location": "europe-west1"}
LAUNCH = {
    **PLACE,
    "launch_parameter": {
        "job_name": "words",
        "container_spec_gcs_path": "gs://dataflow-templates/latest/flex/Word_Count",
        "parameters": {"inputFile": "gs://data/in", "output": "gs://data/out", "simulate.runSeconds": "0"},
        "environment": {"additional_user_labels": {"attempt": "1"}},
    },
}


async def test_every_call_and_every_state_is_in_the_file_before_its_answer(emulator: Emulator, caller: Clients, tmp_path: Path) -> None:
    job = (await caller.call("LaunchFlexTemplate", **LAUNCH)).job.id
    first, *_ = Journal.read(tmp_path / "journal.jsonl")
    assert isinstance(first, Call)
    assert (first.front, first.method, first.project, first.region, first.code) == ("grpc", "LaunchFlexTemplate", "p", "europe-west1", "OK")
    assert (first.job_id, first.job_name, first.fields["labels"]) == (job, "words", {"attempt": "1"})
    await until_state(emulator, job, "DONE")
    records = Journal.read(tmp_path / "journal.jsonl")
    forms = [record for record in records if isinstance(record, JobForm)]
    assert [form.state.removeprefix("JOB_STATE_") for form in forms] == ["QUEUED", "PENDING", "RUNNING", "DONE"]
    assert {form.job_id for form in forms} == {job}
    assert {form.labels["attempt"] for form in forms} == {"1"}
    assert tuple(records) == emulator.journal.records


async def test_calls_are_counted_by_method_project_and_region(emulator: Emulator, caller: Clients) -> None:
    for region in ("a", "b", "a"):
        await caller.call("ListJobs", project_id="p", location=region)
    assert emulator.journal.counts() == {("ListJobs", "p", "a"): 2, ("ListJobs", "p", "b"): 1}


async def test_two_launches_differ_in_their_digest_only_if_they_differ(emulator: Emulator, caller: Clients) -> None:
    for name in ("words", "words", "other"):
        parameter = {**LAUNCH["launch_parameter"], "job_name": name}  # type: ignore[dict-item]  # a mapping, see above
        await caller.call("LaunchFlexTemplate", **PLACE, launch_parameter=parameter, validate_only=True)
    one, two, three = (call.digest for call in emulator.journal.calls())
    assert one == two != three


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j")
    call = Call(time="t", front="rest", method="GetJob", project="p", region="r", code="OK")
    journal.add(call)
    journal.close()
    with (tmp_path / "j").open("ab") as file:
        file.write(b'{"kind":"call","ti')
    assert Journal.read(tmp_path / "j") == [call]
