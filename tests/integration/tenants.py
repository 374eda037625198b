"""The manifests as an admin applies them, and doors for people who come with tokens of their own."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING

from tests.integration.schema_objects import ROOT, Door, Json, a_door

from dataflow_local.install import kubectl

if TYPE_CHECKING:
    from pathlib import Path

    from dataflow_local.apiserver import ApiServer
    from dataflow_local.users import User

TENANT = "team-a"
"""Of examples/tenant, with the ServiceAccount `orders`, which alice may use."""


def edited(folder: Path, overlay: str, **settings: str) -> Path:
    """Return a copy of an overlay in whose one place to edit these settings were set."""
    shutil.copytree(ROOT / "manifests", folder / "manifests")
    shutil.copytree(ROOT / "crds", folder / "crds")
    place = folder / "manifests" / overlay / "settings.yaml"
    lines = place.read_text().splitlines()
    for name, value in settings.items():
        at = next(number for number, line in enumerate(lines) if line.startswith(f"  DATAFLOW_OPERATOR_{name}: "))
        lines[at] = f"  DATAFLOW_OPERATOR_{name}: {value}"
    place.write_text("\n".join(lines) + "\n")
    return folder / "manifests" / overlay


def entered(server: ApiServer, user: User, namespace: str = TENANT) -> Door:
    """Return the door for somebody who comes with a token of their own."""
    door = a_door(server.kubeconfig(), kubectl())
    door.session.headers["Authorization"] = f"Bearer {server.token(user)}"
    return replace(door, kubeconfig=server.kubeconfig(user), namespace=namespace)


def give(admin: Door, user: str, *rules: Json) -> None:
    """Give a user a Role in the door's namespace, and return when it counts."""
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{admin.namespace}"
    meta = {"name": f"given-to-{user.replace(':', '-')}"}
    role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta, "rules": rules}
    assert admin.call("POST", f"{path}/roles", role).is_accepted
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": meta["name"]},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    assert admin.call("POST", f"{path}/rolebindings", binding).is_accepted
    admin.wait_rights()
