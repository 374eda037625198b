"""`kubectl dataflow stop`: ends a run, or what runs of a pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field

from dataflow_operator.adapters.kubernetes.fields import Json
from dataflow_operator.adapters.kubernetes.wire import pipeline_of, run_of
from dataflow_operator.cli.changing import Changing, tell_change
from dataflow_operator.cli.objects import full_name_of
from dataflow_operator.cli.reading import Kind, Subject, found, path_of, runs
from dataflow_operator.cli.server import Server, connected
from dataflow_operator.cli.suspend import Options as Suspending
from dataflow_operator.cli.suspend import switch
from dataflow_operator.cli.terminal import FAILED, Format, Streams, UndoneError
from dataflow_operator.domain.job import PipelineType
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.pipeline.model import Broken, Pipeline
from dataflow_operator.domain.run import Run


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    names: tuple[str, ...]
    mode: StopMode | None = None
    """None: Drain for a stream, Cancel for a batch run; of a whole stream as its stopPolicy says."""
    changing: Changing = field(default_factory=Changing)


def stop(options: Options, streams: Streams) -> int:
    """Stop what is named; return the exit code: what is wrong with one is not in the way of the others."""
    server = connected(options.changing.place)
    is_well = True
    for name in options.names:
        try:
            subject = found(server, name)
            if subject.kind is Kind.RUN:
                owner = server.read(path_of(Kind.PIPELINE, server.namespace, run_of(subject.raw).pipeline))
                _stop_run(subject.raw, pipeline_of(owner) if owner is not None else None, options, server, streams)
            else:
                _stop_pipeline(subject, options, server, streams)
        except UndoneError as error:
            streams.tell(error)
            is_well = False
    return 0 if is_well else FAILED


def _stop_pipeline(subject: Subject, options: Options, server: Server, streams: Streams) -> None:
    """End what runs of a pipeline: a stream is suspended, or it would start again; of a batch pipeline every run is told to stop."""
    pipeline = pipeline_of(subject.raw)
    if not _is_batch(pipeline):
        switch(subject, Suspending(names=(), suspends=True, mode=options.mode, changing=options.changing), server, streams)
        return
    going = [raw for raw in runs(server, server.namespace, subject.name) if not run_of(raw).is_over]
    if not going and options.changing.output is Format.TEXT:
        streams.out.write(f"{full_name_of(subject.raw)} has no run that is not over\n")
    for raw in going:
        _stop_run(raw, pipeline, options, server, streams)


def _stop_run(raw: Json, pipeline: Pipeline | None, options: Options, server: Server, streams: Streams) -> None:
    run = run_of(raw)
    is_stream = _is_stream(run, pipeline)
    mode = options.mode or (StopMode.DRAIN if is_stream else StopMode.CANCEL)
    if run.is_over:
        raise UndoneError(f"run {run.name} is over already: {run.status.result}")
    if mode is StopMode.DRAIN and not is_stream:
        raise UndoneError(
            f"run {run.name} is a batch run, which cannot be drained", mend=(f"kubectl dataflow stop {run.name} --mode Cancel",)
        )
    if run.stop is mode and options.changing.output is Format.TEXT:
        streams.out.write(f"{full_name_of(raw)} told to stop already ({mode})\n")
        return
    path = path_of(Kind.RUN, server.namespace, run.name)
    changed, warnings = server.patched(path, {"spec": {"stop": mode}}, is_tried=options.changing.is_tried)
    tell_change(changed, f"told to stop ({mode})", warnings, options.changing, streams)
    if is_stream and pipeline is not None and not isinstance(pipeline.spec, Broken) and not pipeline.spec.suspend:
        streams.warn(
            f"pipeline {pipeline.name} is not suspended, and starts another run; "
            f"`kubectl dataflow suspend {pipeline.name} -n {pipeline.namespace}` keeps it stopped"
        )


def _is_batch(pipeline: Pipeline) -> bool:
    return not isinstance(pipeline.spec, Broken) and pipeline.spec.is_batch


def _is_stream(run: Run, pipeline: Pipeline | None) -> bool:
    if run.status.resolved_spec is not None:
        return run.status.resolved_spec.type is PipelineType.STREAMING
    return pipeline is not None and not _is_batch(pipeline)
