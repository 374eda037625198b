"""The steps that ask who may do what in a tenant's namespace."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, text, texts
from dataflow_operator.cli.checklist import Step, Verdict, step, unasked
from dataflow_operator.cli.server import Server, ServerError
from dataflow_operator.cli.tenancy import Tenant
from dataflow_operator.cli.tenant import (
    RBAC,
    TOKEN_ROLE,
    author_subject,
    granted_by,
    operator_subject,
    operator_user,
    subject_text,
)
from dataflow_operator.cli.whom import Question
from dataflow_operator.domain.names import TENANT_LABEL

REVIEWS: Final = "/apis/authorization.k8s.io/v1"
"""Where the API server answers who may do what."""


def namespace(server: Server) -> Step:
    """Ask whether the namespace is a tenant's."""
    name, title = "namespace", "namespace"
    try:
        raw = server.read(f"/api/v1/namespaces/{server.namespace}")
    except ServerError as error:
        return unasked(name, title, error.lines)
    metadata = mapping(mapping(raw).get("metadata"))
    if metadata.get("deletionTimestamp") is not None:
        seen = f"{server.namespace} is being deleted: no token can be made in it any more; jobs are stopped with the one that is left, while it lives"
        mend = "# what is left: kubectl annotate dfp NAME dataflow-operator.io/orphan-jobs=true lets a pipeline go and leaves its jobs"
        return step(name, title, Verdict.WRONG, seen, mend)
    if texts(metadata.get("labels")).get(TENANT_LABEL) != "true":
        seen = f"{server.namespace} is not labelled {TENANT_LABEL}=true: the operator's requests for tokens are refused in it"
        return step(name, title, Verdict.WRONG, seen, f"kubectl label namespace {server.namespace} {TENANT_LABEL}=true")
    return step(name, title, Verdict.WELL, f"{server.namespace} is labelled {TENANT_LABEL}=true")


def _operator_right(tenant: Tenant, server: Server) -> Step:
    """Ask whether the operator may create tokens of the ServiceAccount."""
    name, title, user = "operator", "operator's right", operator_user(tenant.installation.namespace)
    who = {
        "user": user,
        "groups": ["system:serviceaccounts", f"system:serviceaccounts:{tenant.installation.namespace}", "system:authenticated"],
    }
    try:
        allowed = _review(server, who, "create", tenant.account.name, "token")
    except ServerError as error:
        return _by_role(tenant, server, error)
    if allowed:
        return step(name, title, Verdict.WELL, f"{user} may create tokens of {tenant.account.name}")
    seen = f"{user} may not create tokens of {tenant.account.name}"
    return step(name, title, Verdict.WRONG, seen, f"kubectl dataflow grant {tenant.command_tail} | kubectl apply -f -")


def _by_role(tenant: Tenant, server: Server, asked: ServerError) -> Step:
    """Say what the Role that `grant` writes gives: another one may give the same, so that its silence says nothing."""
    name, title, place = "operator", "operator's right", f"/apis/{RBAC}/v1/namespaces/{tenant.namespace}"
    try:
        role, binding = server.read(f"{place}/roles/{TOKEN_ROLE}"), server.read(f"{place}/rolebindings/{TOKEN_ROLE}")
    except ServerError:
        return unasked(
            name,
            title,
            asked.lines,
            f"# ask an admin of the namespace for: kubectl dataflow doctor --service-account {tenant.command_tail}",
        )
    granted = granted_by(role, binding, resource="serviceaccounts/token", verb="create")
    is_bound = operator_subject(tenant.installation.namespace) in granted.subjects
    if is_bound and (granted.gives_all or tenant.account.name in granted.accounts):
        return step(name, title, Verdict.WELL, f"Role {TOKEN_ROLE} lets the operator create tokens of {tenant.account.name}")
    seen = f"Role {TOKEN_ROLE} does not let the operator create tokens of {tenant.account.name}; whether another does you may not ask"
    return step(name, title, Verdict.UNKNOWN, seen, f"kubectl dataflow grant {tenant.command_tail} | kubectl apply -f -")


def _author_right(question: Question, tenant: Tenant, server: Server) -> Step:
    """Ask whether the person, or the author named, may name the ServiceAccount in a pipeline."""
    name, title = "author", "author's right"
    try:
        if question.author is None:
            asker = _me(server)
            allowed = _review(server, None, "use", tenant.account.name)
        else:
            asker = subject_text(author_subject(question.author))
            allowed = _review(server, _as_user(question.author), "use", tenant.account.name)
    except ServerError as error:
        return unasked(name, title, error.lines)
    if allowed:
        return step(name, title, Verdict.WELL, f"{asker} may name {tenant.account.name} in pipelines")
    seen = f'{asker} may not "use" ServiceAccount {tenant.account.name}: no pipeline that names it can be created or changed so'
    other = () if question.author else ("# somebody else applies the pipelines? Ask for them: --author USER",)
    grant = f"kubectl dataflow grant {tenant.command_tail} --author {shlex.quote(asker)} | kubectl apply -f -"
    return step(name, title, Verdict.WRONG, seen, grant, *other)


def _as_user(author: str) -> Json:
    """Return an author as a review names one, with the groups that everybody has."""
    subject = author_subject(author)
    match subject["kind"]:
        case "Group":
            return {"groups": [subject["name"], "system:authenticated"]}
        case "ServiceAccount":
            groups = ["system:serviceaccounts", f"system:serviceaccounts:{subject['namespace']}", "system:authenticated"]
            return {"user": author, "groups": groups}
        case _:
            return {"user": author, "groups": ["system:authenticated"]}


def _me(server: Server) -> str:
    path = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    answer = server.asked(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"})
    return text(mapping(mapping(answer.get("status")).get("userInfo")).get("username")) or "you"


def _review(server: Server, who: Json | None, verb: str, name: str, subresource: str = "") -> bool:
    """Return whether somebody, or with None the person, may do *verb* to a ServiceAccount."""
    attributes = {"namespace": server.namespace, "verb": verb, "resource": "serviceaccounts", "name": name, "subresource": subresource}
    kind = "SelfSubjectAccessReview" if who is None else "LocalSubjectAccessReview"
    place = REVIEWS if who is None else f"{REVIEWS}/namespaces/{server.namespace}"
    spec = {"resourceAttributes": attributes, **(who or {})}
    question: dict[str, object] = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    if who is not None:
        question["metadata"] = {"namespace": server.namespace}
    return mapping(server.asked(f"{place}/{kind.lower()}s", question).get("status")).get("allowed") is True


def rights(question: Question, tenant: Tenant, server: Server) -> Iterator[Step]:
    """Ask who may do what."""
    yield _operator_right(tenant, server)
    yield _author_right(question, tenant, server)
