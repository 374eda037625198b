"""`docs/rbac.md` says every rule of every role in the manifests and no other, and the manifests hold nothing that nobody should have."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from dataflow_local.cache import ROOT

PAGE = ROOT / "docs" / "rbac.md"
MANIFESTS = ROOT / "manifests"

FORBIDDEN_VERBS = {"*", "impersonate", "bind", "escalate"}
FORBIDDEN_RESOURCES = {"*", "secrets"}

Json = dict[str, Any]


class Right(NamedTuple):
    """One verb on one resource, as a role in a file gives it."""

    file: str
    group: str
    resource: str
    names: tuple[str, ...]
    verb: str


def documents() -> list[tuple[str, Json]]:
    """Return each object of the manifests with the file that it stands in."""
    files = [path for folder in (MANIFESTS, ROOT / "examples" / "tenant") for path in sorted(folder.rglob("*.yaml"))]
    found = [(str(path.relative_to(ROOT)), document) for path in files for document in yaml.safe_load_all(path.read_text())]
    return [(file, document) for file, document in found if document and "kind" in document]


def given() -> set[Right]:
    """Return the rights that the roles give."""
    roles = [(file, document) for file, document in documents() if document["kind"] in {"Role", "ClusterRole"}]
    return {
        Right(file, group, resource, tuple(rule.get("resourceNames", ())), verb)
        for file, role in roles
        for rule in role["rules"]
        for group, resource, verb in itertools.product(rule["apiGroups"], rule["resources"], rule["verbs"])
    }


def words(cell: str) -> list[str]:
    return [word.strip() for word in cell.split(",")]


def tables(text: str) -> list[tuple[list[str], list[list[str]]]]:
    """Return each table on rights with the files of manifests that its section names first."""
    found: list[tuple[list[str], list[list[str]]]] = []
    for section in re.split(r"^##+ ", text, flags=re.MULTILINE):
        rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("|")]
        if rows and rows[0][0] == "API group":
            said = section.partition("| API group")[0]
            found.append((re.findall(r"`(manifests/[a-z/]+\.yaml)`", said), rows[2:]))
    return found


def said() -> set[Right]:
    """Return the rights that the page says."""
    return {
        Right(file, group, resource, tuple(words(names)) if names else (), verb)
        for files, rows in tables(PAGE.read_text())
        for file in files
        for group, resources, names, verbs, _why, _without in rows
        for resource, verb in itertools.product(words(resources), words(verbs))
    }


def test_every_right_of_the_manifests_is_on_the_page_and_no_other() -> None:
    assert given() == said()


def test_every_right_on_the_page_says_why() -> None:
    for files, rows in tables(PAGE.read_text()):
        assert files
        for row in rows:
            assert len(row) == 6, row
            assert row[4], row


def subjects(binding: Json) -> str:
    """Return the subjects of a binding as the page says them."""
    found = [
        f"{subject['kind']} {subject['namespace']}/{subject['name']}" if "namespace" in subject else f"{subject['kind']} {subject['name']}"
        for subject in binding["subjects"]
    ]
    return ", ".join(found) or "nobody, until you name them"


def test_every_binding_of_the_manifests_is_on_the_page_and_no_other() -> None:
    section = PAGE.read_text().partition("## Who is bound")[2].partition("\n## ")[0]
    rows = {tuple(cell.strip() for cell in line.strip("|").split("|")) for line in section.splitlines() if line.startswith("|")}
    bindings = [
        document
        for file, document in documents()
        if document["kind"] in {"RoleBinding", "ClusterRoleBinding"} and file.startswith("manifests/")
    ]
    wanted = {
        (
            f"{binding['kind']} {binding['metadata']['name']}",
            f"{binding['roleRef']['kind']} {binding['roleRef']['name']}",
            subjects(binding),
        )
        for binding in bindings
    }
    assert {row for row in rows if row[0] not in {"binding", "---"}} == wanted


@pytest.mark.parametrize("right", sorted(given()), ids=lambda right: f"{right.file}: {right.verb} {right.resource}")
def test_no_role_holds_what_nobody_should(right: Right) -> None:
    assert right.verb not in FORBIDDEN_VERBS
    assert right.resource.partition("/")[0] not in FORBIDDEN_RESOURCES
    assert right.group != "*"


def operators_rules(file: str) -> list[Json]:
    document = next(document for found, document in documents() if found == file and document["kind"] in {"Role", "ClusterRole"})
    return list(document["rules"])


def test_the_operator_creates_tokens_only_by_a_tenant_s_role_that_names_accounts() -> None:
    tokens = [right for right in given() if right.resource == "serviceaccounts/token"]
    assert [(right.file, right.verb) for right in tokens] == [("manifests/tenant/token.yaml", "create")]
    assert all(right.names for right in tokens)


def test_a_namespace_that_is_served_gives_what_the_clusterrole_gives() -> None:
    assert operators_rules("manifests/base/clusterrole.yaml") == operators_rules("manifests/namespaced/served/role.yaml")


def test_no_role_is_bound_to_everybody_but_the_one_that_reads_the_settings() -> None:
    everybody = {"system:authenticated", "system:unauthenticated", "system:serviceaccounts", "system:anonymous"}
    bound = [
        document["metadata"]["name"]
        for _, document in documents()
        if document["kind"].endswith("Binding")
        for subject in document.get("subjects", ())
        if subject["name"] in everybody
    ]
    assert bound == ["dataflow-operator-settings"]


def test_no_object_of_the_manifests_is_a_webhook_or_a_secret() -> None:
    kinds = {document["kind"] for _, document in documents()}
    assert not {kind for kind in kinds if "Webhook" in kind or kind == "Secret"}


@pytest.mark.parametrize("path", sorted((MANIFESTS / "policies").glob("*.yaml")), ids=lambda path: path.stem)
def test_a_policy_on_what_is_not_ours_has_no_parameters_that_could_be_missing(path: Path) -> None:
    for document in yaml.safe_load_all(path.read_text()):
        assert "paramKind" not in document.get("spec", {})
        assert "paramRef" not in document.get("spec", {})


def test_the_examples_of_the_page_can_be_read_and_its_patch_hits_the_rule_that_is_open_to_the_world() -> None:
    blocks = [yaml.safe_load(block) for block in re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)]
    patch = yaml.safe_load(blocks[0][0]["patch"])[0]
    policies = yaml.safe_load_all((MANIFESTS / "base" / "networkpolicy.yaml").read_text())
    egress = next(policy for policy in policies if re.search(blocks[0][0]["target"]["name"], policy["metadata"]["name"]))["spec"]["egress"]
    assert patch["path"] == "/spec/egress/1"
    assert egress[1] == {"ports": [{"protocol": "TCP", "port": 443}, {"protocol": "TCP", "port": 6443}]}
    assert [block["kind"] for block in blocks[1:]] == ["FQDNNetworkPolicy", "CiliumNetworkPolicy"]
