from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.waiting import eventually

if TYPE_CHECKING:
    from dataflow_local.apiserver import ApiServer


def _config_map(namespace: str, name: str, owner: dict[str, str] | None = None) -> str:
    references = [{"apiVersion": "v1", "kind": "ConfigMap", **owner}] if owner else []
    return json.dumps(
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, "ownerReferences": references}}
    )


def _names(server: ApiServer, namespace: str) -> set[str]:
    return set(server.kubectl("get", "configmaps", "--namespace", namespace, "--output", "name").split())


def test_what_an_object_owns_goes_with_it(api_server: ApiServer, namespace: str) -> None:
    made = json.loads(api_server.kubectl("create", "-f", "-", "-o", "json", stdin=_config_map(namespace, "owner")))
    owner = {"name": "owner", "uid": made["metadata"]["uid"]}
    api_server.kubectl("create", "-f", "-", stdin=_config_map(namespace, "owned", owner))
    api_server.kubectl("create", "-f", "-", stdin=_config_map(namespace, "free"))

    api_server.kubectl("delete", "configmap", "owner", "--namespace", namespace)

    eventually(lambda: _names(api_server, namespace) == {"configmap/free"}, seconds=10)


def test_a_namespace_goes_with_all_that_is_in_it(api_server: ApiServer, namespace: str) -> None:
    api_server.kubectl("create", "-f", "-", stdin=_config_map(namespace, "one"))
    api_server.kubectl("delete", "namespace", namespace, "--wait=false")
    eventually(lambda: api_server.client.get(f"/api/v1/namespaces/{namespace}")[0] == 404, seconds=30)
