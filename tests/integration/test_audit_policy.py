"""The sample audit policy of the docs, on a real API server: who changed what is on record, and no token is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from dataflow_local.apiserver import ApiServer
from dataflow_local.cache import ROOT
from dataflow_local.users import User

SAMPLE = ROOT / "docs" / "audit-policy.yaml"

PIPELINE = {
    "apiVersion": "dataflow-operator.io/v1beta1",
    "kind": "DataflowPipeline",
    "metadata": {"name": "orders"},
    "spec": {
        "type": "Batch",
        "project": "acme-prod",
        "region": "europe-west1",
        "serviceAccountName": "orders",
        "template": {"classic": {"path": "gs://dataflow-templates-europe-west1/latest/Word_Count"}},
    },
}

ANNOTATION = "iam.gke.io/gcp-service-account=orders@acme-prod.iam.gserviceaccount.com"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    """An API server that audits by the sample."""
    folder = tmp_path_factory.mktemp("api-server")
    with ApiServer(folder, flags=(f"--audit-policy-file={SAMPLE}",)) as made:
        made.apply(ROOT / "crds")
        made.wait_served()
        made.kubectl("create", "namespace", "team-a")
        made.kubectl("create", "serviceaccount", "orders", "--namespace", "team-a")
        yield made


def events(server: ApiServer, resource: str, subresource: str | None = None) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in server.audit_log.read_text().splitlines()]
    return [
        event
        for event in found
        if event.get("objectRef", {}).get("resource") == resource and event["objectRef"].get("subresource") == subresource
    ]


def test_that_a_token_was_given_is_on_record_with_its_id_and_the_token_is_not(server: ApiServer) -> None:
    token = server.kubectl("create", "token", "orders", "--namespace", "team-a", "--audience=//iam.googleapis.com/x").strip()
    (event,) = events(server, "serviceaccounts", "token")
    assert event["level"] == "Metadata"
    assert (event["user"]["username"], event["objectRef"]["name"]) == ("admin", "orders")
    assert event["annotations"]["authentication.kubernetes.io/issued-credential-id"].startswith("JTI=")
    assert not {"requestObject", "responseObject"} & event.keys()
    assert token.split(".")[2] not in server.audit_log.read_text()


def test_who_changed_a_pipeline_and_what_is_on_record(server: ApiServer) -> None:
    server.kubectl("apply", "--namespace", "team-a", "--filename=-", stdin=json.dumps(PIPELINE))
    patch = {"spec": {"parameters": {"inputFile": "gs://acme-data/new"}}}
    server.kubectl("patch", "dfp", "orders", "--namespace", "team-a", "--type=merge", f"--patch={json.dumps(patch)}")
    written = [event for event in events(server, "dataflowpipelines") if event["verb"] in {"create", "patch"}]
    changes = [event for event in written if event["responseStatus"]["code"] < 300]
    assert [(event["verb"], event["user"]["username"], event["level"]) for event in changes] == [
        ("create", "admin", "RequestResponse"),
        ("patch", "admin", "RequestResponse"),
    ]
    assert changes[1]["requestObject"] == patch
    assert changes[1]["responseObject"]["spec"]["parameters"] == patch["spec"]["parameters"]


def test_who_changed_as_whom_pipelines_run_is_on_record(server: ApiServer) -> None:
    server.kubectl("annotate", "serviceaccount", "orders", "--namespace", "team-a", ANNOTATION)
    event = [event for event in events(server, "serviceaccounts") if event["verb"] == "patch"][-1]
    assert event["level"] == "RequestResponse"
    assert ANNOTATION.partition("=")[2] in json.dumps(event["requestObject"])


def test_what_the_operator_does_is_on_record_without_bodies(server: ApiServer) -> None:
    server.apply(ROOT / "manifests" / "local")
    server.wait_rights()
    server.kubectl("get", "dfp", "--namespace", "team-a", user=User.OPERATOR)
    name = "operators"
    server.kubectl("apply", "--namespace", "team-a", "--filename=-", stdin=json.dumps({**PIPELINE, "metadata": {"name": name}}))
    finalizer = {"metadata": {"finalizers": ["dataflow-operator.io/job"]}}
    server.kubectl("patch", "dfp", name, "--namespace", "team-a", "--type=merge", f"--patch={json.dumps(finalizer)}", user=User.OPERATOR)
    written = [event for event in events(server, "dataflowpipelines") if "dataflow-operator" in event["user"]["username"]]
    assert [(event["verb"], event["level"]) for event in written] == [("patch", "Metadata")]
