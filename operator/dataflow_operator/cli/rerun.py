"""`kubectl dataflow rerun`: what an earlier run ran, once more; of a stream the way back to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from dataflow_operator.adapters.kubernetes.wire import run_of
from dataflow_operator.cli.asking import Patience, Wish, asked_for
from dataflow_operator.cli.changing import Changing
from dataflow_operator.cli.goals import Goal
from dataflow_operator.cli.reading import Kind, found
from dataflow_operator.cli.server import connected
from dataflow_operator.cli.terminal import Streams, UndoneError
from dataflow_operator.domain.job import PipelineType


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    run: str
    name: str | None = None
    patience: Patience = field(default_factory=Patience)
    changing: Changing = field(default_factory=Changing)


def rerun(options: Options, streams: Streams) -> int:
    """Create the run; return the exit code. UndoneError: it cannot be, or did not come to what was waited for."""
    server = connected(options.changing.place)
    earlier = run_of(found(server, options.run, only=Kind.RUN).raw)
    resolved = earlier.status.resolved_spec
    if resolved is None:
        raise UndoneError(
            f"run {earlier.name} has not been resolved: there is nothing to run again",
            mend=(f"kubectl dataflow run {earlier.pipeline} -n {server.namespace}",),
        )
    found(server, earlier.pipeline, only=Kind.PIPELINE)
    wish = Wish(pipeline=earlier.pipeline, stem=f"{earlier.pipeline}-rerun", name=options.name, rerun_of=earlier.name)
    goal = Goal.RUNNING if resolved.type is PipelineType.STREAMING else Goal.SUCCEEDED
    asked_for(wish, goal, server, options.changing, options.patience, streams)
    return 0
