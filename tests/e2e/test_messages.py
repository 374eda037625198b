"""What a job says reaches whoever looks: its run's status, `kubectl describe`, `kubectl dataflow status`, and an event."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from tests.e2e.conftest import RUN, Owner, a_pipeline, a_stream
from tests.waiting import eventually, patience

from dataflow_local.platform import JOB_METRICS_SECONDS, POLL_SECONDS, Platform

SLACK_SECONDS = 15.0
"""For a busy machine."""

WORDS = "Workflow failed. Causes: the harbour is closed"
"""The job's own; the emulator tells them with the state, so that no time of Dataflow's is to be waited for."""

FAILING = {"simulate.fail": "run", "simulate.runSeconds": "1", "simulate.message": WORDS}
ONCE = {"maximumAttempts": 1}


@pytest.fixture(scope="module")
def owner(simulated: Platform) -> Owner:
    namespace = f"said-{time.time_ns() % 10**9}"
    simulated.api.kubectl("create", "namespace", namespace)
    return Owner(platform=simulated, namespace=namespace)


def told(owner: Owner, name: str) -> list[dict[str, Any]]:
    """Return the events about a pipeline."""
    found = json.loads(owner.kubectl("get", "events.events.k8s.io", "--output=json"))["items"]
    return [event for event in found if event["regarding"]["name"] == name]


def messages(owner: Owner, run: str) -> list[dict[str, str]]:
    return list(owner.runs().get(run, {}).get("status", {}).get("messages", []))


@pytest.mark.parametrize("make", [a_pipeline, a_stream], ids=["batch", "stream"])
def test_a_failed_jobs_own_error_is_everywhere_within_a_poll(owner: Owner, make: Any) -> None:
    name = f"sunk-{make.__name__.removeprefix('a_')}"
    rest = RUN if make is a_pipeline else {"eventsPerSecond": "1", "windowSeconds": "5", "output": "gs://acme-results/sunk"}
    owner.apply(make(name, parameters=rest | FAILING, retryPolicy=ONCE))
    eventually(lambda: _has_ended(owner, name), seconds=60)
    ends = time.time()
    looks = {
        "describe": lambda: owner.kubectl("describe", "dfp", name).partition("Events:")[0],
        "an event": lambda: " ".join(event["note"] for event in told(owner, name)),
        "kubectl dataflow status": lambda: owner.platform.api.kubectl("dataflow", "status", name, "-n", owner.namespace),
        "the run": lambda: " ".join(message["text"] for message in messages(owner, f"{name}-1")),
    }
    for where, look in looks.items():
        eventually(lambda look=look: WORDS.partition("Causes: ")[2] in look(), seconds=SLACK_SECONDS)  # type: ignore[misc]
        assert time.time() - ends < (POLL_SECONDS + SLACK_SECONDS) * patience(), where


def _has_ended(owner: Owner, name: str) -> bool:
    """Whether the job of a pipeline failed, by the emulator's own record."""
    return any(f'"{name}-' in record and "JOB_STATE_FAILED" in record for record in owner.platform.journal.read_text().splitlines())


def test_a_launch_that_is_refused_is_told_in_dataflows_words(owner: Owner) -> None:
    owner.apply(a_pipeline("nowhere", template={"classic": {"path": "gs://acme-templates/nowhere"}}))
    eventually(lambda: "gs://acme-templates/nowhere" in owner.kubectl("describe", "dfp", "nowhere").partition("Events:")[2], seconds=60)
    assert "gs://acme-templates/nowhere" in owner.platform.api.kubectl("dataflow", "status", "nowhere", "-n", owner.namespace)
    assert {event["type"] for event in told(owner, "nowhere") if "acme-templates" in event["note"]} == {"Warning"}


def test_what_a_running_job_says_of_its_workers_reaches_its_run_and_an_event_by_itself(owner: Owner) -> None:
    owner.apply(a_stream("views"))
    owner.becomes("views", "Ready", "True", "JobRunning")

    def scaled() -> list[dict[str, str]]:
        return [message for message in messages(owner, "views-1") if message["importance"] == "Autoscaling"]

    found = eventually(scaled, seconds=2 * JOB_METRICS_SECONDS + SLACK_SECONDS)
    assert found[0]["text"] == "Workers have started successfully."
    events = eventually(lambda: [event for event in told(owner, "views") if event["reason"] == "JobScaled"], seconds=SLACK_SECONDS)
    assert (events[0]["type"], events[0]["note"].partition(": ")[2]) == ("Normal", found[0]["text"])
    version = owner.runs()["views-1"]["metadata"]["resourceVersion"]
    began = time.monotonic()
    eventually(lambda: time.monotonic() - began > 2 * JOB_METRICS_SECONDS, seconds=60)
    assert owner.runs()["views-1"]["metadata"]["resourceVersion"] == version, "what is shown is not written again"
