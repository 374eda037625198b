"""The operator's rights as the manifests give them, and its requests as API servers' audit logs have them."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from typing_extensions import override

from dataflow_local.audit import AuditRecord, Stage, audit
from dataflow_local.cache import ROOT
from dataflow_local.users import User, identity_of

OPERATOR = identity_of(User.OPERATOR).name

ROLES = (
    "manifests/base/clusterrole.yaml",
    "manifests/base/lease.yaml",
    "manifests/tenant/token.yaml",
)
"""Where the operator's roles are. `manifests/namespaced/served/role.yaml` gives what the ClusterRole gives: tests/tidy compares them."""

SETTINGS = "dataflow-operator-settings"
"""The role that every authenticated user has; the operator reads its settings from its environment."""

OTHERS = ("kubectl", "dataflow-local", "dataflow-tests", "Python-urllib")
"""How programs begin that act with the operator's token and are not the operator: tests that steal it."""

EVERYBODY = re.compile(r"/api(/v1)?|/apis(/[a-z0-9.-]+)?(/v1(beta1)?)?|/version|/openid/v1/jwks")
"""What each authenticated user may ask, by `system:discovery`: which kinds are served."""


class Right(NamedTuple):
    """One verb on one resource, by one role."""

    role: str
    group: str
    resource: str
    verb: str

    @override
    def __str__(self) -> str:
        """Return it as a person would say it."""
        return f"{self.verb} {self.resource}{'.' + self.group if self.group else ''} by {self.role}"


def given(files: Iterable[str] = ROLES) -> set[Right]:
    """Return what the operator may do."""
    documents: list[dict[str, Any]] = [one for file in files for one in yaml.safe_load_all((ROOT / file).read_text())]
    return {
        Right(f"{role['kind']} {role['metadata']['name']}", group, resource, verb)
        for role in documents
        if role["kind"] in {"Role", "ClusterRole"}
        for rule in role["rules"]
        for group, resource, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


def requests(logs: Iterable[Path]) -> Iterator[AuditRecord]:
    """Yield what the operator itself asked, each request once."""
    for log in logs:
        for record in audit(log):
            if record.user == OPERATOR and record.stage is not Stage.STARTED and not record.user_agent.startswith(OTHERS):
                yield record


def right_of(record: AuditRecord) -> Right:
    """Return which right a request took, by the role that the authorizer names; one without a role took none."""
    found = re.search(r' of (Role|ClusterRole) "([^"]+)" to ', record.reason)
    resource = f"{record.resource}/{record.subresource}" if record.subresource else record.resource
    return Right(f"{found[1]} {found[2]}" if found else "no role", record.api_group, resource, record.verb)
