"""`kubectl dataflow status`: a pipeline as a tree of its runs, their attempts and jobs, with the last errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects, text
from dataflow_operator.cli.family import Family, advice_on, tree_of, warnings_of
from dataflow_operator.cli.glance import glance_of
from dataflow_operator.cli.objects import data_of, full_name_of, name_of, quiet
from dataflow_operator.cli.reading import Kind, events, found, pipeline_name_of, pipelines, runs, uid_of
from dataflow_operator.cli.server import Server, ServerError, connected
from dataflow_operator.cli.table import Cell
from dataflow_operator.cli.terminal import BOLD, WIDTH, Format, Place, Streams, UndoneError, painted
from dataflow_operator.cli.tree import broken, drawn
from dataflow_operator.cli.watching import watched


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    names: tuple[str, ...] = ()
    """Pipelines, or runs of which only each one is drawn; none: every pipeline of the namespace."""
    place: Place = field(default_factory=Place)
    everywhere: bool = False
    selector: str | None = None
    output: Format = Format.TEXT
    watches: bool = False
    whole: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether every run and attempt is drawn, and every error with its stack."""
        return self.whole or self.output is Format.WIDE


def status(options: Options, streams: Streams, clock: Callable[[], datetime]) -> int:
    """Write the trees; return the exit code. UndoneError: they cannot be had."""
    if options.names and (options.selector or options.everywhere):
        raise UndoneError("names go with neither --selector nor --all-namespaces")
    server = connected(options.place)
    if options.output.is_data:
        streams.out.write(data_of(_data(list(_families(server, options)), is_list=len(options.names) != 1), options.output))
        return 0
    if options.watches:
        return watched(lambda: _look(server, options, streams, clock()), streams)
    families = list(_families(server, options))
    if options.output is Format.NAME:
        streams.out.writelines(f"{full_name_of(raw)}\n" for family in families for raw in _asked_for(family, options))
        return 0
    if not families:
        streams.err.write("No pipelines found.\n" if options.everywhere else f"No pipelines found in {server.namespace} namespace.\n")
    streams.out.write(written(families, streams, clock()))
    return 0


def written(families: list[Family], streams: Streams, now: datetime) -> str:
    """Return the trees as text."""
    return "\n".join("".join(f"{line}\n" for line in _lines(family, streams, now)) for family in families)


def _look(server: Server, options: Options, streams: Streams, now: datetime) -> tuple[str, object]:
    families = list(_families(server, options))
    return written(families, streams, now), tuple(map(_versions, families))


def _versions(family: Family) -> tuple[object, ...]:
    return tuple(mapping(each.get("metadata")).get("resourceVersion") for each in (family.raw, *family.runs, *family.events))


def _asked_for(family: Family, options: Options) -> Iterator[Json]:
    """Yield the objects of a tree: of a run that was named only the run."""
    if not options.names or family.is_of_pipeline:
        yield family.raw
    yield from family.runs


def _families(server: Server, options: Options) -> Iterator[Family]:
    for name in options.names:
        yield _family_named(server, name, whole=options.is_whole)
    if options.names:
        return
    every = pipelines(server, everywhere=options.everywhere, selector=options.selector)
    place = None if options.everywhere else server.namespace
    all_runs = runs(server, place) if every else []
    told = _events(server, place) if every else ()
    for raw in every:
        mine = tuple(run for run in all_runs if pipeline_name_of(run) == name_of(raw) and _namespace_of(run) == _namespace_of(raw))
        yield Family(raw=raw, runs=mine, events=about(told, raw), whole=options.is_whole)


def _family_named(server: Server, name: str, *, whole: bool) -> Family:
    subject = found(server, name)
    if subject.kind is Kind.PIPELINE:
        told = about(_events(server, server.namespace), subject.raw)
        return Family(raw=subject.raw, runs=tuple(runs(server, server.namespace, subject.name)), events=told, whole=whole)
    owner = found(server, pipeline_name_of(subject.raw) or "?", only=Kind.PIPELINE)
    # Of the ledger only the entry of this run is drawn.
    inner = mapping(owner.raw.get("status"))
    ledger = [each for each in objects(inner.get("ledger")) if each.get("run") == subject.name]
    only: Json = {**owner.raw, "status": {**inner, "ledger": ledger}}
    told = about(_events(server, server.namespace), owner.raw)
    return Family(raw=only, runs=(subject.raw,), events=told, whole=whole, is_of_pipeline=False)


def _events(server: Server, namespace: str | None) -> tuple[Json, ...]:
    """Return the events, or none where they may not be read: the tree says most of it, too."""
    try:
        return tuple(events(server, namespace))
    except ServerError as error:
        if error.is_forbidden:
            return ()
        raise


def about(told: tuple[Json, ...], raw: Json) -> tuple[Json, ...]:
    """Return the events about one pipeline."""
    return tuple(each for each in told if mapping(each.get("regarding")).get("uid") == uid_of(raw))


def _namespace_of(raw: Json) -> str | None:
    return text(mapping(raw.get("metadata")).get("namespace"))


def _lines(family: Family, streams: Streams, now: datetime) -> Iterator[str]:
    width, in_colour = streams.width or WIDTH, streams.are_in_colour
    yield from drawn(tree_of(family, now), width=width, in_colour=in_colour)
    warnings = list(warnings_of(family, now))
    if warnings:
        yield "last warnings:"
    for cells in warnings:
        yield from _warning(cells, width, in_colour=in_colour)
    if (advice := advice_on(family)) is not None:
        yield painted(f"→ {advice}", BOLD, in_colour=in_colour)


def _warning(cells: tuple[Cell, ...], width: int, *, in_colour: bool) -> Iterator[str]:
    when, why, what = cells
    before = f"{when.text:8} {why.text}  "
    first, *rest = broken(what.text, width - len(before) - 2)
    yield f"  {painted(f'{when.text:8}', when.colour, in_colour=in_colour)} {painted(why.text, why.colour, in_colour=in_colour)}  {first}"
    yield from (f"  {' ' * len(before)}{line}" for line in rest)


def _data(families: list[Family], *, is_list: bool) -> object:
    """Return what a program gets: the objects as they are, and what people read at a glance."""
    shown = [
        {
            "pipeline": quiet(family.raw),
            "state": glance_of(family.pipeline).state,
            "message": glance_of(family.pipeline).message,
            "runs": [quiet(run) for run in family.runs],
            "events": [quiet(event) for event in family.events],
        }
        for family in families
    ]
    return {"pipelines": shown} if is_list else shown[0]
