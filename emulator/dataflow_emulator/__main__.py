"""``python -m dataflow_emulator``: a local Dataflow as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import cast

from dataflow_emulator.admin import read_scripts
from dataflow_emulator.emulator import Emulator
from dataflow_emulator.engines.script import Scripts
from dataflow_emulator.identity.reader import configuration
from dataflow_emulator.jobs import Options
from dataflow_emulator.rates import MEASURES
from dataflow_emulator.refusals import RefusedError
from dataflow_emulator.settings import EngineKind, Settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run an emulator until SIGTERM or SIGINT; the first line on stdout says where it listens."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    parser = _parser()
    asked = parser.parse_args(arguments)
    try:
        settings = _settings(asked)
    except (OSError, RefusedError, ValueError) as error:
        parser.error(str(error.message if isinstance(error, RefusedError) else error))
    try:
        asyncio.run(_serve(settings))
    except StartError as error:
        print(f"dataflow_emulator: {error}", file=sys.stderr)  # noqa: T201 - the answer to whoever started this process
        return 1
    return 0


class StartError(Exception):
    """The emulator could not be started; the message says why."""


async def _serve(settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_ in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signal_, stop.set)
    emulator = await _started(settings)
    try:
        ready = {"grpc": emulator.grpc_address, "rest": emulator.rest_url, "pid": os.getpid(), "engine": settings.engine}
        print(json.dumps(ready), flush=True)  # noqa: T201 - the line that whoever started this process waits for
        await stop.wait()
    finally:
        await emulator.stop()


async def _started(settings: Settings) -> Emulator:
    try:
        emulator = Emulator(settings)
        await emulator.start()
    except Exception as error:
        # A port that is taken, a folder that cannot be written, an engine that does not come up: each says it in its own class.
        raise StartError(str(error)) from error
    return emulator


def _settings(asked: argparse.Namespace) -> Settings:
    engine = EngineKind(asked.engine)
    return Settings(
        root=asked.root,
        grpc=asked.grpc,
        rest=asked.rest,
        engine=engine,
        journal=asked.journal,
        state=asked.state,
        speed=asked.speed,
        options=Options(
            labels_while_queued=asked.labels_while_queued,
            not_ready_for=timedelta(seconds=asked.not_ready_seconds),
            error_lag=timedelta(seconds=asked.error_lag_seconds),
            active_jobs_limit=asked.active_jobs_limit,
            parallel_gap=timedelta(seconds=asked.parallel_gap_seconds),
            snapshot_after=timedelta(seconds=asked.snapshot_seconds),
        ),
        scripts=Scripts(by_name=read_scripts(asked.scripts.read_bytes()) if asked.scripts else ()),
        rates=dict(_rate(each) for each in asked.rate),
        identity=_identity(asked.identity) if asked.identity else None,
        work=asked.work,
        prism=asked.prism,
        beam_python=asked.beam_python,
        images=dict(_image(each) for each in asked.image),
    )


def _identity(path: Path) -> Mapping[str, object]:
    """Return what a file says of identities; it is read as a whole here, so that a mistake in it is told before anything starts."""
    try:
        given = cast("Mapping[str, object]", json.loads(path.read_bytes()))
        configuration(given)
    except ValueError as error:
        raise ValueError(f"--identity {path}: {error}") from error
    return given


def _image(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not (name and separator and Path(path).is_file()):
        raise ValueError(f"--image {text}: expected NAME=FILE.py, and the file to be there")
    return name, Path(path).resolve()


def _rate(text: str) -> tuple[str, int]:
    measure, _, number = text.partition("=")
    if measure not in MEASURES or not number.isdecimal():
        raise ValueError(f"--rate {text}: expected one of {', '.join(sorted(MEASURES))}, and calls a minute, as in launches=60")
    return measure, int(number)


def _speed(text: str) -> float:
    speed = float(text)
    if not speed > 0:
        raise argparse.ArgumentTypeError("must be greater than 0")
    return speed


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dataflow_emulator", description="A local Dataflow: gRPC and REST, and jobs that run or only say so."
    )
    add = parser.add_argument
    add("--grpc", default="127.0.0.1:0", metavar="HOST:PORT", help="where gRPC listens; port 0 takes a free one (default: %(default)s)")
    add("--rest", default="127.0.0.1:0", metavar="HOST:PORT", help="where REST and the admin API listen (default: %(default)s)")
    add("--engine", choices=list(EngineKind), default=EngineKind.SIMULATED, help="what runs the jobs (default: %(default)s)")
    add("--root", type=Path, required=True, metavar="DIR", help="the bucket root: gs://bucket/object is DIR/bucket/object")
    add("--journal", type=Path, metavar="FILE", help="where every call and job is recorded, as JSON lines")
    add("--state", type=Path, metavar="FILE", help="SQLite file in which jobs survive a restart")
    add("--speed", type=_speed, default=1.0, metavar="N", help="scripts, purge and forced cancel go N times as fast (default: %(default)s)")
    add("--scripts", type=Path, metavar="FILE", help="how jobs go: a JSON object of job name patterns")
    add("--labels-while-queued", action="store_true", help="show the caller's labels before a job has a graph")
    add("--not-ready-seconds", type=float, default=0.0, metavar="S", help='how long young jobs answer a stop with "not yet ready"')
    add("--error-lag-seconds", type=float, default=0.0, metavar="S", help="how late ERROR messages can be read; up to 50 in life")
    add("--active-jobs-limit", type=int, default=0, metavar="N", help="active jobs in a project at most; 25 in life, 0: no limit")
    add("--parallel-gap-seconds", type=float, default=120.0, metavar="S", help="age of a job before one of its name can run beside it")
    add("--snapshot-seconds", type=float, default=0.0, metavar="S", help="how long a snapshot takes to be READY; minutes in life")
    add("--rate", action="append", default=[], metavar="KIND=N", help="launches, updates or reads of a caller a minute at most")
    add("--image", action="append", default=[], metavar="NAME=FILE.py", help="a program for flex templates with this container image")
    add("--identity", type=Path, metavar="FILE", help="pools, accounts and projects, as JSON: then every caller needs a token")
    add("--work", type=Path, metavar="DIR", help="where the Beam engine keeps the files of jobs (default: beside the root)")
    add("--prism", type=Path, metavar="FILE", help="the Prism runner, for the Beam engine")
    add("--beam-python", type=Path, metavar="FILE", help="the Python that has Beam, for the Beam engine")
    return parser


if __name__ == "__main__":
    sys.exit(main())
