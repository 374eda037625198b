"""Snapshots of streaming jobs."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from dataflow_emulator.engine import JobType
from dataflow_emulator.ids import Ids
from dataflow_emulator.jobs import Job, JobState, Snapshot
from dataflow_emulator.refusals import Code, RefusedError, not_created

DEFAULT_TTL: Final = timedelta(days=7)
"""How long a snapshot lives when nobody says so. Source: gcloud asks for 604800 s."""


class SnapshotState(StrEnum):
    """How far a snapshot is. Source: google.dataflow.v1beta3.SnapshotState."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    READY = "READY"


def state_of(snapshot: Snapshot, now: datetime) -> SnapshotState:
    """Return how far a snapshot is: it is PENDING for the first half of its time, then RUNNING."""
    if snapshot.ready_time is None or now >= snapshot.ready_time:
        return SnapshotState.READY
    half = snapshot.create_time + (snapshot.ready_time - snapshot.create_time) / 2
    return SnapshotState.PENDING if now < half else SnapshotState.RUNNING


class Snapshots:
    """Every snapshot that has not expired."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids
        self._snapshots: dict[str, Snapshot] = {}

    def make(
        self,
        job: Job,
        now: datetime,
        *,
        ttl: timedelta | None,
        description: str,
        sources: tuple[str, ...] = (),
        takes: timedelta = timedelta(0),
    ) -> Snapshot:
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
            sources=sources,
            ready_time=now + takes,
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

    def check(self, project: str, location: str, snapshot_id: str, now: datetime) -> None:
        """Refuse a launch from a snapshot that is not there, or not ready; the texts are not recorded."""
        try:
            snapshot = self.find(project, location, snapshot_id, now)
        except RefusedError as error:
            cause = f"Snapshot {snapshot_id} could not be found in region {location}."
            raise not_created(self._ids.prefix(), self._ids.prefix(), cause, Code.NOT_FOUND) from error
        if state_of(snapshot, now) is not SnapshotState.READY:
            cause = f"Snapshot {snapshot_id} is not ready."
            raise not_created(self._ids.prefix(), self._ids.prefix(), cause, Code.FAILED_PRECONDITION)

    def expire(self, now: datetime) -> list[str]:
        """Remove what has outlived its time; return the ids."""
        gone = [key for key, each in self._snapshots.items() if each.create_time + each.ttl <= now]
        for key in gone:
            del self._snapshots[key]
        return gone

    def of(self, project: str, location: str, job_id: str, now: datetime) -> list[Snapshot]:
        """Return the snapshots of a region, or of one job in it."""
        return [
            each
            for each in self._snapshots.values()
            if (each.project, each.location) == (project, location) and job_id in {"", each.job_id} and each.create_time + each.ttl > now
        ]

    def delete(self, snapshot: Snapshot) -> None:
        """Remove a snapshot."""
        self._snapshots.pop(snapshot.id, None)
