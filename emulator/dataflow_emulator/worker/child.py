"""One job: a forked child that leads a session, runs a program unchanged as `__main__`, and tells the emulator how it goes."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import types
from pathlib import Path
from typing import Any

from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.utils.timestamp import Timestamp

from . import drain, failure, gs, meter, pubsub, runner
from .channel import Channel
from .prism import Prism

STATS_SECONDS = 1.0
"""How often the metrics are told: the emulator's users poll no faster."""


def run(fd: int) -> None:
    """Run the job whose order comes first over the socket `fd`, and end the process."""
    os.setsid()
    channel = Channel(fd)
    order = channel.first()
    _settle(order)
    # From the main thread and before there are others: the signal that ties Prism's life to ours follows the thread.
    prism = Prism(order["prism"]) if order["prism"] else None
    stage = runner.Stage(channel, prism)
    channel.listen({"go": stage.go.set, "drain": drain.DRAIN.set, "pause": drain.PAUSE.set})
    if prism:
        prism.follow()
    runner.install(stage)
    gs.serve(Path(order["root"]))
    pubsub.serve(order["pubsub"], order["job_id"], order["job_name"])
    finished = threading.Event()
    reporter = threading.Thread(target=_report, args=(channel, stage, finished), name="stats", daemon=True)
    reporter.start()
    end = _outcome(order, stage)
    if end["state"] == "DONE":
        pubsub.settle()
    finished.set()
    reporter.join()
    _tell_stats(channel, stage)
    channel.tell("end", **end)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _settle(order: dict[str, Any]) -> None:
    """Own standard streams, own temporary folder, and a clock for defaults that Beam evaluates at import."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (1, 2):
        os.dup2(log, stream)
    os.close(log)
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, force=True)
    os.environ["TMPDIR"] = tempfile.tempdir = order["temporary"]
    defaults = PeriodicImpulse.__init__.__defaults__
    # Its default start is the time at which the zygote imported it: a job would replay all ticks since.
    PeriodicImpulse.__init__.__defaults__ = (Timestamp.now(), *defaults[1:])


def _outcome(order: dict[str, Any], stage: runner.Stage) -> dict[str, Any]:
    """Run the program and its pipeline to the end; a program that does not wait for its pipeline is waited for."""
    try:
        _run_program(Path(order["program"]), order["arguments"])
        if stage.result is None:
            raise RuntimeError("The program ended without running a pipeline.")  # noqa: TRY301 — it is one failure of many here
        stage.result.wait_until_finish()
    except SystemExit as error:
        last_words = Path(order["log"]).read_text(errors="replace").strip().rsplit("\n", 1)[-1]
        cause = f"The program ended with exit code {error.code}: {last_words}"
        return {"state": "FAILED", "cause": cause, "traceback": cause}
    except BaseException as error:  # noqa: BLE001 — whatever a program raises is how its job ends
        # What goes wrong after the pipeline's end is the program's affair: Dataflow would not see it either.
        if stage.result is None or stage.result._state != PipelineState.DONE:  # noqa: SLF001 — `state` would ask a Prism that may be gone
            return {"state": "FAILED", **(_death_of(stage.prism) or failure.told(error))}
    return {"state": "DONE"}


def _death_of(prism: Prism | None) -> dict[str, str] | None:
    """What a runner that has died said last: the program sees no more than a broken connection."""
    ending = prism.ending() if prism else None
    return {"cause": ending, "traceback": ending} if ending else None


def _run_program(program: Path, arguments: list[str]) -> None:
    """Run a file as the interpreter would: as `__main__`, its folder first on the path."""
    main = types.ModuleType("__main__")
    main.__file__ = str(program)
    sys.modules["__main__"] = main
    sys.argv = [str(program), *arguments]
    sys.path.insert(0, str(program.parent))
    # Not inherited: this module's postponed annotations would hide the program's type hints from Beam.
    code = compile(program.read_bytes(), str(program), "exec", dont_inherit=True)
    try:
        exec(code, main.__dict__)  # noqa: S102 — running a program is the task
    except SystemExit as error:
        if error.code:
            raise


def _tell_stats(channel: Channel, stage: runner.Stage) -> None:
    """Tell the metrics; a bundle that changes under our eyes may spoil them, but never the job."""
    cpu_seconds = stage.prism.cpu_seconds if stage.prism else float
    try:
        metrics = meter.metrics(streaming=stage.streaming, runner_cpu_seconds=cpu_seconds, backlog_bytes=pubsub.backlog_bytes)
    except Exception:  # whatever Beam raises, the next second tells more
        logging.getLogger(__name__).exception("no metrics this time")
    else:
        channel.tell("stats", metrics=metrics)


def _report(channel: Channel, stage: runner.Stage, finished: threading.Event) -> None:
    while not finished.wait(STATS_SECONDS):
        if stage.go.is_set():
            _tell_stats(channel, stage)
