"""What a tenant's namespace needs so that the operator may act as its ServiceAccounts, as objects of Kubernetes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, items, mapping, objects, text

OPERATOR: Final = "dataflow-operator"
"""Name of the operator's ServiceAccount, and of its namespace unless somebody put it elsewhere. Source: manifests/base."""

TOKEN_ROLE: Final = "dataflow-operator-token"  # noqa: S105 # a name, not a secret
"""Name of the Role, and of its RoleBinding, by which the operator may create tokens of a tenant's ServiceAccounts. Source: manifests/tenant."""

USE_ROLE: Final = "dataflow-use-accounts"
"""Name of the Role, and of its RoleBinding, by which authors may name ServiceAccounts in pipelines. Source: manifests/tenant."""

RBAC: Final = "rbac.authorization.k8s.io"

_GROUP: Final = "group:"
_ACCOUNT: Final = re.compile(r"system:serviceaccount:([^:]+):([^:]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Right:
    """A Role that gives one right to some ServiceAccounts, with its RoleBinding."""

    name: str
    resource: str
    verb: str
    accounts: tuple[str, ...]
    subjects: tuple[Mapping[str, str], ...]

    def objects(self, namespace: str) -> tuple[Json, Json]:
        """Return both objects."""
        metadata = {"name": self.name, "namespace": namespace, "labels": {"app.kubernetes.io/name": OPERATOR}}
        rule = {"apiGroups": [""], "resources": [self.resource], "resourceNames": list(self.accounts), "verbs": [self.verb]}
        role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": metadata, "rules": [rule]}
        reference = {"apiGroup": RBAC, "kind": "Role", "name": self.name}
        subjects = [dict(subject) for subject in self.subjects]
        binding = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": metadata, "roleRef": reference, "subjects": subjects}
        return role, binding


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What a Role and a RoleBinding that are there give."""

    accounts: tuple[str, ...] = ()
    subjects: tuple[Mapping[str, str], ...] = ()
    gives_all: bool = False
    """A rule names no ServiceAccount, and so gives all."""


def operator_subject(namespace: str) -> Mapping[str, str]:
    """Return the operator as the subject of a RoleBinding."""
    return {"kind": "ServiceAccount", "name": OPERATOR, "namespace": namespace}


def operator_user(namespace: str) -> str:
    """Return the name under which the API server knows the operator."""
    return f"system:serviceaccount:{namespace}:{OPERATOR}"


def author_subject(author: str) -> Mapping[str, str]:
    """Return a user, `group:NAME` or `system:serviceaccount:NAMESPACE:NAME` as the subject of a RoleBinding."""
    if author.startswith(_GROUP):
        return {"apiGroup": RBAC, "kind": "Group", "name": author.removeprefix(_GROUP)}
    if account := _ACCOUNT.fullmatch(author):
        return {"kind": "ServiceAccount", "name": account[2], "namespace": account[1]}
    return {"apiGroup": RBAC, "kind": "User", "name": author}


def granted_by(role: Json | None, binding: Json | None, *, resource: str, verb: str) -> Granted:
    """Return what the two give of one right."""
    rules = [
        rule
        for rule in objects(mapping(role).get("rules"))
        if _covers(rule, "apiGroups", "") and _covers(rule, "resources", resource) and _covers(rule, "verbs", verb)
    ]
    names = [items(rule.get("resourceNames")) for rule in rules]
    return Granted(
        accounts=tuple(sorted({str(name) for each in names for name in each})),
        subjects=tuple(_subject(subject) for subject in objects(mapping(binding).get("subjects"))),
        gives_all=any(not each for each in names),
    )


def together(*parts: Iterable[str]) -> tuple[str, ...]:
    """Return names without repetition, sorted."""
    return tuple(sorted({name for part in parts for name in part}))


def all_subjects(*parts: Iterable[Mapping[str, str]]) -> tuple[Mapping[str, str], ...]:
    """Return subjects without repetition, in their order."""
    kept = list[Mapping[str, str]]()
    for part in parts:
        kept += [subject for subject in part if subject not in kept]
    return tuple(kept)


def rights_to_use(
    accounts: Sequence[str], subjects: Sequence[Mapping[str, str]], shared: Granted, each: Mapping[str, Granted]
) -> tuple[Right, ...]:
    """Return what lets *subjects* use *accounts*, gives nobody else more than they have, and takes nothing away.

    That is one Role where all may use the same, and else one for each ServiceAccount. *shared* is what the one gives, *each* what those give.
    """
    gives = bool(shared.accounts and shared.subjects)
    if not shared.gives_all and (not gives or _same(shared.accounts, accounts) or _same_subjects(shared.subjects, subjects)):
        right = Right(
            name=USE_ROLE,
            resource="serviceaccounts",
            verb="use",
            accounts=together(shared.accounts if gives else (), accounts),
            subjects=all_subjects(shared.subjects if gives else (), subjects),
        )
        return (right,)
    return tuple(
        Right(
            name=use_role_of(account),
            resource="serviceaccounts",
            verb="use",
            accounts=(account,),
            subjects=all_subjects(each[account].subjects if account in each else (), subjects),
        )
        for account in accounts
    )


def use_role_of(account: str) -> str:
    """Return the name of the Role by which the authors of one ServiceAccount may name it."""
    return f"{USE_ROLE}-{account}"


def subject_text(subject: Mapping[str, str]) -> str:
    """Return a subject as a person would type it."""
    match subject.get("kind"):
        case "Group":
            return f"{_GROUP}{subject['name']}"
        case "ServiceAccount":
            return f"system:serviceaccount:{subject.get('namespace')}:{subject['name']}"
        case _:
            return str(subject.get("name"))


def _subject(raw: Json) -> Mapping[str, str]:
    """Return a subject without what the API server fills in or leaves out as it likes."""
    kind, name, namespace = text(raw.get("kind")) or "", text(raw.get("name")) or "", text(raw.get("namespace"))
    if kind == "ServiceAccount":
        return {"kind": kind, "name": name, "namespace": namespace or ""}
    return {"apiGroup": RBAC, "kind": kind, "name": name}


def _covers(rule: Json, member: str, wanted: str) -> bool:
    found = items(rule.get(member))
    return wanted in found or "*" in found


def _same(some: Iterable[str], others: Iterable[str]) -> bool:
    return set(some) == set(others)


def _same_subjects(some: Iterable[Mapping[str, str]], others: Iterable[Mapping[str, str]]) -> bool:
    return _same(map(subject_text, some), map(subject_text, others))
