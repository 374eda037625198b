"""Single calls to Dataflow: each made once, within a deadline, and translated."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

from google.api_core.exceptions import GoogleAPICallError
from grpc import StatusCode

from dataflow_operator.adapters.dataflow.answers import DRY_RUNS, INPLACE, LAUNCHES, LISTS, LOOKS, STOPS, UPDATES, Row
from dataflow_operator.adapters.dataflow.caller import TURNED_AWAY, Caller, Metadata, Use
from dataflow_operator.adapters.dataflow.channel import Clients
from dataflow_operator.adapters.dataflow.errors import (
    blame_of,
    code_of,
    dry_run_error,
    inplace_error,
    launch_error,
    look_error,
    read_error,
    stop_error,
)
from dataflow_operator.adapters.dataflow.gate import LINES_KEPT, Gates, Kind, Line, open_gates
from dataflow_operator.adapters.dataflow.jobs import detailed
from dataflow_operator.adapters.dataflow.launching import YAML_TEMPLATE, Sending, classic_request, flex_request
from dataflow_operator.adapters.dataflow.listing import READ_SECONDS
from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.adapters.dataflow.options import update_of
from dataflow_operator.adapters.dataflow.progress import progress_of
from dataflow_operator.adapters.dataflow.reading import reading_of, workers_of
from dataflow_operator.adapters.dataflow.said import Said
from dataflow_operator.adapters.tally import Tally, uncounted
from dataflow_operator.controller.ports import Place
from dataflow_operator.domain.errors import AmbiguousError, Failure, OutsideError, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.failures import failure_of_messages
from dataflow_operator.domain.identity import Persona, ServiceAccount
from dataflow_operator.domain.job import Job, JobId
from dataflow_operator.domain.ledger import StopMode
from dataflow_operator.domain.names import labels_of
from dataflow_operator.domain.pipeline.model import ClassicTemplate, ResolvedSpec
from dataflow_operator.domain.pipeline.observation import Progress
from dataflow_operator.domain.pipeline.plan import Launch
from dataflow_operator.domain.reading import Reading

STOP_SECONDS: Final = 30.0
"""The longest that a call to stop or to change a job may take. Source: chosen, as for a launch."""

PROOF_SECONDS: Final = 5.0
"""How long one proof speaks for all pipelines of an identity and a place: they all ask at a start. Source: chosen."""

MESSAGE_PAGES: Final = 10
"""Pages of error messages that are read at once: the newest come last, and few jobs fill more than one. Source: chosen."""

_ACTIVE: Final[Any] = messages.ListJobsRequest.Filter.ACTIVE

_STATES: Final = {
    StopMode.DRAIN: messages.JobState.JOB_STATE_DRAINED,
    StopMode.CANCEL: messages.JobState.JOB_STATE_CANCELLED,
}
"""The state to ask for. DRAINED and not DRAINING: as the documentation, gcloud and Airflow do."""

FORCE: Final = {"force_cancel_job": "true"}
"""The label that makes a cancel a forced one; taken 30 minutes after a regular cancel at the earliest. Source: what gcloud sends."""

T = TypeVar("T")


class Calls:
    """Fulfils ``controller.ports.Dataflow`` through the official clients."""

    def __init__(
        self,
        *,
        clients: Clients,
        caller: Caller,
        launch_seconds: float,
        gates: Gates | None = None,
        yaml_template: str = YAML_TEMPLATE,
        tally: Tally = uncounted,
        launched: Callable[[str], None] = lambda _result: None,
    ) -> None:
        self._clients = clients
        self._caller = caller
        self._launch_seconds = launch_seconds
        self._gates = gates or open_gates(time.monotonic)
        self._yaml_template = yaml_template
        self._tally = tally
        self._launched = launched
        self.said = Said()
        """What jobs said last, in any read of their messages."""
        self._proofs: dict[Place, float] = {}
        """When calls as whom the place says were last seen to work, the oldest first."""

    async def prove(self, place: Place, account: ServiceAccount) -> Persona:
        """Prove that calls can be made as a ServiceAccount, by a list of one job where calls are, and return whom it is to Google."""
        async with self._gates.waiting(self._caller.name_of(account)):
            persona = await self._caller.persona(account)
        if place.account is None:
            return persona
        there = replace(place, account=account)
        if self._proofs.get(there, float("-inf")) > (now := time.monotonic()) - PROOF_SECONDS:
            return persona
        request = messages.ListJobsRequest(project_id=place.project, location=place.region, filter=_ACTIVE, page_size=1)
        try:
            with self._passing(Kind.LOOK, there, str(account), LISTS):
                await self._made(
                    there,
                    Use.WATCH,
                    "ListJobs",
                    lambda said: self._clients.jobs.list_jobs(request, retry=None, timeout=READ_SECONDS, metadata=said),
                )
        except GoogleAPICallError as error:
            said = read_error(error)
            if said.reason is Reason.UNAUTHENTICATED and not persona.google_account:
                said = UnavailableError(Reason.FEDERATION_UNSUPPORTED, said.message)
            raise self._advised(said, there) from error
        except UnavailableError as error:  # the gate's, which says again what was answered before
            raise self._advised(error, there) from error
        # It was a list, of one job: the poller's circuit would keep the jobs out of sight for another minute.
        self._gates.heal(self._line(Kind.LIST, there))
        self._proofs[there] = now
        while len(self._proofs) > LINES_KEPT:
            del self._proofs[next(iter(self._proofs))]
        return persona

    async def arm(self, place: Place) -> None:
        """Have the credential that launches there are made with. UnavailableError: none is to be had now."""
        async with self._gates.waiting(self._caller.name_of(place.account)):
            await self._caller.metadata(place.account, Use.LAUNCH)

    def reserve(self, place: Place, order: Launch) -> None:
        """Keep a seat for a launch that is about to be claimed. UnavailableError: it would not be sent now."""
        self._gates.reserve(self._line(Kind.LAUNCH, place), order.ownership.pipeline_uid)

    async def launch(self, place: Place, order: Launch) -> JobId:
        """Launch a job, or an update of one, and return its id."""
        try:
            job_id = await self._launch(place, order)
        except OutsideError as error:
            self._launched(type(error).__name__.removesuffix("Error").lower())
            raise
        self._launched("launched")
        return job_id

    async def _launch(self, place: Place, order: Launch) -> JobId:
        # Ours come last: an owner's label cannot take the place of one.
        labels = {**order.spec.job_labels, **labels_of(order.ownership)}
        is_update = order.base_job_id is not None
        try:
            job_id = await self._send(
                place, Sending(spec=order.spec, job_name=order.job_name, labels=labels, is_update=is_update), order.ownership.pipeline_uid
            )
        except GoogleAPICallError as error:
            raise self._advised(launch_error(error, is_update=is_update), place, order.spec) from error
        if not job_id:
            raise AmbiguousError(Reason.UNKNOWN, "Dataflow accepted the launch and named no job")
        return JobId(job_id)

    async def validate(self, place: Place, spec: ResolvedSpec, job_name: str) -> None:
        """Ask whether a launch would be accepted. RefusedError with a Template… or PermissionDenied reason where not."""
        try:
            await self._send(place, Sending(spec=spec, job_name=job_name, labels=spec.job_labels, is_dry_run=True), job_name)
        except GoogleAPICallError as error:
            if (said := dry_run_error(error)) is not None:
                raise self._advised(said, place, spec) from error

    async def stop(self, place: Place, job_id: JobId, mode: StopMode, *, force: bool = False) -> None:
        """Ask a job to drain or cancel, by force if a cancel did not end it. A job that is over already is no error."""
        if mode is StopMode.ORPHAN:
            return
        wish = messages.Job(requested_state=_STATES[mode], labels=FORCE if force else {})
        request = messages.UpdateJobRequest(project_id=place.project, location=place.region, job_id=job_id, job=wish)
        try:
            with self._passing(Kind.STOP, place, job_id, STOPS):
                await self._update(place, Use.WATCH, request)
        except GoogleAPICallError as error:
            if (said := stop_error(error)) is not None:
                raise self._advised(said, place) from error

    async def update_in_place(self, place: Place, job_id: JobId, options: Mapping[str, int]) -> None:
        """Change options of a running job, by the owner's names of them. Nothing but what is given changes."""
        job, mask = update_of(options)
        request = messages.UpdateJobRequest(project_id=place.project, location=place.region, job_id=job_id, job=job, update_mask=mask)
        try:
            with self._passing(Kind.CHANGE, place, job_id, INPLACE):
                await self._update(place, Use.CHANGE, request)
        except GoogleAPICallError as error:
            raise self._advised(inplace_error(error), place) from error

    async def _update(self, place: Place, use: Use, request: Any) -> None:
        update = self._clients.jobs.update_job
        await self._made(place, use, "UpdateJob", lambda said: update(request, retry=None, timeout=STOP_SECONDS, metadata=said))

    async def read_job(self, place: Place, job_id: JobId) -> Job | None:
        """Read one job; None: the service does not know it."""
        request = messages.GetJobRequest(
            project_id=place.project, location=place.region, job_id=job_id, view=messages.JobView.JOB_VIEW_SUMMARY
        )
        try:
            with self._passing(Kind.LOOK, place, job_id, LOOKS):
                get = self._clients.jobs.get_job
                job = await self._made(
                    place, Use.WATCH, "GetJob", lambda said: get(request, retry=None, timeout=READ_SECONDS, metadata=said)
                )
        except GoogleAPICallError as error:
            if (said := look_error(error)) is not None:
                raise self._advised(said, place) from error
            return None
        return detailed(messages.Job.pb(job))

    async def read_failure(self, place: Place, job_id: JobId, since: datetime | None) -> Failure | None:
        """Return why a failed job failed, from its error messages since a time, or all; None: nothing is said yet."""
        try:
            with self._passing(Kind.LOOK, place, job_id, LOOKS):
                return failure_of_messages(await self._errors(place, job_id, since))
        except GoogleAPICallError as error:
            if (said := look_error(error)) is not None:
                raise self._advised(said, place) from error
            return None

    async def read_progress(self, place: Place, job_id: JobId, since: datetime) -> Progress:
        """Read a running job's error messages from *since* on, and its metrics; of a job that is not known, nothing is told."""
        try:
            with self._passing(Kind.LOOK, place, job_id, LOOKS):
                errors = await self._errors(place, job_id, since)
                metrics = await self._job_metrics(place, job_id)
        except GoogleAPICallError as error:
            if (said := look_error(error)) is not None:
                raise said from error
            return Progress()
        return progress_of(errors, metrics)

    async def read_metrics(self, place: Place, job_id: JobId, since: datetime | None) -> Reading:
        """Read a running job's metrics, and how many workers it has if that changed since a time; of a job that is not known, nothing is told."""
        try:
            with self._passing(Kind.METER, place, job_id, LOOKS):
                metrics = await self._job_metrics(place, job_id)
                pages = await self._messages(place, job_id, _WARNING, since)
        except GoogleAPICallError as error:
            if (wrong := look_error(error)) is not None:
                raise wrong from error
            return Reading()
        return replace(reading_of(metrics), workers=workers_of(event for page in pages for event in page.autoscaling_events))

    async def _job_metrics(self, place: Place, job_id: JobId) -> Sequence[Any]:
        """Return a job's metrics, as plain protobuf."""
        request = messages.GetJobMetricsRequest(project_id=place.project, location=place.region, job_id=job_id)
        read = self._clients.metrics.get_job_metrics
        found = await self._made(
            place, Use.WATCH, "GetJobMetrics", lambda said: read(request, retry=None, timeout=READ_SECONDS, metadata=said)
        )
        plain: Any = messages.JobMetrics.pb(found)
        metrics: Sequence[Any] = plain.metrics
        return metrics

    async def _errors(self, place: Place, job_id: JobId, since: datetime | None) -> list[str]:
        """Return the texts of a job's error messages, oldest first."""
        pages = await self._messages(place, job_id, _ERROR, since)
        return [message.message_text for page in pages for message in page.job_messages if message.message_importance == _ERROR]

    async def _messages(self, place: Place, job_id: JobId, least: int, since: datetime | None) -> list[Any]:
        """Return pages of a job's messages, as plain protobuf, oldest first; what is more than so many is left."""
        request = messages.ListJobMessagesRequest(
            project_id=place.project, location=place.region, job_id=job_id, minimum_importance=least, start_time=since
        )
        read = self._clients.messages.list_job_messages
        pager = await self._made(
            place, Use.WATCH, "ListJobMessages", lambda said: read(request, retry=None, timeout=READ_SECONDS, metadata=said)
        )
        pages = list[Any]()
        async for page in pager.pages:
            pages.append(messages.ListJobMessagesResponse.pb(page))
            self.said.heard(job_id, pages[-1])
            if len(pages) == MESSAGE_PAGES:
                break
        return pages

    def _line(self, kind: Kind, place: Place) -> Line:
        return Line(identity=self._caller.name_of(place.account), project=place.project, kind=kind)

    def _passing(self, kind: Kind, place: Place, who: str, table: Sequence[Row]) -> AbstractContextManager[None]:
        return self._gates.passing(self._line(kind, place), who, lambda error: blame_of(error, table))

    def _advised(self, error: OutsideError, place: Place, spec: ResolvedSpec | None = None) -> OutsideError:
        """Return *error* with the binding that would help, where that is known."""
        worker = str(spec.environment.get("serviceAccountEmail") or "") if spec is not None else ""
        if isinstance(error, AmbiguousError) or not (advice := self._caller.advice(place.account, error, place.project, worker or None)):
            return error
        text = f"{error.message.removesuffix('.')}; {advice}"
        if isinstance(error, UnavailableError):
            return UnavailableError(error.reason, text, error.after)
        return RefusedError(error.reason, text)

    async def _send(self, place: Place, sending: Sending, who: str) -> str:
        """Send a launch and return the new job's id, empty for a dry run. All of it, the credential too, has one deadline."""
        began = asyncio.get_running_loop().time()
        template = sending.spec.template
        try:
            if isinstance(template, ClassicTemplate):
                method, send, request = "LaunchTemplate", self._clients.classic.launch_template, classic_request(sending, template)
            else:
                request = flex_request(sending, template, self._yaml_template)
                method, send = "LaunchFlexTemplate", self._clients.flex.launch_flex_template
        except (TypeError, ValueError) as error:
            raise RefusedError(Reason.INVALID_ARGUMENT, f"the launch cannot be written as Dataflow's message: {error}") from error
        kind, table = (Kind.DRY_RUN, DRY_RUNS) if sending.is_dry_run else (Kind.LAUNCH, UPDATES if sending.is_update else LAUNCHES)
        with self._passing(kind, place, who, table):
            use = Use.CHANGE if sending.is_dry_run else Use.LAUNCH
            answer: Any = await self._made(
                place, use, method, lambda said: send(request, retry=None, timeout=_left_until(began + self._launch_seconds), metadata=said)
            )
        return str(answer.job.id)

    async def _made(self, place: Place, use: Use, method: str, call: Callable[[Metadata], Awaitable[T]]) -> T:
        """Make one call as whoever the place says, and count it."""
        carried = await self._caller.metadata(place.account, use)
        try:
            answer = await call(carried)
        except GoogleAPICallError as error:
            code = code_of(error)
            self._tally("dataflow", method, code.name)
            if code in TURNED_AWAY:
                self._caller.turned_away(place.account, carried)
            raise
        except asyncio.CancelledError:
            self._tally("dataflow", method, StatusCode.CANCELLED.name)
            raise
        self._tally("dataflow", method, StatusCode.OK.name)
        return answer


def _left_until(deadline: float) -> float:
    """Return the seconds until *deadline* on the loop's clock. UnavailableError: none are left."""
    if (left := deadline - asyncio.get_running_loop().time()) <= 0:
        raise UnavailableError(Reason.TIMED_OUT, "the credential came too late to launch with")
    return left


_ERROR: Final = messages.JobMessageImportance.JOB_MESSAGE_ERROR.value
"""Importances are not ordered by number, so that only equality may be asked."""

_WARNING: Final = messages.JobMessageImportance.JOB_MESSAGE_WARNING.value
