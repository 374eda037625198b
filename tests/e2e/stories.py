"""Stories: what an owner does and what happens to them, and what Argo CD and the other tools are to say all along."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from tests.e2e.conftest import RUN, Owner, a_pipeline, a_stream
from tests.e2e.direct import removed
from tests.e2e.onlooker import Onlooker
from tests.tools.argocd import Health
from tests.tools.states import Row
from tests.waiting import eventually
from typing_extensions import override

if TYPE_CHECKING:
    from dataflow_local.program import Program

PROGRESSING, HEALTHY, DEGRADED = Health.PROGRESSING, Health.HEALTHY, Health.DEGRADED

PARAMETERS: Final = {"eventsPerSecond": "10", "windowSeconds": "5", "output": "gs://acme-results/views"}
QUICK: Final = {"initialIntervalSeconds": 1, "maximumIntervalSeconds": 1}
PATIENT: Final = {"initialIntervalSeconds": 600}
"""A retry policy under which a failed attempt stands until somebody acts."""
ENGINE: Final = {"enableStreamingEngine": True, "maxWorkers": 10}
NAME: Final = "orders"

ALWAYS: Final = frozenset({Row.NOT_SEEN, Row.WORKING, Row.RUN_NOT_SEEN, Row.RUN_WORKING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """What is done, what Argo CD says of the pipeline all along, and the rows that the tools see on the way."""

    acts: Callable[[Owner], None]
    health: tuple[Health, ...]
    rows: frozenset[Row]
    alone: bool = False
    """Whether the story needs the platform for itself: it has parts of it stop, or calls fail."""

    @override
    def __str__(self) -> str:
        return self.acts.__name__.strip("_")


def a_wider_stream(window: int, *, spec: dict[str, Any] | None = None, **directions: str) -> dict[str, Any]:
    """Return the stream whose content *window* tells from others; *directions* are for its job."""
    parameters = PARAMETERS | {"windowSeconds": str(window)} | {f"simulate.{name}": value for name, value in directions.items()}
    return a_stream(NAME, **({"parameters": parameters} | (spec or {})))


def a_batch(output: str, *, spec: dict[str, Any] | None = None, **directions: str) -> dict[str, Any]:
    """Return the batch whose content *output* tells from others; *directions* are for its job."""
    parameters = RUN | {"output": f"gs://acme-results/{output}"} | {f"simulate.{name}": value for name, value in directions.items()}
    return a_pipeline(NAME, **({"parameters": parameters, "retryPolicy": QUICK} | (spec or {})))


def changed(owner: Owner, document: dict[str, Any]) -> None:
    """Apply a change, and wait until the operator has seen it."""
    owner.apply(document)
    generation = owner.pipelines()[NAME]["metadata"]["generation"]
    eventually(lambda: owner.pipelines()[NAME]["status"].get("observedGeneration") == generation, seconds=30)


def suspended(owner: Owner, document: dict[str, Any]) -> None:
    """Suspend a pipeline as it is, and wait until it rests."""
    owner.apply(document | {"spec": document["spec"] | {"suspend": True}})
    owner.becomes(NAME, "Suspended", "True")


def deleted(owner: Owner) -> None:
    """Delete the pipeline, and wait until it is gone."""
    removed(owner, "dataflowpipelines", NAME)
    eventually(lambda: NAME not in owner.pipelines(), seconds=50)


def runs(owner: Owner, document: dict[str, Any]) -> None:
    """Apply a stream, and wait until it runs as its spec says."""
    changed(owner, document)
    owner.becomes(NAME, "Ready", "True", "JobRunning")


def ended(owner: Owner, run: str, result: str) -> None:
    """Wait until a run is over."""
    eventually(lambda: owner.runs().get(run, {}).get("status", {}).get("result"), until=lambda seen: seen == result, seconds=40)


def fault(owner: Owner, **said: object) -> None:
    """Let something go wrong with calls to Dataflow."""
    _tell(owner, "POST", "/emulator/faults", said)


def goes_on(owner: Owner, job: str, **directions: str) -> None:
    """Let a job that was to stay as it is go on."""
    _tell(owner, "PUT", f"/emulator/jobs/{job}/script", directions)


def job_of(owner: Owner) -> str:
    """Return the pipeline's job as its status has it."""
    return str(owner.pipelines()[NAME]["status"]["jobId"])


def _tell(owner: Owner, method: str, path: str, said: object) -> None:
    request = urllib.request.Request(  # noqa: S310 - a loopback address of our own
        f"{owner.platform.rest}{path}", data=json.dumps(said).encode(), headers={"Content-Type": "application/json"}, method=method
    )
    with urllib.request.urlopen(request, timeout=10):  # noqa: S310 - as above
        pass


def emulator_of(owner: Owner) -> Program:
    """Return the emulator, which runs."""
    assert owner.platform.emulator is not None
    return owner.platform.emulator


def operator_of(owner: Owner) -> Program:
    """Return the operator, which runs."""
    assert owner.platform.operator is not None
    return owner.platform.operator


def said_by(onlooker: Onlooker, name: str = NAME) -> str:
    """Return what was said of a pipeline, for a person who has to find out why."""
    ready = (
        next(
            (
                f"{c['status']} {c['reason']}: {c['message']}"
                for c in each.get("status", {}).get("conditions", ())
                if c["type"] in {"Ready", "Succeeded"}
            ),
            "nothing",
        )
        for each in onlooker.of(name)
    )
    return "\n".join(said for said, _ in groupby(ready))
