"""What the tools are told of a pipeline whose identity comes, goes and comes back."""

from __future__ import annotations

import pytest
from tests.e2e.conftest import WithTenants
from tests.e2e.onlooker import Onlooker
from tests.e2e.stories import HEALTHY, PROGRESSING, said_by
from tests.e2e.teams import Google, a_team, has_started
from tests.tools.states import Row
from tests.waiting import eventually

from dataflow_local.tenants import google_account
from dataflow_local.users import User


@pytest.fixture(scope="module")
def google(with_tenants: WithTenants) -> Google:
    return Google(with_tenants)


def test_an_identity_that_is_bound_after_its_pipeline_was_made_is_never_called_degraded(google: Google) -> None:
    team = a_team(google, "bound-later", User.ADMIN)
    said = google.known()
    said["serviceAccounts"][google_account(team.namespace, "orders")]["roles/iam.workloadIdentityUser"] = []
    google.hear(said)
    with Onlooker(team) as onlooker:
        team.apply(team.batch("nightly"))
        team.becomes("nightly", "Ready", "False", "ImpersonationDenied")
        message = team.message("nightly")
        google.hear()
        team.becomes("nightly", "Succeeded", "True")
    e_mail = google_account(team.namespace, "orders")
    assert f"gcloud iam service-accounts add-iam-policy-binding {e_mail}" in message
    assert f"# if {e_mail} is there, and is meant for this namespace" in message
    assert list(onlooker.lies()) == []
    assert onlooker.health("nightly") == [PROGRESSING, HEALTHY], said_by(onlooker, "nightly")
    assert Row.RETRYING in onlooker.rows()


def test_an_account_that_is_deleted_is_missed_at_once_though_its_stream_is_watched_on_with_what_is_left(google: Google) -> None:
    team = a_team(google, "leaving", User.ADMIN)
    team.apply(team.stream("views"))
    job = has_started(team, "views")
    with Onlooker(team) as onlooker:
        team.kubectl("delete", "serviceaccount", "orders")
        team.look_again("views")
        team.becomes("views", "IdentityReady", "False", "ServiceAccountNotFound")
        lists = len(google.calls("ListJobs", who=team.who))
        team.apply(team.stream("views", parameters={"eventsPerSecond": "20", "output": "gs://acme-results/views"}))
        team.becomes("views", "Ready", "False", "ServiceAccountNotFound")
        eventually(lambda: len(google.calls("ListJobs", who=team.who)) > lists, seconds=60)
        team.account("orders", google_account(team.namespace, "orders"))
        team.becomes("views", "IdentityReady", "True")
        team.becomes("views", "Ready", "True", "JobRunning")
    assert team.pipelines()["views"]["status"]["jobId"] != job
    assert list(onlooker.lies()) == []
    assert onlooker.health("views") == [HEALTHY, PROGRESSING, HEALTHY], said_by(onlooker, "views")
    assert team.runs()["views-2"]["status"]["attempts"][0]["number"] == 1
