"""The journal: every call and every form of every job, as JSON lines that are only ever added to. The referee of tests."""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

KEPT: Final = 200_000
"""Records kept in memory at most; the file keeps all. A simulated job makes about five, so this is a day of tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call that was answered, or refused, or failed by a fault."""

    time: str
    """When it was answered, RFC 3339 with microseconds."""
    front: str
    """`grpc` or `rest`."""
    method: str
    """The RPC's name, e.g. LaunchFlexTemplate; REST calls bear the name of the RPC that they are. `ExchangeToken` and `GenerateAccessToken`
    are calls of the token service and of IAM Credentials."""
    project: str
    region: str
    code: str
    """`OK`, or the status that the caller saw; of an exchange, OAuth's word."""
    job_id: str = ""
    """The job that it was about, or that it made."""
    job_name: str = ""
    fields: Mapping[str, object] = field(default_factory=dict[str, object])
    """What matters of the request."""
    digest: str = ""
    """Of the whole request, in hex."""
    applied: bool = True
    """Whether the service carried it out; with a fault, a caller that saw an error may have launched a job."""
    who: str = ""
    """The identity that it was made as, where its bearer tells one: a principal, where identities are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobForm:
    """A job took this form: a new state, or new options."""

    time: str
    job_id: str
    job_name: str
    project: str
    region: str
    state: str
    labels: Mapping[str, str] = field(default_factory=dict[str, str])
    """The caller's labels, also while readers do not see them."""
    replaces: str = ""
    replaced_by: str = ""
    runtime_params: Mapping[str, object] = field(default_factory=dict[str, object])
    """runtimeUpdatableParams as they stand, by the API's snake_case names."""


Record = Call | JobForm

_KINDS: Final[Mapping[str, type[Call | JobForm]]] = {"call": Call, "job": JobForm}


class Journal:
    """Records in memory and, if there is a path, in a file; a record is in the file before its call is answered."""

    def __init__(self, path: Path | None = None) -> None:
        self._records: deque[Record] = deque(maxlen=KEPT)
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._file: BinaryIO | None = None
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what was recorded survives the process being killed.
            self._file = path.open("ab", buffering=0)

    def add(self, record: Record) -> None:
        """Take a record."""
        self._records.append(record)
        if isinstance(record, Call):
            self._counts[record.method, record.project, record.region] += 1
        if self._file is not None:
            self._file.write(line_of(record))

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    @property
    def records(self) -> tuple[Record, ...]:
        """The newest records, oldest first."""
        return tuple(self._records)

    def calls(self, method: str = "") -> list[Call]:
        """Return the calls of a method, or all."""
        return [record for record in self._records if isinstance(record, Call) and method in {"", record.method}]

    def forms(self, job_id: str = "") -> list[JobForm]:
        """Return the forms of a job, or of all."""
        return [record for record in self._records if isinstance(record, JobForm) and job_id in {"", record.job_id}]

    def counts(self) -> Mapping[tuple[str, str, str], int]:
        """Return how many calls there were, by method, project and region."""
        return dict(self._counts)

    def clear(self) -> None:
        """Forget what is in memory; the file keeps all."""
        self._records.clear()
        self._counts.clear()

    @staticmethod
    def read(path: Path) -> list[Record]:
        """Return every record of a file; a last line that a killed process left unfinished is left out."""
        return list(records_of(path.read_bytes()))


def stamp(time: datetime) -> str:
    """Return a time as records have it."""
    return time.isoformat(timespec="microseconds").replace("+00:00", "Z")


def line_of(record: Record) -> bytes:
    """Return a record as a line of JSON."""
    kind = "call" if isinstance(record, Call) else "job"
    return json.dumps({"kind": kind, **asdict(record)}, separators=(",", ":")).encode() + b"\n"


def records_of(content: bytes) -> Iterator[Record]:
    """Yield the records of whole lines of a file."""
    for line in content.splitlines(keepends=True):
        if line.endswith(b"\n"):
            entry = cast("dict[str, Any]", json.loads(line))
            yield _KINDS[entry.pop("kind")](**entry)
