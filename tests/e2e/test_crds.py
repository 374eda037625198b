"""CRDs that change while the operator works: newer ones disturb nothing, and while older ones are there nothing is launched that is not on record."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest
import yaml
from tests.e2e.conftest import RUN, Owner, a_namespace, a_pipeline, a_platform, a_stream
from tests.waiting import eventually

from dataflow_local.audit import Stage
from dataflow_local.cache import ROOT
from dataflow_local.kubectl import KubectlError
from dataflow_local.platform import Engine, Platform

PAINTED: Final = f"--patch={json.dumps({'status': {'colour': 'blue'}})}"


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Platform]:
    """A platform of its own: what its API server forgets is nobody else's."""
    yield from a_platform(tmp_path_factory.mktemp("crds"), Engine.SIMULATED)


@pytest.fixture
def team(platform: Platform, request: pytest.FixtureRequest) -> Iterator[Owner]:
    """Somebody with a fresh namespace, and the right CRDs before and after."""
    yield Owner(platform=platform, namespace=a_namespace(platform, request.node.nodeid))
    platform.api.apply(ROOT / "crds")
    platform.api.wait_served()


def with_crd(team: Owner, plural: str, known: str, lacks: Sequence[str] = ()) -> None:
    """Apply a CRD of another version: its status has a colour, and may lack a field. Return once it is what *known*, an object, is kept by."""
    crd = yaml.safe_load((ROOT / "crds" / f"{plural}.yaml").read_text())
    (version,) = crd["spec"]["versions"]
    status = version["schema"]["openAPIV3Schema"]["properties"]["status"]
    status["properties"]["colour"] = {"type": "string"}
    if lacks:
        leave_out(status, *lacks)
    team.platform.api.kubectl("apply", "--server-side", "--force-conflicts", "--filename=-", stdin=json.dumps(crd))
    eventually(lambda: has_colour(team, plural, known), seconds=30)


def leave_out(schema: dict[str, Any], *path: str) -> None:
    """Take a field out of a schema."""
    *parents, name = path
    for parent in parents:
        schema = schema["properties"][parent]["items"]
    del schema["properties"][name]
    schema["required"] = [field for field in schema.get("required", []) if field != name]


def has_colour(team: Owner, plural: str, name: str) -> bool:
    """Whether the API server would keep a colour."""
    try:
        found = team.kubectl("patch", plural, name, "--subresource=status", "--type=merge", "--dry-run=server", "--output=json", PAINTED)
    except KubectlError:
        return False  # for a moment after a CRD was applied it answers 429
    return "colour" in json.loads(found)["status"]


def status_writes(team: Owner, name: str) -> int:
    """Return how many writes of a pipeline's status there were."""
    return sum(
        record.stage is Stage.COMPLETE
        and (record.verb, record.resource, record.subresource, record.namespace, record.name)
        == ("patch", "dataflowpipelines", "status", team.namespace, name)
        for record in team.platform.api.audit()
    )


def complaints(team: Owner, name: str) -> list[dict[str, Any]]:
    """Return the events that say that the CRDs are old."""
    found = json.loads(team.kubectl("get", "events.events.k8s.io", "--output=json"))["items"]
    return [event for event in found if event["reason"] == "CrdOutdated" and event["regarding"]["name"] == name]


def test_a_newer_crd_is_applied_while_jobs_run_and_start(team: Owner) -> None:
    team.apply(a_stream("views"))
    team.becomes("views", "Ready", "True", "JobRunning")
    team.apply(a_pipeline("nightly", parameters=RUN | {"simulate.queueSeconds": "3"}))
    eventually(lambda: team.launches("nightly"), seconds=30)
    with_crd(team, "dataflowpipelines", "views")
    with_crd(team, "dataflowruns", "views-1")
    team.apply(a_stream("views", parameters={"eventsPerSecond": "20", "output": "gs://acme-results/views"}))
    eventually(lambda: len(team.launches("views")) == 2, seconds=30)
    team.becomes("views", "Ready", "True", "JobRunning")
    team.becomes("nightly", "Succeeded", "True")
    assert (len(team.launches("views")), len(team.launches("nightly"))) == (2, 1)


@pytest.mark.parametrize(
    ("plural", "known", "lacks", "named"),
    [
        ("dataflowpipelines", "past", ("ledger",), "status.ledger"),
        ("dataflowpipelines", "past", ("ledger", "attempts"), "status.ledger[0].attempts"),
        ("dataflowpipelines", "past", ("runNumber",), "status.runNumber"),
        ("dataflowruns", "past-1", ("resolvedSpec",), "status.resolvedSpec"),
    ],
    ids=["ledger", "attempts", "number", "spec of a run"],
)
def test_with_an_older_crd_nothing_is_launched_until_the_right_one_is_there(
    team: Owner, plural: str, known: str, lacks: tuple[str, ...], named: str
) -> None:
    team.apply(a_pipeline("past"))
    team.becomes("past", "Succeeded", "True")
    with_crd(team, plural, known, lacks)
    team.apply(a_pipeline("nightly"))
    (complaint,) = eventually(lambda: complaints(team, "nightly"), seconds=30)
    assert f"did not keep {named}: apply the CRDs of the operator's version" in complaint["note"]
    before = status_writes(team, "nightly")
    time.sleep(5)
    assert team.launches("nightly") == []
    assert status_writes(team, "nightly") - before <= 4
    team.platform.api.apply(ROOT / "crds")
    team.platform.api.wait_served()
    team.becomes("nightly", "Succeeded", "True")
    assert (len(team.launches("nightly")), len(team.launches("past"))) == (1, 1)
