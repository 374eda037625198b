"""What must be true once nobody changes anything and nothing goes wrong (G2, G3, G5, G7)."""

from __future__ import annotations

from collections.abc import Iterator

from tests.simulation.adopted import held_up_wrongly, holds_its_name, wish_of
from tests.simulation.outside import Cloud, Made
from tests.simulation.referee import Finding, Harm, spec_of
from tests.simulation.world import ApiServer

from dataflow_emulator.jobs import JobState as State
from dataflow_operator.domain.conditions import Truth, condition_of
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.ledger import Cause, Entry, Result, job_ids_of
from dataflow_operator.domain.pipeline.model import DriftPolicy, Pipeline
from dataflow_operator.domain.pipeline.past import ENDED_OUTSIDE
from dataflow_operator.domain.pipeline.revision import digest_of
from dataflow_operator.domain.run import Run


def unrest(server: ApiServer, cloud: Cloud) -> Iterator[Finding]:
    """Yield what is not yet as it must come to be."""
    for uid in sorted(server.gone):
        if active := cloud.active_of(uid):
            yield Finding(Harm.ORPHAN, "G3", f"{_ids(active)} of a pipeline that is gone")
    for pipeline in server.pipelines.values():
        yield from _of_pipeline(pipeline, server, cloud)
    for run in server.runs.values():
        if run.owner_uid is None and not run.is_over and not any(known.name == run.pipeline for known in server.pipelines.values()):
            yield Finding(Harm.LOST, "G2", f"run {run.name} waits for a pipeline that is not there, and is not told so")


def _of_pipeline(pipeline: Pipeline, server: ApiServer, cloud: Cloud) -> Iterator[Finding]:
    if pipeline.is_deleting:
        yield Finding(Harm.STUCK, "G5", f"the deletion of {pipeline.name} does not end")
        return
    active = cloud.active_of(pipeline.uid)
    known = job_ids_of(pipeline.status.ledger)
    if lost := [made for made in active if made.id not in known]:
        yield Finding(Harm.ORPHAN, "G3", f"{_ids(lost)} in no entry")
    if pipeline.status.observed_generation != pipeline.generation:
        yield Finding(Harm.STUCK, "G7", "the last generation was not observed")
    if pipeline.status.last_handled_reconcile_at != pipeline.reconcile_requested_at:
        yield Finding(Harm.STUCK, "G7", "a look was asked for, and the status does not say that there was one")
    yield from _of_runs(pipeline, server)
    yield from _of_history(pipeline, server)
    yield from _of_drift(pipeline, active)
    spec = spec_of(pipeline)
    if wish_of(pipeline) is not None and not spec.suspend:
        yield from _of_handed_over(pipeline, active, server, cloud)
    elif spec.is_batch:
        yield from _of_batch(pipeline, active, server, cloud)
    elif spec.suspend:
        yield from _of_suspended(pipeline, active)
    else:
        yield from _of_stream(pipeline, active, server, cloud)


def _of_handed_over(pipeline: Pipeline, active: list[Made], server: ApiServer, cloud: Cloud) -> Iterator[Finding]:
    """A job that is handed over was taken over, or the status says truly why not; nothing was launched in its place."""
    ready = condition_of(pipeline.status.conditions, "Ready")
    if active:
        yield Finding(Harm.DUPLICATE, "G1", f"{_ids(active)} beside a job that is handed over")
    wrong = held_up_wrongly(pipeline, ready.reason if ready is not None else "", server, cloud)
    if wrong is not None:
        yield Finding(Harm.STUCK, "G5", f"a job is not taken over for {ready and ready.reason}, {wrong}")


def _of_runs(pipeline: Pipeline, server: ApiServer) -> Iterator[Finding]:
    entries = {entry.run_uid for entry in pipeline.status.ledger}
    for run in server.runs.values():
        if run.pipeline != pipeline.name or run.is_over or run.uid in entries:
            continue
        if run.owner_uid == pipeline.uid:
            yield Finding(Harm.LOST, "G2", f"run {run.name} has neither an entry nor a result")
        elif run.owner_uid is None and not _says_why(run):
            yield Finding(Harm.LOST, "G2", f"run {run.name} was asked for, and has neither an entry, nor a result, nor a reason")
    for entry in pipeline.status.ledger:
        drawn = next((run for run in server.runs.values() if run.uid == entry.run_uid), None)
        if drawn is not None and not drawn.is_over and entry.last_attempt is not None and drawn.status.attempts != entry.attempts:
            yield Finding(Harm.UNTRUE, "G7", f"run {drawn.name} does not show its entry")


def _of_history(pipeline: Pipeline, server: ApiServer) -> Iterator[Finding]:
    """Of the runs that are over no more are kept than the owner wants, but for those that the status names."""
    spec, status = spec_of(pipeline), pipeline.status
    named = {status.current_run, status.update_run, status.stable_run, status.last_run and status.last_run.name}
    named |= {entry.repeats for entry in status.ledger}
    over = [run for run in server.runs.values() if run.owner_uid == pipeline.uid and run.status.result is not None]
    for success, kept in ((True, spec.successful_runs_kept), (False, spec.failed_runs_kept)):
        group = sorted((run for run in over if run.status.result and run.status.result.is_success is success), key=_number_of)
        if surplus := [run.name for run in group[: max(len(group) - kept, 0)] if run.name not in named]:
            yield Finding(Harm.STUCK, "G5", f"{', '.join(surplus)} kept, of {len(group)} runs, where {kept} are wanted")


def _number_of(run: Run) -> int:
    return run.status.number or 0


def _was_ended_outside(entry: Entry) -> bool:
    """Whether the last job of a run that goes on was ended by somebody else."""
    had_job = [attempt for attempt in entry.attempts if attempt.job_id is not None and not attempt.is_open]
    failure = had_job[-1].failure if had_job and entry.stop is None else None
    return failure is not None and failure.reason in ENDED_OUTSIDE


def _of_drift(pipeline: Pipeline, active: list[Made]) -> Iterator[Finding]:
    """What others did to the jobs, and is not put right, is told where the owner wants to know, and nothing else is."""
    spec, status = spec_of(pipeline), pipeline.status
    told, wanted = {drift.field for drift in status.drift}, spec.environment.get("maxWorkers")
    ready, last = condition_of(status.conditions, "Ready"), status.last_run
    true: set[str] = set()
    serves = len(active) == 1 and active[0].order is not None and active[0].order.ownership.digest == digest_of(spec)
    if serves and wanted is not None and active[0].form.scaling.maximum not in {None, wanted}:
        true.add("environment.maxWorkers")
    if not active and last is not None and last.reason in ENDED_OUTSIDE and ready is not None and ready.reason == last.reason:
        true.add("job")
    if not active and not spec.is_batch and any(map(_was_ended_outside, status.ledger)):
        true.add("job")  # and something else stands in the way of another
    if spec.suspend or spec.drift_policy is DriftPolicy.IGNORE:
        true.clear()
    if told != true:
        yield Finding(Harm.UNTRUE, "G7", f"drift is told of {sorted(told)}, and is of {sorted(true)}")


def _says_why(run: Run) -> bool:
    told = condition_of(run.status.conditions, "Succeeded")
    return told is not None and told.reason in {Reason.SUSPENDED, Reason.DEPENDENCY_NOT_READY}


def _of_batch(pipeline: Pipeline, active: list[Made], server: ApiServer, cloud: Cloud) -> Iterator[Finding]:
    spec, status = spec_of(pipeline), pipeline.status
    if active or status.ledger:
        yield Finding(Harm.STUCK, "G5", "a batch run does not end")
    if spec.suspend:
        return
    if status.started_digest != digest_of(spec):
        yield Finding(Harm.LOST, "G2", "a change of the spec started no run")
    elif not _was_launched(pipeline, cloud) and not _is_told_why(pipeline, server):
        yield Finding(Harm.LOST, "G2", f"{spec.parameters['content']} is wanted, and no job ever had it")
    ready = condition_of(status.conditions, "Ready")
    if ready is None or ready.status is Truth.UNKNOWN:
        yield Finding(Harm.UNTRUE, "G7", f"Ready is {ready and ready.reason}, and nothing is under way")


def _was_launched(pipeline: Pipeline, cloud: Cloud) -> bool:
    """Whether any job of the pipeline had the content that its spec says now."""
    content = spec_of(pipeline).parameters["content"]
    orders = (made.order for made in cloud.jobs.values())
    return any(one and one.ownership.pipeline_uid == pipeline.uid and one.spec.parameters["content"] == content for one in orders)


def _is_told_why(pipeline: Pipeline, server: ApiServer) -> bool:
    """Whether a run of what the spec says ended without a job, as its owner can read: told to stop, or given up."""
    last = pipeline.status.last_run
    told = [(run.status.digest, run.status.result) for run in server.runs.values() if run.status.pipeline_uid == pipeline.uid]
    told += [(last.digest, last.result)] if last is not None else []
    return any(digest == digest_of(spec_of(pipeline)) and result not in {None, Result.SUCCEEDED} for digest, result in told)


def _of_suspended(pipeline: Pipeline, active: list[Made]) -> Iterator[Finding]:
    if active or pipeline.status.ledger:
        yield Finding(Harm.STUCK, "G5", f"suspended, and {_ids(active)} active")
    told = condition_of(pipeline.status.conditions, "Suspended")
    if told is None or told.status is not Truth.TRUE:
        yield Finding(Harm.UNTRUE, "G7", "suspended, and the status does not say so")


def _is_left(pipeline: Pipeline, reason: str, server: ApiServer) -> bool:
    """Whether a stream that has no job is left so for a good reason: nobody wants it corrected, its attempts are spent, what came back failed, too.

    A status that was restored may have forgotten that somebody else ended the job, but not that it is over: its run object says so.
    """
    spec, stable, last = spec_of(pipeline), pipeline.status.stable_run, pipeline.status.last_run
    runs = {run.name: run for run in server.runs.values()}
    if last is not None and last.number == pipeline.status.run_number and last.result is Result.FAILED:
        is_wanted, drawn = last.digest == digest_of(spec), runs.get(last.name)
        if is_wanted and spec.retry_policy.maximum_attempts and not _was_left(drawn):
            return True
        if not is_wanted and drawn is not None and drawn.status.cause is Cause.ROLLBACK:
            return True
    if (reason in ENDED_OUTSIDE or server.has_forgotten) and spec.drift_policy is not DriftPolicy.CORRECT:
        return True
    return spec.rolls_back and stable is not None and stable not in runs


def _was_left(drawn: Run | None) -> bool:
    """Whether a run, by what its object says, has attempts left, and makes none because somebody else ended its job."""
    failure = drawn.status.attempts[-1].failure if drawn is not None and drawn.status.attempts else None
    return failure is not None and failure.reason in ENDED_OUTSIDE and not failure.retryable


def _of_stream(pipeline: Pipeline, active: list[Made], server: ApiServer, cloud: Cloud) -> Iterator[Finding]:
    """A stream runs one job of what is wanted, or says why not; a person's run may serve in its place."""
    status = pipeline.status
    ready, stalled = condition_of(status.conditions, "Ready"), condition_of(status.conditions, "Stalled")
    if stalled is not None and stalled.status is Truth.TRUE:
        if ready is not None and not active and _is_left(pipeline, ready.reason, server):
            return
        if ready is None or ready.reason != Reason.UPDATE_FAILED:
            yield Finding(Harm.STUCK, "G5", f"stalled by {ready and ready.reason}")
        if len(active) != 1 or active[0].state is not State.RUNNING:
            yield Finding(Harm.COSTLY, "G6", f"an update failed, and what runs is {_ids(active)}")
        return
    if not active and ready is not None and ready.reason == Reason.JOB_NAME_TAKEN and holds_its_name(pipeline, cloud):
        return
    if len(active) != 1 or active[0].state is not State.RUNNING:
        yield Finding(Harm.STUCK, "G5", f"a stream with {_ids(active)} active")
        return
    if ready is None or ready.status is not Truth.TRUE:
        yield Finding(Harm.UNTRUE, "G7", f"the job runs, and Ready is {ready and ready.reason}")
    by_person = any(entry.asked and entry.is_running for entry in status.ledger)
    order = active[0].order
    if order is not None and order.ownership.digest != digest_of(spec_of(pipeline)) and not by_person:
        yield Finding(Harm.STUCK, "G5", f"{active[0].id} runs what nobody wants any more")
        return
    spec, shown = spec_of(pipeline), active[0].form.scaling.maximum
    wanted = spec.environment.get("maxWorkers")
    if wanted is not None and shown not in {None, wanted} and not by_person and spec.drift_policy is DriftPolicy.CORRECT:
        yield Finding(Harm.STUCK, "G5", f"{active[0].id} has {shown} workers at most, and should have {wanted}")


def _ids(jobs: list[Made]) -> str:
    return ", ".join(f"{made.id} ({made.state.removeprefix('JOB_STATE_')})" for made in jobs) or "no job"
