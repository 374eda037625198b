"""The Beam engine: jobs that really run."""

from __future__ import annotations

import asyncio
import collections
import csv
import json
import os
import re
import select
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from tests.emulator.beam_world import World, a_world, gone, group, parent_of
from tests.waiting import patience

from dataflow_emulator.engine import Ended, Graphed, Importance, JobType, Measured, Outcome, Started
from dataflow_emulator.engines.beam import BeamEngine
from dataflow_emulator.engines.beam_process import ChildOrder, WorkerError, Zygote
from dataflow_local.install import beam_python

pytestmark = pytest.mark.asyncio(loop_scope="module")

AGGREGATION = """
pipeline:
  type: chain
  transforms:
    - type: ReadFromCsv
      config:
        path: gs://{{ bucket }}/in/*.csv
    - type: Filter
      config:
        language: python
        keep: amount > 10
    - type: Combine
      config:
        group_by: country
        combine:
          total: {value: amount, fn: sum}
    - type: WriteToCsv
      config:
        path: gs://{{ bucket }}/out/totals.csv
"""

TEXT = "The quick brown fox jumps over the lazy dog.\n\nIt's the dog's own fault: the fox, quick as ever, Jumps!\n" * 50


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    async with a_world(tmp_path_factory.mktemp("beam")) as world:
        yield world


async def a_stream(world: World, job_id: str, folder: Path, **parameters: str) -> int:
    """Launch the streaming program; return its process id when it has counted something."""
    file = folder / f"{job_id}.pid"
    given = {"pidFile": str(file), "output": f"gs://{job_id}/counts", "windowSeconds": "1", "eventsPerSecond": "50"}
    await world.launch(job_id, "own-stream", **{**given, **parameters})
    await world.until(lambda: world.metric(job_id, "events") > 0)
    return int(file.read_text())


async def test_a_yaml_pipeline_computes_what_python_computes(world: World) -> None:
    rows = [(f"c{number % 7}", number % 41) for number in range(2000)]
    folder = world.root / "yaml" / "in"
    folder.mkdir(parents=True)
    for part in range(2):
        with (folder / f"{part}.csv").open("w") as file:
            csv.writer(file).writerows([("country", "amount"), *rows[part::2]])
    expected: dict[str, int] = collections.defaultdict(int)
    for country, amount in rows:
        expected[country] += amount if amount > 10 else 0

    await world.launch("yaml", "emulator/yaml-template", yaml_pipeline=AGGREGATION, jinja_variables='{"bucket": "yaml"}')

    assert await world.end_of("yaml") is Outcome.DONE
    (out,) = (world.root / "yaml" / "out").iterdir()
    with out.open() as file:
        assert {row["country"]: int(row["total"]) for row in csv.DictReader(file)} == expected
    kinds = [type(event) for event in world.events("yaml") if not isinstance(event, Measured)]
    assert kinds[:2] == [Graphed, Started]
    assert kinds[-1] is Ended


async def test_a_yaml_pipeline_can_lie_in_a_bucket(world: World) -> None:
    bucket = world.root / "file"
    bucket.mkdir()
    (bucket / "p.yaml").write_text(
        "pipeline: {type: chain, transforms: [{type: Create, config: {elements: [{a: 1}]}}, {type: WriteToJson, config: {path: gs://file/out}}]}"
    )
    await world.launch("file", "emulator/yaml-template", yaml_pipeline_file="gs://file/p.yaml")
    assert await world.end_of("file") is Outcome.DONE
    assert json.loads(next(bucket.glob("out*")).read_text()) == {"a": 1}


@pytest.mark.parametrize("template", ["emulator/word-count", "gs://dataflow-templates-europe-west1/latest/Word_Count"])
async def test_word_count_counts_words(world: World, template: str) -> None:
    bucket = world.root / "words"
    bucket.mkdir(exist_ok=True)
    (bucket / "text.txt").write_text(TEXT)
    job_id = template.rsplit("/", 1)[-1]
    await world.launch(job_id, template, inputFile="gs://words/*.txt", output="gs://words/out/counts")
    assert await world.end_of(job_id) is Outcome.DONE
    lines = [line.split(": ") for file in (bucket / "out").iterdir() for line in file.read_text().splitlines()]
    expected = collections.Counter(re.findall(r"[A-Za-z]+(?:'[A-Za-z]+)*", TEXT))
    assert {word: int(count) for word, count in lines} == expected
    assert world.metric(job_id, "empty_lines", step="ExtractWords") == 50
    assert world.metric(job_id, "ElementCount", output_user_name="ExtractWords-out0") == expected.total()
    assert world.metric(job_id, "ElementCount", output_user_name="CountWords/CombinePerKey(CountCombineFn)-out0") == len(expected)


async def test_a_drain_processes_all_that_was_read(world: World, tmp_path: Path) -> None:
    pid = await a_stream(world, "drained", tmp_path, eventsPerSecond="200")
    await world.until(lambda: world.metric("drained", "events") > 300)
    await world.engine.drain("drained")
    assert await world.end_of("drained") is Outcome.DRAINED
    assert world.counted("drained") == world.metric("drained", "events") > 300
    await gone(pid)
    graphed = next(event for event in world.events("drained") if isinstance(event, Graphed))
    assert graphed.type is JobType.STREAMING
    assert "CountPerKey" in graphed.steps


async def test_a_cancel_ends_all_processes(world: World, tmp_path: Path) -> None:
    pid = await a_stream(world, "cancelled", tmp_path)
    assert len(group(pid)) == 2  # the worker and its Prism
    await world.engine.cancel("cancelled")
    assert await world.end_of("cancelled") is Outcome.CANCELLED
    await gone(pid)
    assert not list((world.root.parent / "work" / "tmp").glob("cancelled*"))


async def test_a_failing_step_fails_the_job_with_its_last_error(world: World) -> None:
    await world.launch("fails", "divides")
    assert await world.end_of("fails") is Outcome.FAILED
    trace, cause = world.messages("fails", Importance.ERROR)
    assert cause == "Workflow failed. Causes: ZeroDivisionError: integer division or modulo by zero [while running 'Divide']"
    assert 'p | beam.Create([3, 0]) | "Divide"' in trace
    assert trace.count("ZeroDivisionError") == 1


async def test_a_wrong_yaml_pipeline_fails_with_the_line(world: World) -> None:
    text = "pipeline:\n  type: chain\n  transforms:\n    - type: Create\n      config: {elements: [1]}\n    - type: Nonsense\n"
    await world.launch("wrong", "emulator/yaml-template", yaml_pipeline=text)
    assert await world.end_of("wrong") is Outcome.FAILED
    cause = world.messages("wrong", Importance.ERROR)[-1]
    assert cause.startswith("Workflow failed. Causes: ")
    assert "Nonsense" in cause
    assert "line 6" in cause


async def test_a_missing_parameter_fails_with_the_programs_own_words(world: World) -> None:
    await world.launch("without", "emulator/word-count", inputFile="gs://words/text.txt")
    assert await world.end_of("without") is Outcome.FAILED
    assert "the following arguments are required: --output" in world.messages("without", Importance.ERROR)[-1]


async def test_an_unknown_image_fails_the_job_and_says_what_to_do(world: World) -> None:
    await world.launch("unknown", "gcr.io/nobody/knows")
    assert await world.end_of("unknown") is Outcome.FAILED
    assert "--image gcr.io/nobody/knows=FILE.py" in world.messages("unknown", Importance.ERROR)[-1]


async def test_a_killed_worker_fails_the_job_and_leaves_nothing(world: World, tmp_path: Path) -> None:
    pid = await a_stream(world, "killed", tmp_path)
    os.kill(pid, signal.SIGKILL)
    assert await world.end_of("killed") is Outcome.FAILED
    assert world.messages("killed", Importance.ERROR) == [
        "Workflow failed. Causes: The worker process ended by signal 9 before the pipeline did."
    ]
    await gone(pid)


async def test_a_killed_prism_fails_the_job(world: World, tmp_path: Path) -> None:
    pid = await a_stream(world, "unrun", tmp_path)
    (prism,) = [member for member in group(pid) if member != pid]
    os.kill(prism, signal.SIGKILL)
    assert await world.end_of("unrun") is Outcome.FAILED
    assert world.messages("unrun", Importance.ERROR)[-1] == (
        "Workflow failed. Causes: The runner Prism ended by signal 9 before the pipeline did."
    )
    await gone(pid)


async def test_jobs_outlive_the_zygote_and_new_ones_get_a_new_one(tmp_path: Path) -> None:
    async with a_world(tmp_path / "zygote") as world:
        pid = await a_stream(world, "survivor", tmp_path)
        os.kill(parent_of(pid), signal.SIGKILL)
        await world.launch("next", "divides")
        assert await world.end_of("next") is Outcome.FAILED
        assert "ZeroDivisionError" in world.messages("next", Importance.ERROR)[-1]
        before = world.metric("survivor", "events")
        await world.until(lambda: world.metric("survivor", "events") > before)
        await world.engine.cancel("survivor")
        assert await world.end_of("survivor") is Outcome.CANCELLED
        await gone(pid)


async def test_a_zygote_whose_death_nobody_has_heard_of_yet_is_replaced(tmp_path: Path) -> None:
    zygote = Zygote(beam_python=beam_python(), log=tmp_path / "zygote.log")
    await zygote.start()
    process, control = zygote._process, zygote._control  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # nobody tells of a kill
    assert process is not None
    assert control is not None
    process.kill()
    # Without a turn of the loop, which would hear of it.
    assert select.select([control], [], [], 20)[0]
    program = tmp_path / "program.py"
    program.write_text("")
    places = {"program": str(program), "root": str(tmp_path), "temporary": str(tmp_path), "log": str(tmp_path / "log")}
    child = await zygote.fork(ChildOrder(job_id="next", job_name="next", arguments=[], prism=None, pubsub="", **places))
    assert [event async for event in child.events()]
    assert await child.end() == 0
    await zygote.close()


async def test_a_compatible_update_hands_over_and_loses_nothing(world: World, tmp_path: Path) -> None:
    await a_stream(world, "old", tmp_path)
    await world.launch(
        "new",
        "emulator/event-counts",
        replaces="old",
        output="gs://new/counts",
        windowSeconds="1",
        eventsPerSecond="80",
    )
    await world.until(lambda: world.metric("new", "events") > 0)
    told = [(job, type(event)) for job, event in world.told if not isinstance(event, Measured)]
    graphed, ended, started = (told.index(one) for one in [("new", Graphed), ("old", Ended), ("new", Started)])
    assert graphed < ended < started
    assert await world.end_of("old") is Outcome.DRAINED
    assert "flush" in world.messages("new", Importance.WARNING)[0]
    await world.engine.drain("new")
    assert await world.end_of("new") is Outcome.DRAINED
    assert world.counted("old") == world.metric("old", "events")
    assert world.counted("new") == world.metric("new", "events")


async def test_renamed_steps_hand_over_with_a_mapping_only(world: World, tmp_path: Path) -> None:
    await a_stream(world, "named", tmp_path)
    parameters = {"output": "gs://renamed/counts", "windowSeconds": "1"}
    await world.replace("named", "unmapped", "renamed-stream", parameters, renames={})
    assert await world.end_of("unmapped") is Outcome.FAILED
    assert "missing steps CountPerKey, GatherWindow." in world.messages("unmapped", Importance.ERROR)[-1]
    renames = {"CountPerKey": "TallyPerKey", "GatherWindow": "Gather"}
    await world.replace("named", "mapped", "renamed-stream", parameters, renames)
    await world.until(lambda: world.is_running("mapped"))
    assert await world.end_of("named") is Outcome.DRAINED
    await world.engine.cancel("mapped")
    assert await world.end_of("mapped") is Outcome.CANCELLED


async def test_an_incompatible_update_is_refused_and_the_old_job_runs_on(world: World, tmp_path: Path) -> None:
    await a_stream(world, "stays", tmp_path)
    await world.launch("refused", "other-stream", replaces="stays")
    assert await world.end_of("refused") is Outcome.FAILED
    refusal = (
        "Workflow failed. Causes: The new job is not compatible with stays. The original job (if it existed) has not been aborted., "
        "The new job is missing steps ToOneKey, GatherWindow, WriteWindow. "
        "If these steps have been renamed or deleted, please specify them with the update command., "
        "The Coder or type for step CountPerKey has changed."
    )
    assert world.messages("refused", Importance.ERROR) == [refusal]
    assert not any(isinstance(event, Graphed | Started) for event in world.events("refused"))
    before = world.metric("stays", "events")
    await world.until(lambda: world.metric("stays", "events") > before)
    assert not any(isinstance(event, Ended) for event in world.events("stays"))
    await world.engine.cancel("stays")
    assert await world.end_of("stays") is Outcome.CANCELLED


async def test_a_job_that_does_not_run_cannot_be_replaced(world: World) -> None:
    await world.launch("heir", "emulator/event-counts", replaces="nobody", output="gs://heir/counts")
    assert await world.end_of("heir") is Outcome.FAILED
    assert "nobody is not a running streaming job" in world.messages("heir", Importance.ERROR)[-1]


async def test_a_fourth_batch_waits_until_one_of_three_is_done(world: World, tmp_path: Path) -> None:
    jobs = [f"waits-{number}" for number in range(4)]
    for number, job_id in enumerate(jobs):
        await world.launch(job_id, "waits", until=str(tmp_path / ("first" if number == 0 else "others")))
    await world.until(lambda: all(world.is_running(job_id) for job_id in jobs[:3]))
    assert not world.events(jobs[3])
    (tmp_path / "first").touch()
    await world.until(lambda: world.is_running(jobs[3]))
    (tmp_path / "others").touch()
    for job_id in jobs:
        assert await world.end_of(job_id) is Outcome.DONE


async def test_a_queued_job_can_be_cancelled(world: World, tmp_path: Path) -> None:
    jobs = [f"queued-{number}" for number in range(4)]
    for job_id in jobs:
        await world.launch(job_id, "waits", until=str(tmp_path / "never"))
    for job_id in reversed(jobs):
        await world.engine.cancel(job_id)
        assert await world.end_of(job_id) is Outcome.CANCELLED
    assert world.events(jobs[3]) == [Ended(outcome=Outcome.CANCELLED)]


async def test_a_job_listens_on_the_loopback_interface_only(world: World, tmp_path: Path) -> None:
    pid = await a_stream(world, "listens", tmp_path)
    sockets = [socket for member in group(pid) for socket in psutil.Process(member).net_connections("inet")]
    addresses = {socket.laddr.ip for socket in sockets if socket.status == psutil.CONN_LISTEN}
    # ::ffff:127.0.0.1 is how a socket of both families shows that it is bound to the old one's loopback.
    assert {address.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}
    await world.engine.cancel("listens")
    assert await world.end_of("listens") is Outcome.CANCELLED


@pytest.mark.parametrize("python", [sys.executable, "/nowhere/python"])
async def test_an_environment_without_beam_is_refused_at_the_start(tmp_path: Path, python: str) -> None:
    engine = BeamEngine(tmp_path / "root", tmp_path / "work", None, Path(python), {})
    with pytest.raises(WorkerError, match=r"cannot run Beam: ModuleNotFoundError: No module named 'apache_beam'|cannot be run: "):
        await engine.start(lambda _job_id, _event: None)
    await engine.close()


async def test_a_program_that_brings_its_own_runner_gets_ours(world: World) -> None:
    await world.launch("brings", "brings-runner")
    assert await world.end_of("brings") is Outcome.DONE
    assert world.metric("brings", "ElementCount", output_user_name="Double-out0") == 3


async def test_a_close_leaves_no_process_and_tells_nothing(tmp_path: Path) -> None:
    async with a_world(tmp_path / "closed") as world:
        pid = await a_stream(world, "closed", tmp_path)
        told = len(world.told)
    await gone(pid)
    assert not any(isinstance(event, Ended) for _, event in world.told[told:])


async def test_without_prism_a_batch_runs_on_the_fn_api_runner_and_says_so(tmp_path: Path) -> None:
    async with a_world(tmp_path / "bare", with_prism=False) as world:
        (world.root / "words").mkdir()
        (world.root / "words" / "text.txt").write_text(TEXT)
        await world.launch("bare", "emulator/word-count", inputFile="gs://words/text.txt", output="gs://words/out")
        assert await world.end_of("bare") is Outcome.DONE
        assert "FnApiRunner" in world.messages("bare", Importance.WARNING)[0]
        assert "the: 150" in next((world.root / "words").glob("out*")).read_text().splitlines()


async def test_without_prism_a_stream_gives_its_windows_when_it_drains(tmp_path: Path) -> None:
    async with a_world(tmp_path / "bare", with_prism=False) as world:
        await a_stream(world, "bare", tmp_path)
        assert "windows only when the job drains" in world.messages("bare", Importance.WARNING)[0]
        await world.engine.drain("bare")
        assert await world.end_of("bare") is Outcome.DRAINED
        assert world.counted("bare") == world.metric("bare", "events") > 0


async def test_a_killed_emulator_leaves_no_process(tmp_path: Path) -> None:
    script = (
        "import asyncio, pathlib, sys\n"
        "from tests.emulator.beam_world import a_world\n"
        "from tests.emulator.test_beam import a_stream\n"
        "async def live(folder):\n"
        "    async with a_world(folder / 'killed') as world:\n"
        "        print(await a_stream(world, 'orphan', folder), flush=True)\n"
        "        await asyncio.Event().wait()\n"
        "asyncio.run(live(pathlib.Path(sys.argv[1])))\n"
    )
    emulator = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, str(tmp_path), stdout=asyncio.subprocess.PIPE, cwd=Path(__file__).parents[2]
    )
    assert emulator.stdout
    async with asyncio.timeout(60 * patience()):
        pid = int(await emulator.stdout.readline())
    assert len(group(pid)) == 2
    emulator.kill()
    await emulator.wait()
    await gone(pid)
