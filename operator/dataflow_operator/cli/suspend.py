"""`kubectl dataflow suspend` and `resume`: spec.suspend of pipelines, and what that brings about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from dataflow_operator.adapters.kubernetes.wire import pipeline_of
from dataflow_operator.cli.changing import Changing, tell_change, warn_of_keeper
from dataflow_operator.cli.objects import full_name_of, name_of
from dataflow_operator.cli.outlook import OUR_WARNING, outlook_of
from dataflow_operator.cli.reading import Kind, Subject, found, pipelines
from dataflow_operator.cli.server import Server, connected
from dataflow_operator.cli.terminal import FAILED, Format, Streams, UndoneError
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.model import Broken
from dataflow_operator.domain.pipeline.reach import changes


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    names: tuple[str, ...]
    suspends: bool
    mode: StopMode | None = None
    """How the job of a stream ends; None: as the pipeline's stopPolicy says."""
    selector: str | None = None
    all_of_them: bool = False
    """True: every pipeline of the namespace."""
    changing: Changing = field(default_factory=Changing)


def suspend(options: Options, streams: Streams) -> int:
    """Suspend or resume; return the exit code: what is wrong with one pipeline is not in the way of the others."""
    server = connected(options.changing.place)
    is_well = True
    for name in _names(server, options):
        try:
            switch(found(server, name, only=Kind.PIPELINE), options, server, streams)
        except UndoneError as error:
            streams.tell(error)
            is_well = False
    return 0 if is_well else FAILED


def _names(server: Server, options: Options) -> Sequence[str]:
    """Return which pipelines are meant. UndoneError: none, or it is not certain which."""
    if not options.all_of_them and not options.selector:
        if not options.names:
            raise UndoneError("name a pipeline, or say --all or --selector")
        return options.names
    if options.names:
        raise UndoneError("names go with neither --selector nor --all")
    every = [name_of(raw) for raw in pipelines(server, selector=options.selector)]
    if not every:
        raise UndoneError(f"no pipelines found in namespace {server.namespace}")
    return every


def switch(subject: Subject, options: Options, server: Server, streams: Streams) -> None:
    """Set spec.suspend of one pipeline, and say what comes of it. UndoneError: refused."""
    pipeline = pipeline_of(subject.raw)
    spec, said = pipeline.spec, "suspended" if options.suspends else "resumed"
    if isinstance(spec, Broken):
        raise UndoneError(f"the spec of {pipeline.name} cannot be read: {spec.message}")
    if spec.is_batch and options.mode is not None:
        raise UndoneError(
            "--mode is for streams: suspending a batch pipeline lets what runs go on",
            mend=(f"# to end what runs: kubectl dataflow stop {pipeline.name} -n {pipeline.namespace}",),
        )
    if spec.suspend is options.suspends and options.mode in {None, spec.stop_policy} and options.changing.output is Format.TEXT:
        streams.out.write(f"{full_name_of(subject.raw)} {'suspended already' if options.suspends else 'not suspended'}\n")
        return
    wanted = replace(spec, suspend=options.suspends, stop_policy=options.mode or spec.stop_policy)
    outlook = outlook_of(pipeline.name, pipeline, wanted, changes(spec, wanted))
    patch: dict[str, object] = {"suspend": options.suspends, **({"stopPolicy": options.mode} if options.mode else {})}
    changed, warnings = server.patched(subject.path, {"spec": patch}, is_tried=options.changing.is_tried)
    # The policy's warning says less than what is said below.
    tell_change(changed, said, tuple(each for each in warnings if OUR_WARNING not in each), options.changing, streams)
    if options.changing.output is Format.TEXT:
        streams.out.write(f"  → {outlook.text}\n")
    warn_of_keeper(changed, "spec.suspend", streams)
