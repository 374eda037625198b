"""`kubectl dataflow run`: another run of a pipeline, as it is or with parameters of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from dataflow_operator.adapters.kubernetes.wire import pipeline_of
from dataflow_operator.cli.asking import Patience, Wish, asked_for
from dataflow_operator.cli.changing import Changing
from dataflow_operator.cli.glance import job_word
from dataflow_operator.cli.goals import Goal
from dataflow_operator.cli.installation import installation_of
from dataflow_operator.cli.reading import Kind, found
from dataflow_operator.cli.server import Server, ServerError, connected
from dataflow_operator.cli.terminal import Streams, UndoneError
from dataflow_operator.domain.job import state_of
from dataflow_operator.domain.pipeline.model import Broken, Pipeline


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    pipeline: str
    name: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    account: str | None = None
    operator_namespace: str
    patience: Patience = field(default_factory=Patience)
    changing: Changing = field(default_factory=Changing)


def run(options: Options, streams: Streams) -> int:
    """Create the run; return the exit code. UndoneError: it cannot be, or did not come to what was waited for."""
    server = connected(options.changing.place)
    pipeline = pipeline_of(found(server, options.pipeline, only=Kind.PIPELINE).raw)
    _refuse_what_would_be_refused(pipeline)
    account = options.account or (_account_of(pipeline, server, options.operator_namespace) if options.parameters else None)
    wish = Wish(pipeline=pipeline.name, stem=f"{pipeline.name}-run", name=options.name, parameters=options.parameters, account=account)
    is_stream = not isinstance(pipeline.spec, Broken) and not pipeline.spec.is_batch
    if not isinstance(pipeline.spec, Broken) and pipeline.spec.suspend:
        streams.warn(f"{pipeline.name} is suspended: the run waits until `kubectl dataflow resume {pipeline.name} -n {pipeline.namespace}`")
    asked_for(wish, Goal.RUNNING if is_stream else Goal.SUCCEEDED, server, options.changing, options.patience, streams)
    return 0


def _refuse_what_would_be_refused(pipeline: Pipeline) -> None:
    """Say before anything is created what the operator would say after it."""
    where = f"{pipeline.name} -n {pipeline.namespace}"
    if pipeline.is_deleting:
        raise UndoneError(f"pipeline {pipeline.name} is being deleted, and starts no run any more")
    spec = pipeline.spec
    if isinstance(spec, Broken):
        raise UndoneError(f"the spec of {pipeline.name} cannot be read: {spec.message}", mend=(f"kubectl edit dfp {where}",))
    if not spec.is_batch and pipeline.status.job_state and not state_of(pipeline.status.job_state).is_terminal:
        raise UndoneError(
            f"{pipeline.name} is a stream whose job {pipeline.status.job_id} is {job_word(pipeline.status.job_state)}: another run would be refused (AlreadyRunning)",
            mend=(
                f"# to begin anew: kubectl dataflow stop dfr/{pipeline.status.current_run} -n {pipeline.namespace}",
                f"# to go back to what ran before: kubectl dataflow rerun RUN -n {pipeline.namespace}",
            ),
        )


def _account_of(pipeline: Pipeline, server: Server, operator_namespace: str) -> str | None:
    """Return the ServiceAccount that a run with parameters has to name: the pipeline's, else the operator's default if that can be read."""
    named = None if isinstance(pipeline.spec, Broken) else pipeline.spec.service_account_name
    if named:
        return named
    try:
        installation = installation_of(server, operator_namespace)
    except ServerError:
        return None
    return installation.default_account if installation is not None else None


def parameters_of(pairs: Sequence[str]) -> dict[str, str]:
    """Return parameters from KEY=VALUE. UndoneError: another form, or one twice."""
    read = dict[str, str]()
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise UndoneError(f"--param {pair!r} must be KEY=VALUE, such as day=2026-01-31")
        if key in read:
            raise UndoneError(f"--param {key} is given twice")
        read[key] = value
    return read
