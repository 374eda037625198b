"""Listing the jobs of one place: all that are active, and those that ended last."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any, Final

from google.api_core.exceptions import GoogleAPICallError

from dataflow_operator.adapters.dataflow.answers import LISTS
from dataflow_operator.adapters.dataflow.caller import TURNED_AWAY, Caller, Use
from dataflow_operator.adapters.dataflow.errors import blame_of, code_of, read_error
from dataflow_operator.adapters.dataflow.gate import Gates, Kind, Line, open_gates
from dataflow_operator.adapters.dataflow.jobs import job_of
from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.adapters.tally import Tally, uncounted
from dataflow_operator.controller.ports import Place
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.job import Job
from dataflow_operator.domain.pipeline.observation import Lack

READ_SECONDS: Final = 15.0
"""The longest that one read may take. The client's own default is for ever. Source: chosen; the slowest pages seen take seconds."""

PAGE: Final = 1000
"""Jobs asked for in one page; the service may send fewer. A thousand are some 450 KB and 6 ms of work."""

PAGES: Final = 100
"""Pages of active jobs at most: more jobs than any project may have. A list that does not end is not complete."""


_FILTER: Final[Any] = messages.ListJobsRequest.Filter
"""The service's words for which jobs are listed, as numbers."""


class Listing:
    """Reads a whole list, or raises: a partial list is none."""

    def __init__(self, jobs: Any, caller: Caller, tally: Tally = uncounted, *, gates: Gates | None = None, page: int = PAGE) -> None:
        self._jobs = jobs
        self._caller = caller
        self._tally = tally
        self._gates = gates or open_gates(time.monotonic)
        self._page = page

    async def read(self, place: Place) -> tuple[Job, ...]:
        """Return the active jobs and those that ended lately: in one call where they fit into a page, as they nearly always do.

        With the filter ALL the running jobs come first (source: google.dataflow.v1beta3.ListJobsRequest.Filter), so a page that holds
        an ended one holds all that are active. Where it does not, the active ones are listed to their end and the ended ones after
        them: a job that ends in between is then in both, never in neither.
        """
        line = Line(identity=self._caller.name_of(place.account), project=place.project, kind=Kind.LIST)
        try:
            with self._gates.passing(line, place.region, lambda error: blame_of(error, LISTS)):
                jobs = await self._read(place)
        except GoogleAPICallError as error:
            self._tally("dataflow", "ListJobs", code_of(error).name)
            raise read_error(error) from error
        return tuple({job.id: job for job in jobs}.values())

    def lack_of(self, place: Place) -> Lack | None:
        """Return why the last list of a place was made with a credential that is left, if it was."""
        error = self._caller.lack_of(place.account)
        return Lack(reason=error.reason, message=error.message) if error is not None else None

    async def _read(self, place: Place) -> list[Job]:
        jobs, is_whole = await self._first(place)
        if is_whole:
            return jobs
        active = [job async for job in self._all(place, _FILTER.ACTIVE, PAGES)]
        return [*active, *[job async for job in self._all(place, _FILTER.TERMINATED, 1)]]

    async def _first(self, place: Place) -> tuple[list[Job], bool]:
        """Return the first page of all jobs, and whether it holds every active one."""
        async for page in self._pages(place, _FILTER.ALL):
            jobs = [job_of(plain) for plain in page.jobs]
            return jobs, not page.next_page_token or any(job.state.is_terminal for job in jobs)
        return [], True

    async def _all(self, place: Place, kind: int, most: int) -> AsyncIterator[Job]:
        """Yield the jobs of at most so many pages; active ones beyond that make the list incomplete."""
        count = 0
        async for page in self._pages(place, kind):
            count += 1
            for plain in page.jobs:
                yield job_of(plain)
            if count == most and page.next_page_token:
                if kind == _FILTER.ACTIVE:
                    raise UnavailableError(Reason.UNKNOWN, f"the list of active jobs does not end after {most} pages")
                return

    async def _pages(self, place: Place, kind: int) -> AsyncIterator[Any]:
        """Yield plain pages; a region that did not answer makes the list incomplete."""
        request = messages.ListJobsRequest(project_id=place.project, location=place.region, filter=kind, page_size=self._page)
        carried = await self._caller.metadata(place.account, Use.WATCH)
        try:
            pager = await self._jobs.list_jobs(request, retry=None, timeout=READ_SECONDS, metadata=carried)
        except GoogleAPICallError as error:
            if code_of(error) in TURNED_AWAY:
                self._caller.turned_away(place.account, carried)
            raise
        async for page in pager.pages:
            self._tally("dataflow", "ListJobs", "OK")
            plain: Any = messages.ListJobsResponse.pb(page)
            if plain.failed_location:
                where = ", ".join(location.name for location in plain.failed_location)
                raise UnavailableError(Reason.UNAVAILABLE, f"the list of jobs lacks {where}")
            yield plain
