"""What the verbs read: pipelines, their runs and events, and one object by the name a person gives it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dataflow_operator.adapters.kubernetes.fields import Json, count, mapping, moment, text
from dataflow_operator.adapters.kubernetes.wire import API_VERSION, PIPELINES, RUNS
from dataflow_operator.cli.objects import name_of
from dataflow_operator.cli.terminal import UndoneError

if TYPE_CHECKING:
    from dataflow_operator.cli.server import Server

API: Final = f"/apis/{API_VERSION}"


class Kind(StrEnum):
    """A kind of ours, by its name in addresses."""

    PIPELINE = PIPELINES
    RUN = RUNS

    @property
    def word(self) -> str:
        """What a person calls it."""
        return "pipeline" if self is Kind.PIPELINE else "run"

    @property
    def short(self) -> str:
        """The kind's short name, as kubectl takes it."""
        return "dfp" if self is Kind.PIPELINE else "dfr"


_PREFIXES: Final = {
    **dict.fromkeys(("dfp", "pipeline", "dataflowpipeline", "dataflowpipelines", "dataflowpipeline.dataflow-operator.io"), Kind.PIPELINE),
    **dict.fromkeys(("dfr", "run", "dataflowrun", "dataflowruns", "dataflowrun.dataflow-operator.io"), Kind.RUN),
}
"""What may stand before the slash in KIND/NAME."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """An object of ours that a person named, as it was read."""

    kind: Kind
    namespace: str
    name: str
    raw: Json

    @property
    def path(self) -> str:
        """Return where the API server has it."""
        return path_of(self.kind, self.namespace, self.name)


def path_of(kind: Kind, namespace: str | None, name: str | None = None) -> str:
    """Return where the API server has an object, or a list; *namespace* None: that of all namespaces."""
    place = f"/namespaces/{quote(namespace, safe='')}" if namespace else ""
    return f"{API}{place}/{kind}" + (f"/{quote(name, safe='')}" if name else "")


def found(server: Server, name: str, *, only: Kind | None = None) -> Subject:
    """Return the object that *name* or KIND/NAME means; without a kind a pipeline, else a run. UndoneError: none, or it is not certain which."""
    prefix, slash, bare = name.rpartition("/")
    kind = _PREFIXES.get(prefix.lower()) if slash else only
    if (slash and kind is None) or (only is not None and kind is not only):
        raise UndoneError(f"{name!r} names no {(only or Kind.PIPELINE).word}: write NAME or {(only or Kind.PIPELINE).short}/NAME")
    kinds = (kind,) if kind is not None else (Kind.PIPELINE, Kind.RUN)
    read = [(each, raw) for each in kinds if (raw := server.read(path_of(each, server.namespace, bare))) is not None]
    if not read:
        raise _missing(server, bare, kinds)
    if len(read) > 1:
        raise UndoneError(f"both a pipeline and a run are called {bare}: say dfp/{bare} or dfr/{bare}")
    which, raw = read[0]
    return Subject(kind=which, namespace=server.namespace, name=bare, raw=raw)


def pipelines(server: Server, *, everywhere: bool = False, selector: str | None = None) -> list[Json]:
    """Return pipelines, by namespace and name."""
    return sorted(server.listed(path_of(Kind.PIPELINE, None if everywhere else server.namespace), selector), key=_place)


def runs(server: Server, namespace: str | None, pipeline: str | None = None) -> list[Json]:
    """Return the runs of a namespace, or of one of its pipelines: by number, those that have none yet last."""
    every = server.listed(path_of(Kind.RUN, namespace))
    return sorted((each for each in every if pipeline is None or pipeline_name_of(each) == pipeline), key=_number)


def pipeline_name_of(run: Json) -> str | None:
    """Return the name of the pipeline that a run is of."""
    return text(mapping(mapping(run.get("spec")).get("pipelineRef")).get("name"))


def events(server: Server, namespace: str | None, uids: Sequence[str] | None = None) -> list[Json]:
    """Return the events about objects of ours, or about those with these uids, oldest first."""
    place = f"/namespaces/{namespace}" if namespace else ""
    every = [each for each in server.listed(f"/apis/events.k8s.io/v1{place}/events") if _is_ours(each)]
    return sorted((each for each in every if uids is None or _regarding(each).get("uid") in uids), key=_seen)


def seen_at(event: Json) -> datetime | None:
    """Return when an event was last seen."""
    series = moment(mapping(event.get("series")).get("lastObservedTime"))
    return series or moment(event.get("eventTime")) or moment(event.get("deprecatedLastTimestamp"))


def times_of(event: Json) -> int:
    """Return how often an event was seen."""
    return count(mapping(event.get("series")).get("count")) or 1


def uid_of(raw: Json) -> str:
    """Return an object's uid."""
    return text(mapping(raw.get("metadata")).get("uid")) or ""


def _missing(server: Server, name: str, kinds: Sequence[Kind]) -> UndoneError:
    what = " or ".join(each.word for each in kinds)
    see = f"kubectl dataflow list -n {server.namespace}" if Kind.PIPELINE in kinds else f"kubectl get dfr -n {server.namespace}"
    return UndoneError(f"there is no {what} {name} in namespace {server.namespace}", mend=(see,))


def _place(raw: Json) -> tuple[str, str]:
    return text(mapping(raw.get("metadata")).get("namespace")) or "", name_of(raw)


def _number(raw: Json) -> tuple[int, str]:
    number = count(mapping(raw.get("status")).get("number"))
    return 2**31 if number is None else number, name_of(raw)


def _regarding(event: Json) -> Json:
    return mapping(event.get("regarding"))


def _is_ours(event: Json) -> bool:
    return (text(_regarding(event).get("apiVersion")) or "").partition("/")[0] == API_VERSION.partition("/")[0]


def _seen(event: Json) -> str:
    at = seen_at(event)
    return at.isoformat() if at is not None else ""
