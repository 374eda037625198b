"""The admin API under /emulator: health, journal, faults, identities, scripts of jobs to come and of living ones, a fresh start."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Final, cast

from aiohttp import web

from dataflow_emulator.engines.script import Script, Scripted, Scripts
from dataflow_emulator.faults import Fault, Spoil, When
from dataflow_emulator.identity.reader import configuration
from dataflow_emulator.identity.reading import ConfigurationError
from dataflow_emulator.journal import line_of
from dataflow_emulator.pubsub.broker import Broker
from dataflow_emulator.refusals import Code, RefusedError, invalid
from dataflow_emulator.rest_front import RestFront
from dataflow_emulator.service import Service

TAIL: Final = 100
"""Journal records shown when nobody says how many."""


class Admin:
    """Handlers over one service and its Pub/Sub."""

    def __init__(self, service: Service, broker: Broker) -> None:
        self._service, self._broker = service, broker

    def serve_on(self, front: RestFront) -> None:
        """Add the paths to a front."""
        front.add("GET", "/emulator/health", self.health)
        front.add("GET", "/emulator/journal", self.journal)
        front.add("GET", "/emulator/counts", self.counts)
        front.add("POST", "/emulator/reset", self.reset)
        front.add("GET", "/emulator/faults", self.faults)
        front.add("POST", "/emulator/faults", self.add_fault)
        front.add("DELETE", "/emulator/faults", self.clear_faults)
        front.add("GET", "/emulator/identity", self.identity)
        front.add("PUT", "/emulator/identity", self.put_identity)
        front.add("DELETE", "/emulator/identity", self.forget_identity)
        front.add("PUT", "/emulator/scripts", self.put_scripts)
        front.add("PUT", "/emulator/jobs/{job_id}/script", self.direct)

    async def health(self, request: web.Request) -> web.Response:
        """Tell that all is well, and how many jobs there are."""
        del request
        jobs = self._service.machine.jobs
        active = sum(not job.state.is_terminal for job in jobs)
        return web.json_response({"status": "ok", "jobs": len(jobs), "activeJobs": active, "time": datetime.now(UTC).isoformat()})

    async def journal(self, request: web.Request) -> web.Response:
        """Answer with the newest records as JSON lines: `?tail=` how many."""
        tail = _whole(request.query.get("tail", str(TAIL)))
        records = self._service.journal.records[-tail:] if tail else ()
        return web.Response(body=b"".join(map(line_of, records)), content_type="application/jsonl")

    async def counts(self, request: web.Request) -> web.Response:
        """Answer with how many calls there were."""
        del request
        counts = self._service.journal.counts()
        return web.json_response(
            [
                {"method": method, "project": project, "region": region, "calls": calls}
                for (method, project, region), calls in counts.items()
            ],
        )

    async def reset(self, request: web.Request) -> web.Response:
        """End and forget every job, fault and record, every topic and subscription."""
        del request
        self._service.reset()
        self._broker.clear()
        return web.json_response({})

    async def faults(self, request: web.Request) -> web.Response:
        """Answer with the faults that are not spent."""
        del request
        return web.json_response([asdict(fault) for fault in self._service.faults.pending])

    async def add_fault(self, request: web.Request) -> web.Response:
        """Take one fault, or a list of them."""
        body = _json(await request.read())
        asked = cast("list[object]", body) if isinstance(body, list) else [body]
        for fault in [_fault(each) for each in asked]:
            self._service.faults.add(fault)
        return web.json_response({})

    async def clear_faults(self, request: web.Request) -> web.Response:
        """Let all be well."""
        del request
        self._service.faults.clear()
        return web.json_response({})

    async def identity(self, request: web.Request) -> web.Response:
        """Answer with the pools, accounts and projects that were given, secrets of theirs among it; null if there are none."""
        del request
        known = self._service.guard.configuration
        return web.json_response(None if known is None else known.text)

    async def put_identity(self, request: web.Request) -> web.Response:
        """Take pools, accounts and projects in place of all former ones; tokens that are out stay out, and may do what they now may."""
        try:
            self._service.guard.configuration = configuration(_json(await request.read()))
        except ConfigurationError as error:
            raise invalid(str(error)) from error
        return web.json_response({})

    async def forget_identity(self, request: web.Request) -> web.Response:
        """Let whoever calls do everything."""
        del request
        self._service.guard.configuration = None
        return web.json_response({})

    async def put_scripts(self, request: web.Request) -> web.Response:
        """Take the scripts of jobs to come: an object of job name patterns and what they change."""
        engine = self._scripted()
        engine.scripts = Scripts(default=engine.scripts.default, by_name=read_scripts(await request.read()))
        return web.json_response({})

    async def direct(self, request: web.Request) -> web.Response:
        """Change the script of one living job: an object of what changes; 404 if the engine has no such job."""
        engine, job_id = self._scripted(), request.match_info["job_id"]
        changes = _directions(job_id, _json(await request.read()))
        if not engine.direct(job_id, changes):
            raise RefusedError(Code.NOT_FOUND, f"No job {job_id} is alive.")
        return web.json_response({})

    def _scripted(self) -> Scripted:
        engine = self._service.engine
        if not isinstance(engine, Scripted):
            raise RefusedError(Code.FAILED_PRECONDITION, "This engine does not go by scripts.")
        return engine


def read_scripts(text: bytes) -> tuple[tuple[str, Mapping[str, str]], ...]:
    """Read job name patterns and what they change from JSON; refuse what no script says."""
    return tuple((pattern, _directions(pattern, directions)) for pattern, directions in _object(_json(text)).items())


def _directions(whose: str, said: object) -> Mapping[str, str]:
    """Return what a script changes; refuse what no script says."""
    changes = {key: _word(value) for key, value in _object(said).items()}
    try:
        Script().directed(changes)
    except ValueError as error:
        raise invalid(f"{whose}: {error}") from error
    return changes


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _fault(asked: object) -> Fault:
    fields = _object(asked)
    try:
        return Fault(
            method=str(fields.get("method", "*")),
            who=str(fields.get("who", "*")),
            count=_whole(str(fields.get("count", 1))),
            latency_seconds=float(str(fields.get("latencySeconds", 0))),
            held=fields.get("held", False) is True,
            code=Code(str(fields["code"])) if "code" in fields else None,
            message=str(fields.get("message", Fault().message)),
            retry_after_seconds=float(str(fields["retryAfterSeconds"])) if "retryAfterSeconds" in fields else None,
            when=When(str(fields.get("when", When.BEFORE))),
            spoil=Spoil(str(fields["spoil"])) if "spoil" in fields else None,
        )
    except ValueError as error:
        raise invalid(f"This is no fault: {error}") from error


def _json(body: bytes) -> object:
    try:
        return cast("object", json.loads(body or b"{}"))
    except ValueError as error:
        raise invalid(f"The body is no JSON: {error}") from error


def _object(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise invalid("Expected a JSON object.")
    return cast("dict[str, object]", value)


def _whole(text: str) -> int:
    if not text.isdecimal():
        raise invalid(f"{text!r} is no whole number.")
    return int(text)
