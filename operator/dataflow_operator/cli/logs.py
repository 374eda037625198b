"""`kubectl dataflow logs`: what the operator told about a pipeline or a run, in the order of time, and where the rest is.

The job's own messages and the workers' logs are with Google, who wants a credential for them: the commands that read them are printed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, stamp, text
from dataflow_operator.adapters.kubernetes.wire import pipeline_of, run_of
from dataflow_operator.cli.gist import says_the_same, without_told
from dataflow_operator.cli.glance import job_word
from dataflow_operator.cli.objects import data_of
from dataflow_operator.cli.reading import Kind, Subject, events, found, path_of, runs, seen_at, times_of, uid_of
from dataflow_operator.cli.server import Server, connected
from dataflow_operator.cli.terminal import FAINT, RED, YELLOW, Format, Place, Streams, painted
from dataflow_operator.domain.ledger import Attempt
from dataflow_operator.domain.message import Importance
from dataflow_operator.domain.pipeline.model import Broken

LOOK_SECONDS: Final = 2.0
"""Between two looks of --follow. Source: chosen, as that of `status --watch`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    name: str
    place: Place = field(default_factory=Place)
    output: Format = Format.TEXT
    follows: bool = False
    tail: int | None = None
    """None, or less than nothing: all that there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that was told."""

    at: datetime | None
    is_bad: bool
    who: str
    """The pipeline, or the run and attempt."""
    reason: str
    text: str

    @property
    def time(self) -> str:
        """When, to the second."""
        return (stamp(self.at.replace(microsecond=0)) or "?") if self.at is not None else "?"


def logs(options: Options, streams: Streams) -> int:
    """Write the lines; return the exit code. UndoneError: there is no such object, or it may not be read."""
    server = connected(options.place)
    subject = found(server, options.name)
    lines = _lines(server, subject)
    if options.tail is not None and options.tail >= 0:
        lines = lines[len(lines) - min(options.tail, len(lines)) :]
    if options.output.is_data:
        shown = [{"time": each.time, "bad": each.is_bad, "who": each.who, "reason": each.reason, "text": each.text} for each in lines]
        streams.out.write(data_of({"lines": shown, "commands": list(_elsewhere(server, subject))}, options.output))
        return 0
    _write(lines, streams)
    if not lines:
        streams.err.write(f"Nothing was told about {subject.kind.word} {subject.name} lately: events are kept for an hour.\n")
    if options.follows:
        return _followed(server, subject, lines, streams)
    commands = list(_elsewhere(server, subject))
    if commands:
        streams.err.write(
            painted("The job's own messages and its workers' logs are with Google:", FAINT, in_colour=streams.are_in_colour) + "\n"
        )
        streams.err.writelines(f"  {command}\n" for command in commands)
    return 0


def _followed(server: Server, subject: Subject, lines: list[Line], streams: Streams) -> int:
    """Write what is told from now on, until the object is gone or the run is over."""
    known = set(lines)
    while True:
        raw = server.read(subject.path)
        if raw is None:
            return 0
        fresh = [
            each
            for each in _lines(server, Subject(kind=subject.kind, namespace=subject.namespace, name=subject.name, raw=raw))
            if each not in known
        ]
        _write(fresh, streams)
        known.update(fresh)
        if subject.kind is Kind.RUN and run_of(raw).is_over:
            return 0
        time.sleep(LOOK_SECONDS)


def _write(lines: list[Line], streams: Streams) -> None:
    in_colour = streams.are_in_colour
    for each in lines:
        reason = painted(each.reason, RED if each.is_bad else YELLOW, in_colour=in_colour)
        first, *rest = each.text.splitlines() or [""]
        streams.out.write(f"{painted(each.time, FAINT, in_colour=in_colour)}  {each.who}  {reason}  {first}\n")
        streams.out.writelines(f"    {line}\n" for line in rest)
    streams.out.flush()


def _lines(server: Server, subject: Subject) -> list[Line]:
    """Return what events, attempts and kept messages tell, oldest first."""
    if subject.kind is Kind.RUN:
        pictures, owner = [subject.raw], None
    else:
        pictures, owner = runs(server, server.namespace, subject.name), subject.raw
    lines = [line for raw in pictures for line in _of_run(raw)]
    if owner is not None:
        known = {run_of(raw).name for raw in pictures}
        entries = pipeline_of(owner).status.ledger
        lines += [line for entry in entries if entry.run not in known for line in _of_attempts(entry.run, entry.attempts)]
    # An event repeats the error of the attempt that it is about.
    errors = [line.text for line in lines if line.is_bad]
    every = [replace(line, text=without_told(line.text, errors)) for line in _told(server, subject)] + lines
    return sorted(every, key=lambda line: line.time)


def _told(server: Server, subject: Subject) -> Iterator[Line]:
    """Yield the events; those about a run are the ones of its pipeline that name it."""
    owner = (
        subject.raw
        if subject.kind is Kind.PIPELINE
        else server.read(path_of(Kind.PIPELINE, subject.namespace, run_of(subject.raw).pipeline))
    )
    about = [uid_of(each) for each in (subject.raw, owner) if each is not None]
    for event in events(server, subject.namespace, about):
        note = text(event.get("note")) or ""
        is_direct = mapping(event.get("regarding")).get("uid") == uid_of(subject.raw)
        if not is_direct and subject.name not in note.replace(",", " ").replace(";", " ").split():
            continue
        times = times_of(event)
        yield Line(
            at=seen_at(event),
            is_bad=event.get("type") == "Warning",
            who=text(mapping(event.get("regarding")).get("name")) or subject.name,
            reason=(text(event.get("reason")) or "?") + (f" x{times}" if times > 1 else ""),
            text=note,
        )


def _of_run(raw: Json) -> Iterator[Line]:
    run = run_of(raw)
    yield from _of_attempts(run.name, run.status.attempts)
    errors = [attempt.failure.message for attempt in run.status.attempts if attempt.failure is not None]
    for message in run.status.messages:
        if not says_the_same(message.text, errors):
            is_bad = message.importance is Importance.ERROR
            yield Line(at=message.time, is_bad=is_bad, who=run.name, reason=message.importance.value, text=message.text)


def _of_attempts(run: str, attempts: tuple[Attempt, ...]) -> Iterator[Line]:
    for attempt in attempts:
        who, job = f"{run} attempt {attempt.number}", f"job {attempt.job_id or attempt.job_name}"
        yield Line(at=attempt.claim.time, is_bad=False, who=who, reason="Launched", text=f"as {job}")
        if attempt.start_time is not None:
            yield Line(at=attempt.start_time, is_bad=False, who=who, reason="Running", text=job)
        if attempt.failure is not None:
            at, said = attempt.end_time or attempt.job_state_time, attempt.failure.message
            yield Line(at=at, is_bad=True, who=who, reason=attempt.failure.reason, text=said)
        elif attempt.end is not None:
            yield Line(at=attempt.end_time, is_bad=False, who=who, reason="Ended", text=f"{job} {job_word(attempt.end)}")


def _elsewhere(server: Server, subject: Subject) -> Iterator[str]:
    """Yield the commands that read what Google keeps about the job."""
    owner = (
        subject.raw
        if subject.kind is Kind.PIPELINE
        else server.read(path_of(Kind.PIPELINE, subject.namespace, run_of(subject.raw).pipeline))
    )
    spec = pipeline_of(owner).spec if owner is not None else None
    resolved = run_of(subject.raw).status.resolved_spec if subject.kind is Kind.RUN else None
    project, region = (resolved.project, resolved.region) if resolved is not None else (None, None)
    if project is None and spec is not None and not isinstance(spec, Broken):
        project, region = spec.project, spec.region
    job = text(mapping(subject.raw.get("status")).get("jobId"))
    if job is None or project is None or region is None:
        return
    yield f"gcloud beta dataflow logs list {job} --project={project} --region={region} --importance=detailed"
    which = f'resource.type="dataflow_step" AND resource.labels.job_id="{job}"'
    yield f"gcloud logging read '{which}' --project={project} --limit=100 --format='value(timestamp,severity,jsonPayload.message)'"
