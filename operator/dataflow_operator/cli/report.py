"""`kubectl dataflow report`: what somebody who helps needs to see, in one file, without what only the owner should read."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json
from dataflow_operator.cli.evidence import Asked, Evidence, evidence_of, key_of, namespace_of
from dataflow_operator.cli.family import Family
from dataflow_operator.cli.objects import data_of, name_of
from dataflow_operator.cli.reading import pipeline_name_of
from dataflow_operator.cli.redaction import Redaction
from dataflow_operator.cli.server import connected
from dataflow_operator.cli.status import about, written
from dataflow_operator.cli.terminal import Format, Place, Streams, UndoneError
from dataflow_operator.cli.version import plugin_facts

STDOUT: Final = "-"

ABOUT: Final = """\
A report of `kubectl dataflow report`, made {at}.

status.txt          every pipeline as `kubectl dataflow status --all` shows it
pipelines/ runs/    the objects
events.yaml         what was told about them in the last hour
namespaces/         the namespaces of the pipelines, and the ServiceAccounts that they name
definitions/        which versions of the objects the cluster serves and has stored
operator/           the operator's settings, its Deployment and Lease, what was told in its namespace; its pods, their logs and metrics
versions.json       of the plugin, the operator, the API and the cluster

{redacted}
{missing}"""

REDACTED: Final = """\
The values of parameters, Jinja variables, launch options and pipeline options and the text of Beam YAML are replaced by their lengths; where
such a value of six characters or more, or a longer piece of one, stands in another text, it is replaced there, too."""

SHOWN: Final = """\
The values of parameters are in it, as was asked for."""

ALWAYS: Final = """\
Replaced in any case: whatever is called a password, secret, key or token, or looks like one; e-mail addresses, but for those of service
accounts; annotations, settings and variables that are not the operator's own or of a tool that it knows.
Names are in it: of projects, buckets, accounts, jobs and parameters. Look through it before you hand it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    asked: Asked
    place: Place = field(default_factory=Place)
    file: str | None = None
    """None: a name with the time in it, in the current folder."""
    shows_parameters: bool = False


def report(options: Options, streams: Streams, now: datetime) -> int:
    """Write the file; return the exit code. What cannot be read is listed in it. UndoneError: nothing can be read, or written."""
    whole = evidence_of(connected(options.place), options.asked, now)
    redaction = Redaction(whole.objects, shows_parameters=options.shows_parameters)
    parts = list(_parts(whole, redaction, now))
    missing = [f"not read: {redaction.text(line)}\n" for line in whole.missing]
    redacted = f"{SHOWN if options.shows_parameters else REDACTED}\n{ALWAYS}\n"
    readme = ABOUT.format(at=f"{now:%Y-%m-%dT%H:%M:%SZ}", redacted=redacted, missing="".join(missing))
    stem = f"dataflow-report-{now:%Y%m%d-%H%M%S}"
    packed = _packed(stem, [("README.txt", readme), *parts], now)
    if options.file == STDOUT:
        sys.stdout.buffer.write(packed)
        return 0
    path = Path(options.file or f"{stem}.tar.gz")
    try:
        path.touch(mode=0o600)
        path.write_bytes(packed)
    except OSError as error:
        raise UndoneError(f"{path} cannot be written: {error.strerror}", mend=("# say where to: --file FILE",)) from error
    many = len(whole.pipelines)
    streams.out.write(f"{path}: {many} {'pipeline' if many == 1 else 'pipelines'}, {len(parts) + 1} files, {len(packed)} bytes\n")
    streams.err.writelines(missing)
    return 0


def _parts(whole: Evidence, redaction: Redaction, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield each file with its text."""
    for folder, group in (("pipelines", whole.pipelines), ("runs", whole.runs)):
        for raw in group:
            yield f"{folder}/{namespace_of(raw)}/{name_of(raw)}.yaml", data_of(redaction.left_of(raw), Format.YAML)
    yield "events.yaml", data_of([redaction.left_of(raw) for raw in whole.events], Format.YAML)
    yield "status.txt", redaction.text(_status(whole, redaction, now))
    versions = {**plugin_facts(), **whole.versions}
    yield "versions.json", json.dumps({name: redaction.text(value) for name, value in versions.items()}, indent=2) + "\n"
    for name, found in whole.others.items():
        yield name, data_of(redaction.left_of({"": found})[""], Format.YAML)
    yield from ((name, redaction.text(said)) for name, said in whole.texts.items())


def _status(whole: Evidence, redaction: Redaction, now: datetime) -> str:
    """Return the trees of what is left: in a text that was broken into lines no value can be found."""
    left = [[redaction.left_of(raw) for raw in group] for group in (whole.pipelines, whole.runs, whole.events)]
    streams = Streams(stdin=io.StringIO(), out=io.StringIO(), err=io.StringIO())
    return written([_family(raw, left[1], tuple(left[2])) for raw in left[0]], streams, now)


def _family(raw: Json, related: list[dict[str, object]], told: tuple[Json, ...]) -> Family:
    own = tuple(run for run in related if (namespace_of(run), pipeline_name_of(run)) == key_of(raw))
    return Family(raw=raw, runs=own, events=about(told, raw), whole=True)


def _packed(stem: str, parts: list[tuple[str, str]], now: datetime) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        for name, content in parts:
            data = content.encode()
            info = tarfile.TarInfo(f"{stem}/{name}")
            info.size, info.mtime, info.mode = len(data), int(now.timestamp()), 0o600
            tar.addfile(info, io.BytesIO(data))
    return whole.getvalue()
