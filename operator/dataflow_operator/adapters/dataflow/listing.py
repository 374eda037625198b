"""Listing the jobs of one place: all that are active, and those that ended last."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, Protocol

from google.api_core.exceptions import GoogleAPICallError

from dataflow_operator.adapters.dataflow.errors import code_of, read_error
from dataflow_operator.adapters.dataflow.jobs import job_of
from dataflow_operator.adapters.dataflow.messages import messages
from dataflow_operator.adapters.tally import Tally, uncounted
from dataflow_operator.controller.ports import Place
from dataflow_operator.domain.errors import Reason, UnavailableError
from dataflow_operator.domain.job import Job, JobId

READ_SECONDS: Final = 15.0
"""The longest that one read may take. The client's own default is for ever. Source: chosen; the slowest pages seen take seconds."""

PAGE: Final = 1000
"""Jobs asked for in one page; the service may send fewer. A thousand are some 450 KB and 6 ms of work."""

PAGES: Final = 100
"""Pages of one list at most: more active jobs than any project may have. A list that does not come to the ended ones is not complete."""


class Bearer(Protocol):
    """Who calls."""

    async def metadata(self) -> tuple[tuple[str, str], ...]:
        """Return what a call carries to say who makes it. UnavailableError: no credential is to be had now."""
        ...


class Listing:
    """Reads a whole list, or raises: a partial list is none."""

    def __init__(self, jobs: Any, bearer: Bearer, tally: Tally = uncounted, *, page: int = PAGE) -> None:
        self._jobs = jobs
        self._bearer = bearer
        self._tally = tally
        self._page = page

    async def read(self, place: Place) -> tuple[Job, ...]:
        """Return the active jobs and some that ended lately, in one list: it goes on until the first page that has come to the ended ones.

        With the filter ALL the running jobs come first (source: google.dataflow.v1beta3.ListJobsRequest.Filter). A job that ends while
        the pages are read may be missing; its id is known then, and read by itself.
        """
        found: dict[JobId, Job] = {}
        try:
            async for page in self._pages(place):
                jobs = [job_of(plain) for plain in page.jobs]
                found |= {job.id: job for job in jobs}
                if any(job.state.is_terminal for job in jobs):
                    break
        except GoogleAPICallError as error:
            self._tally("dataflow", "ListJobs", code_of(error).name)
            raise read_error(error) from error
        return tuple(found.values())

    async def _pages(self, place: Place) -> AsyncIterator[Any]:
        """Yield plain pages; more than PAGES, or a region that did not answer, is an incomplete list."""
        request = messages.ListJobsRequest(
            project_id=place.project, location=place.region, filter=messages.ListJobsRequest.Filter.ALL, page_size=self._page
        )
        metadata = await self._bearer.metadata()
        pager = await self._jobs.list_jobs(request, retry=None, timeout=READ_SECONDS, metadata=metadata)
        count = 0
        async for page in pager.pages:
            self._tally("dataflow", "ListJobs", "OK")
            plain: Any = messages.ListJobsResponse.pb(page)
            if plain.failed_location:
                where = ", ".join(location.name for location in plain.failed_location)
                raise UnavailableError(Reason.UNAVAILABLE, f"the list of jobs lacks {where}")
            yield plain
            count += 1
            if count == PAGES and plain.next_page_token:
                raise UnavailableError(Reason.UNKNOWN, f"the list of active jobs does not end after {PAGES} pages")
