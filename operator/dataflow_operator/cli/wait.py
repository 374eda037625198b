"""`kubectl dataflow wait`: until pipelines or runs are as wanted, with the messages and exit codes of `kubectl wait`."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from dataflow_operator.adapters.kubernetes.fields import Json
from dataflow_operator.cli.goals import Goal, Wait, deadline_of, wait_for
from dataflow_operator.cli.objects import full_name_of, name_of, objects_as
from dataflow_operator.cli.reading import Kind, Subject, found, pipelines
from dataflow_operator.cli.server import Server, connected
from dataflow_operator.cli.terminal import FAILED, Format, Place, Streams, UndoneError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    names: tuple[str, ...]
    goal: Goal
    timeout: timedelta | None
    """None: without end."""
    place: Place = field(default_factory=Place)
    selector: str | None = None
    all_of_them: bool = False
    output: Format = Format.TEXT


def wait(options: Options, streams: Streams) -> int:
    """Wait; return the exit code: 0 all came to it, 1 one did not."""
    server = connected(options.place)
    deadline, is_well, met = deadline_of(options.timeout), True, list[Json]()
    subjects = _subjects(server, options)
    for each in subjects:
        try:
            if not isinstance(each, Subject):
                raise each
            wanted = Wait(kind=each.kind, namespace=each.namespace, name=each.name, goal=options.goal)
            met.append(wait_for(wanted, server, deadline, streams) or each.raw)
            if not options.output.is_data:
                streams.out.write(f"{full_name_of(each.raw)}{'' if options.output is Format.NAME else ' condition met'}\n")
                streams.out.flush()
        except UndoneError as error:
            streams.tell(error)
            is_well = False
    if options.output.is_data and (met or is_well):
        streams.out.write(objects_as(met, options.output, is_list=len(subjects) != 1))
    return 0 if is_well else FAILED


def _subjects(server: Server, options: Options) -> list[Subject | UndoneError]:
    """Return what is to be waited for; what is wrong with one name is not in the way of the others."""
    if options.all_of_them or options.selector:
        if options.names:
            raise UndoneError("names go with neither --selector nor --all")
        every = pipelines(server, selector=options.selector)
        if not every:
            raise UndoneError(f"no pipelines found in namespace {server.namespace}")
        return [Subject(kind=Kind.PIPELINE, namespace=server.namespace, name=name_of(raw), raw=raw) for raw in every]
    if not options.names:
        raise UndoneError("name a pipeline or a run, or say --all or --selector")
    return [each for name in options.names if (each := _named(server, name, options.goal)) is not None]


def _named(server: Server, name: str, goal: Goal) -> Subject | UndoneError | None:
    try:
        return found(server, name)
    except UndoneError as error:
        if goal is not Goal.DELETED or not str(error).startswith("there is no "):
            return error
        return None  # as kubectl has it: what is not there is deleted
