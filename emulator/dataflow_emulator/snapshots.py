"""Snapshots of streaming jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from dataflow_emulator.engine import JobType
from dataflow_emulator.ids import Ids
from dataflow_emulator.jobs import Job, JobState, Snapshot
from dataflow_emulator.refusals import Code, RefusedError

DEFAULT_TTL: Final = timedelta(days=7)
"""How long a snapshot lives when nobody says so. Source: gcloud asks for 604800 s."""


class Snapshots:
    """Every snapshot that has not expired."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._snapshots: dict[str, Snapshot] = {}

    def make(self, job: Job, now: datetime, *, ttl: timedelta | None, description: str) -> Snapshot:
        """Take a snapshot of a running streaming job."""
        if job.state is not JobState.RUNNING or job.type is not JobType.STREAMING:
            raise RefusedError(
                Code.FAILED_PRECONDITION, f"({self._ids.prefix()}): Only running streaming jobs can be snapshotted: {job.id}"
            )
        snapshot = Snapshot(
            id=self._ids.snapshot(),
            project=job.project,
            location=job.location,
            job_id=job.id,
            create_time=now,
            ttl=ttl or DEFAULT_TTL,
            description=description,
        )
        self.restore(snapshot)
        return snapshot

    def restore(self, snapshot: Snapshot) -> None:
        """Take a snapshot as it is."""
        self._snapshots[snapshot.id] = snapshot

    def find(self, project: str, location: str, snapshot_id: str, now: datetime) -> Snapshot:
        """Return a snapshot, or refuse."""
        for snapshot in self.of(project, location, "", now):
            if snapshot.id == snapshot_id:
                return snapshot
        raise RefusedError(Code.NOT_FOUND, f"({self._ids.prefix()}): Snapshot {snapshot_id} could not be found.")

    def of(self, project: str, location: str, job_id: str, now: datetime) -> list[Snapshot]:
        """Return the snapshots of a region, or of one job in it."""
        self._snapshots = {key: each for key, each in self._snapshots.items() if each.create_time + each.ttl > now}
        return [
            each
            for each in self._snapshots.values()
            if (each.project, each.location) == (project, location) and job_id in {"", each.job_id}
        ]

    def delete(self, snapshot: Snapshot) -> None:
        """Remove a snapshot."""
        self._snapshots.pop(snapshot.id, None)
