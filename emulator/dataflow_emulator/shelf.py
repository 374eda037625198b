"""Where the jobs stand: by id, by name, by region, and in the order in which they are forgotten."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from dataflow_emulator.jobs import Job

Region = tuple[str, str]
"""A project and a location: within one, the names of active jobs are unique."""


@dataclass(slots=True)
class _Rows:
    """The jobs of one region."""

    jobs: dict[str, Job] = field(default_factory=dict[str, Job])
    active: dict[str, Job] = field(default_factory=dict[str, Job])


class Shelf:
    """Every job that is not purged yet."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._regions: dict[Region, _Rows] = {}
        self._over: deque[tuple[datetime, str]] = deque()

    def __len__(self) -> int:
        return len(self._jobs)

    def __iter__(self) -> Iterator[Job]:
        return iter(self._jobs.values())

    def put(self, job: Job) -> None:
        """Take the newest form of a job."""
        before = self._jobs.get(job.id)
        rows = self._regions.setdefault((job.project, job.location), _Rows())
        self._jobs[job.id] = rows.jobs[job.id] = job
        if not job.state.is_terminal:
            rows.active[job.id] = job
        else:
            rows.active.pop(job.id, None)
            if before is None or not before.state.is_terminal:
                self._over.append((job.state_time, job.id))

    def get(self, job_id: str) -> Job | None:
        """Return the job, wherever it is."""
        return self._jobs.get(job_id)

    def of(self, project: str, location: str) -> list[Job]:
        """Return every job of a region, in the order of their making."""
        rows = self._regions.get((project, location))
        return list(rows.jobs.values()) if rows else []

    def active_of(self, project: str, location: str) -> list[Job]:
        """Return the active jobs of a region, in the order of their making."""
        rows = self._regions.get((project, location))
        return list(rows.active.values()) if rows else []

    def named(self, project: str, location: str, name: str) -> list[Job]:
        """Return the active jobs that bear a name: one, or two while an update is under way."""
        rows = self._regions.get((project, location))
        return [job for job in rows.active.values() if job.name == name] if rows else []

    def locations(self, project: str) -> list[str]:
        """Return the regions in which a project has jobs."""
        return sorted(location for owner, location in self._regions if owner == project)

    def forget(self, now: datetime, after: timedelta) -> list[str]:
        """Remove the jobs that have been over for longer than *after*; return their ids."""
        gone: list[str] = []
        while self._over and self._over[0][0] + after < now:
            _, job_id = self._over.popleft()
            job = self._jobs.pop(job_id)
            del self._regions[job.project, job.location].jobs[job_id]
            gone.append(job_id)
        return gone
