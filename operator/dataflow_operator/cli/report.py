"""`kubectl dataflow report`: what somebody who helps needs to see, in one file, without what only the owner should read."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects, text
from dataflow_operator.cli.family import Family, tree_of
from dataflow_operator.cli.installation import settings_path
from dataflow_operator.cli.objects import data_of, name_of
from dataflow_operator.cli.reading import Kind, events, found, pipeline_name_of, pipelines, runs
from dataflow_operator.cli.redaction import Redaction
from dataflow_operator.cli.server import Server, ServerError, connected
from dataflow_operator.cli.terminal import WIDTH, Format, Place, Streams, UndoneError
from dataflow_operator.cli.tree import drawn
from dataflow_operator.cli.version import plugin_version, versions_of

LOG_LINES: Final = 5000
"""Lines of each operator pod's log at most: some megabytes, an hour of a busy operator. Source: chosen."""

STDOUT: Final = "-"

ABOUT: Final = """\
A report of `kubectl dataflow report`, made {at}.

status.txt          every pipeline as `kubectl dataflow status --all` shows it
pipelines/ runs/    the objects
events.yaml         what was told about them in the last hour
operator/           the operator's settings, its Deployment, and the logs of its pods
versions.json       of the plugin, the operator, the API and the cluster

{redacted}
{missing}"""

REDACTED: Final = """\
The values of parameters, Jinja variables, launch options and pipeline options and the text of Beam YAML are replaced by their lengths; where
such a value of six characters or more stands in another text, it is replaced there, too. So is whatever looks like a key or a token.
Names are not: of projects, buckets, accounts, jobs and parameters. Look through it before you hand it on."""

SHOWN: Final = """\
The values of parameters are in it, as was asked for. Whatever looks like a key or a token is replaced. Look through it before you hand it on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    names: tuple[str, ...] = ()
    """Pipelines; none: all of the namespace."""
    place: Place = field(default_factory=Place)
    everywhere: bool = False
    operator_namespace: str
    file: str | None = None
    """None: a name with the time in it, in the current folder."""
    shows_parameters: bool = False


def report(options: Options, streams: Streams, now: datetime) -> int:
    """Write the file; return the exit code. What cannot be read is listed in it. UndoneError: nothing can be read, or written."""
    server = connected(options.place)
    mine = [found(server, name, only=Kind.PIPELINE).raw for name in options.names]
    mine = mine or pipelines(server, everywhere=options.everywhere)
    missing = list[str]()
    parts = list(_parts(server, options, mine, missing, now))
    redacted = SHOWN if options.shows_parameters else REDACTED
    left_out = "".join(f"\nnot read: {line}" for line in missing)
    about = ABOUT.format(at=f"{now:%Y-%m-%dT%H:%M:%SZ}", redacted=redacted, missing=left_out)
    stem = f"dataflow-report-{now:%Y%m%d-%H%M%S}"
    packed = _packed(stem, [("README.txt", about), *parts], now)
    if options.file == STDOUT:
        sys.stdout.buffer.write(packed)
        return 0
    path = Path(options.file or f"{stem}.tar.gz")
    try:
        path.touch(mode=0o600)
        path.write_bytes(packed)
    except OSError as error:
        raise UndoneError(f"{path} cannot be written: {error.strerror}", mend=("# say where to: --file FILE",)) from error
    streams.out.write(f"{path}: {len(mine)} {'pipeline' if len(mine) == 1 else 'pipelines'}, {len(parts) + 1} files, {len(packed)} bytes\n")
    streams.err.writelines(f"not read: {line}\n" for line in missing)
    return 0


def _parts(server: Server, options: Options, mine: list[Json], missing: list[str], now: datetime) -> Iterator[tuple[str, str]]:
    """Yield each file with its text; what cannot be read is added to *missing*."""
    place = None if options.everywhere else server.namespace
    wanted = {_key(raw) for raw in mine}
    related = [raw for raw in _tried(lambda: runs(server, place), "runs", missing) if (_namespace(raw), pipeline_name_of(raw)) in wanted]
    uids = {text(mapping(raw.get("metadata")).get("uid")) or "" for raw in (*mine, *related)}
    told = _tried(lambda: events(server, place, tuple(uids)), "events", missing)
    redaction = Redaction([*mine, *related], shows_parameters=options.shows_parameters)
    for folder, group in (("pipelines", mine), ("runs", related)):
        for raw in group:
            yield f"{folder}/{_namespace(raw)}/{name_of(raw)}.yaml", data_of(redaction.left_of(raw), Format.YAML)
    yield "events.yaml", data_of([redaction.left_of(raw) for raw in told], Format.YAML)
    yield "status.txt", redaction.text(_status(mine, related, told, now))
    yield "versions.json", json.dumps({"plugin": plugin_version(), **versions_of(server, options.operator_namespace)}, indent=2) + "\n"
    yield from _operator(server, options.operator_namespace, redaction, missing)


def _status(mine: list[Json], related: list[Json], told: list[Json], now: datetime) -> str:
    trees = list[str]()
    for raw in mine:
        own = tuple(run for run in related if (_namespace(run), pipeline_name_of(run)) == _key(raw))
        family = Family(raw=raw, runs=own, events=tuple(told), whole=True)
        trees += [*drawn(tree_of(family, now), width=WIDTH, in_colour=False), ""]
    return "\n".join(trees)


def _operator(server: Server, namespace: str, redaction: Redaction, missing: list[str]) -> Iterator[tuple[str, str]]:
    for name, path in (
        ("settings", settings_path(namespace)),
        ("deployment", f"/apis/apps/v1/namespaces/{namespace}/deployments/dataflow-operator"),
    ):
        try:
            raw = server.read(path)
        except ServerError as error:
            missing.append(f"the operator's {name}: {'; '.join(error.lines)}")
            continue
        if raw is None:
            missing.append(f"the operator's {name}: not there in namespace {namespace}")
        else:
            yield f"operator/{name}.yaml", data_of(redaction.left_of(raw), Format.YAML)
    base = f"/api/v1/namespaces/{namespace}/pods"
    pods = _tried(lambda: server.listed(base, "app.kubernetes.io/name=dataflow-operator"), "the operator's pods", missing)
    for pod in pods:
        name = name_of(pod)
        yield f"operator/pods/{name}.yaml", data_of(redaction.left_of(pod), Format.YAML)
        try:
            log = server.plain(f"{base}/{name}/log", {"container": _container(pod), "tailLines": str(LOG_LINES), "timestamps": "true"})
        except ServerError as error:
            missing.append(f"the log of pod {name}: {'; '.join(error.lines)}")
        else:
            yield f"operator/pods/{name}.log", redaction.text(log)


def _container(pod: Json) -> str:
    return next((name for each in objects(mapping(pod.get("spec")).get("containers")) if (name := text(each.get("name")))), "operator")


def _tried(read: Callable[[], list[Json]], what: str, missing: list[str]) -> list[Json]:
    try:
        return read()
    except ServerError as error:
        missing.append(f"{what}: {'; '.join(error.lines)}")
        return []


def _packed(stem: str, parts: list[tuple[str, str]], now: datetime) -> bytes:
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w:gz") as tar:
        for name, content in parts:
            data = content.encode()
            info = tarfile.TarInfo(f"{stem}/{name}")
            info.size, info.mtime, info.mode = len(data), int(now.timestamp()), 0o600
            tar.addfile(info, io.BytesIO(data))
    return whole.getvalue()


def _namespace(raw: Json) -> str:
    return text(mapping(raw.get("metadata")).get("namespace")) or ""


def _key(raw: Json) -> tuple[str, str]:
    return _namespace(raw), name_of(raw)
