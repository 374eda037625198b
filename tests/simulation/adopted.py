"""Jobs that pipelines take over: which they may, whose those then are, and what a pipeline says that waits for one."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from tests.simulation.outside import Cloud, Made
from tests.simulation.world import ApiServer

from dataflow_emulator.jobs import JobState as State
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.job import JobId, Ownership
from dataflow_operator.domain.ledger import Attempt, Cause, Entry, job_ids_of
from dataflow_operator.domain.pipeline.adoption import OPTIONS
from dataflow_operator.domain.pipeline.model import Adoption, Broken, Pipeline, PipelineSpec
from dataflow_operator.domain.pipeline.plan import Launch
from dataflow_operator.domain.pipeline.revision import resolved

TAKEN_OVER = "adopted-"
"""What the nonce of an attempt whose job was taken over begins with."""


def wish_of(pipeline: Pipeline) -> Adoption | None:
    """Return which job is handed over to a pipeline that has not run yet."""
    spec = pipeline.spec
    return spec.adopt if not isinstance(spec, Broken) and not pipeline.status.run_number else None


def is_meant(wish: Adoption | None, made: Made) -> bool:
    """Whether a wish means a job."""
    return wish is not None and (made.id == wish.job_id or made.form.name == wish.job_name)


def handed_over(server: ApiServer, cloud: Cloud) -> set[JobId]:
    """Return the active jobs that are handed over to pipelines, which have not taken them yet."""
    wishes = [wish for pipeline in server.pipelines.values() if (wish := wish_of(pipeline)) is not None]
    return {made.id for made in cloud.jobs.values() if made.is_active and any(is_meant(wish, made) for wish in wishes)} if wishes else set()


def adoptions_in(entry: Entry) -> Iterator[tuple[Attempt, JobId]]:
    """Yield the attempts of an entry that no launch made, and their jobs."""
    if entry.cause is Cause.ADOPTION:
        yield from ((one, one.job_id) for one in entry.attempts if one.job_id is not None and one.claim.nonce.startswith(TAKEN_OVER))


def objections(pipeline: Pipeline, made: Made, server: ApiServer) -> Iterator[str]:
    """Yield why *pipeline*, as it is before it does so, must not take a job over."""
    spec = pipeline.spec
    assert not isinstance(spec, Broken)
    if not is_meant(wish_of(pipeline), made):
        yield "whose spec does not hand it over"
    owner = made.order.ownership.pipeline_uid if made.order is not None else None
    if owner is not None and owner not in server.gone | server.orphaned:
        yield f"and is of {owner}"
    if not made.has_run:
        yield "before it has begun, and nobody can know what it runs"
    if found := list(unlike(spec, made)):
        yield f"and runs something else: {', '.join(found)}"


def unlike(spec: PipelineSpec, made: Made) -> Iterator[str]:
    """Yield in what a job shows that it runs something else than *spec* says."""
    if made.form.type is not None and made.form.type.removeprefix("JOB_TYPE_").lower() != spec.type.lower():
        yield "type"
    shown = made.details or {}
    wanted = dict(spec.parameters) | {OPTIONS[name][0]: str(value).lower() for name, value in spec.environment.items() if name in OPTIONS}
    yield from (name for name, value in wanted.items() if shown.get(name, value) != value)


def take_over(made: Made, pipeline: Pipeline, entry: Entry, attempt: Attempt) -> None:
    """From now on a job is the pipeline's, as if an attempt of the entry had launched it."""
    spec = pipeline.spec
    assert not isinstance(spec, Broken)
    own = Ownership(
        pipeline_uid=pipeline.uid, run_uid=entry.run_uid or "", run_number=entry.number, digest=entry.digest, attempt=attempt.number
    )
    if made.order is not None and made.order.nonce.startswith(TAKEN_OVER) and made.order.ownership.pipeline_uid == pipeline.uid:
        made.order = replace(made.order, ownership=own)
    else:
        made.order = Launch(nonce=attempt.claim.nonce, job_name=made.form.name, ownership=own, spec=resolved(spec, {}))


def forget(pipeline: Pipeline, cloud: Cloud) -> None:
    """What a restored status knows nothing of is nobody's again: a job that was taken over bears no label."""
    known = job_ids_of(pipeline.status.ledger)
    for made in cloud.active_of(pipeline.uid):
        if made.order is not None and made.order.nonce.startswith(TAKEN_OVER) and made.id not in known:
            made.order, made.was_ours = None, True


def held_up_wrongly(pipeline: Pipeline, reason: str, server: ApiServer, cloud: Cloud) -> str | None:
    """Return what is wrong with why a pipeline at rest has not taken over what is handed to it; None: it is true."""
    wish = wish_of(pipeline)
    meant = [
        made for made in cloud.jobs.values() if is_meant(wish, made) and (made.is_active or (wish is not None and wish.job_id is not None))
    ]
    if reason == Reason.JOB_NAME_TAKEN:
        return None if any(_is_anothers(made, pipeline, server) for made in meant) else "and no other pipeline has it, or is to have it"
    if reason == Reason.DEPENDENCY_NOT_READY:
        return None if not any(made.is_active for made in meant) else "and the job is there"
    if reason == Reason.ADOPTION_DIFFERS:
        spec = pipeline.spec
        assert not isinstance(spec, Broken)
        is_fit = not any(made.state is not State.RUNNING or any(unlike(spec, made)) for made in meant)
        return "and the job runs what is wanted" if is_fit else None
    return "which says nothing of the job"


def holds_its_name(pipeline: Pipeline, cloud: Cloud) -> bool:
    """Whether a job has the name of this pipeline's that another has taken over, or is to: that is for their owners to settle."""
    spec = pipeline.spec
    assert not isinstance(spec, Broken)
    names = {spec.job_name} | {attempt.job_name for entry in pipeline.status.ledger for attempt in entry.attempts}
    named = [made for made in cloud.jobs.values() if made.is_active and made.form.name in names]
    return any(made.order is None or made.order.ownership.pipeline_uid != pipeline.uid for made in named)


def _is_anothers(made: Made, pipeline: Pipeline, server: ApiServer) -> bool:
    """Whether another pipeline has a job, or is to have it because its name comes first."""
    if made.order is not None and made.order.ownership.pipeline_uid != pipeline.uid:
        return True
    others = (known for known in server.pipelines.values() if known.uid != pipeline.uid)
    return any(
        made.id in job_ids_of(other.status.ledger) or (is_meant(wish_of(other), made) and other.name < pipeline.name) for other in others
    )
