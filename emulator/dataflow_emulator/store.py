"""The store: jobs, messages and final metrics in one SQLite file, written before a call is answered."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, cast

from pydantic import TypeAdapter

from dataflow_emulator.commands import Outbox
from dataflow_emulator.engine import Metric
from dataflow_emulator.jobs import Job, Message, Snapshot
from dataflow_emulator.machine import Machine

_JOB: Final = TypeAdapter(Job)
_MESSAGE: Final = TypeAdapter(Message)
_SNAPSHOT: Final = TypeAdapter(Snapshot)
_METRICS: Final = TypeAdapter(tuple[Metric, ...])

_SCHEMA: Final = """
create table if not exists jobs (id text primary key, body blob not null);
create table if not exists metrics (job text primary key, body blob not null);
create table if not exists snapshots (id text primary key, body blob not null);
create table if not exists messages (job text not null, number integer not null, body blob not null, primary key (job, number));
"""

_FORM: Final = 1
"""Version of the file's form, in its user_version; another one is refused and not guessed at."""


class SqliteStore:
    """What survives a restart, also one by SIGKILL; losing power may cost the last moments."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.execute("pragma journal_mode = wal")
        self._database.execute("pragma synchronous = off")
        (form,) = cast("tuple[int]", self._database.execute("pragma user_version").fetchone())
        if form not in {0, _FORM}:
            self._database.close()
            raise ValueError(f"{path} is a state file of form {form}; this emulator knows form {_FORM}")
        self._database.executescript(_SCHEMA)
        self._database.execute(f"pragma user_version = {_FORM}")

    def keep(self, outbox: Outbox, machine: Machine) -> None:
        """Write what happened, in one transaction."""
        if not (outbox.jobs or outbox.messages or outbox.forgotten or outbox.snapshots or outbox.lost_snapshots):
            return
        newest = {job.id: job for job in outbox.jobs}
        self._database.execute("begin")
        self._database.executemany("replace into jobs values (?, ?)", [(job.id, _JOB.dump_json(job)) for job in newest.values()])
        self._database.executemany(
            "replace into messages values (?, ?, ?)",
            [(job_id, int(message.id), _MESSAGE.dump_json(message)) for job_id, message in outbox.messages],
        )
        self._database.executemany(
            "replace into snapshots values (?, ?)", [(each.id, _SNAPSHOT.dump_json(each)) for each in outbox.snapshots]
        )
        self._database.executemany("delete from snapshots where id = ?", [(each,) for each in outbox.lost_snapshots])
        limit = machine.options.messages_limit
        self._database.executemany(
            "delete from messages where job = ? and number = ?",
            [(job_id, int(message.id) - limit) for job_id, message in outbox.messages if int(message.id) >= limit],
        )
        over = [job_id for job_id, job in newest.items() if job.state.is_terminal]
        self._database.executemany(
            "replace into metrics values (?, ?)",
            [(job_id, _METRICS.dump_json(machine.records.measured(job_id))) for job_id in over],
        )
        for table, column in (("jobs", "id"), ("metrics", "job"), ("messages", "job")):
            self._database.executemany(f"delete from {table} where {column} = ?", [(job_id,) for job_id in outbox.forgotten])  # noqa: S608 - our own names
        self._database.execute("commit")

    def restore(self, machine: Machine) -> None:
        """Give a machine the jobs of former lives."""
        jobs = [_JOB.validate_json(body) for (body,) in self._database.execute("select body from jobs")]
        for job in sorted(jobs, key=lambda job: job.state_time):
            # In the order in which they ended, for that is the order in which they are purged.
            machine.restore(job)
        for (body,) in self._database.execute("select body from snapshots order by rowid"):
            machine.snapshots.restore(_SNAPSHOT.validate_json(body))
        for job_id, body in self._database.execute("select job, body from messages order by job, number"):
            machine.records.restore(job_id, _MESSAGE.validate_json(body))
        for job_id, body in self._database.execute("select job, body from metrics"):
            owner = machine.jobs.get(job_id)
            if owner is not None:
                machine.records.measure(job_id, _METRICS.validate_json(body), owner.state_time)

    def clear(self) -> None:
        """Forget everything."""
        self._database.executescript("delete from jobs; delete from metrics; delete from messages; delete from snapshots;")

    def close(self) -> None:
        """Close the file."""
        self._database.close()
