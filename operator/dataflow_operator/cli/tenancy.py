"""The steps within the cluster: what is installed, who is meant, and who may do what there."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from dataflow_operator.adapters.identity.account import GOOGLE_ACCOUNT, Account, account_of
from dataflow_operator.adapters.identity.modes import Exchange, google_account_of
from dataflow_operator.adapters.kubernetes.fields import mapping, objects, text
from dataflow_operator.adapters.kubernetes.wire import API_VERSION, PIPELINES, RUNS, pipeline_of
from dataflow_operator.cli.checklist import Step, Verdict, step, unasked
from dataflow_operator.cli.installation import SETTINGS, Installation, installation_of
from dataflow_operator.cli.server import Server, ServerError
from dataflow_operator.cli.whom import Question, UnsaidError, WrongSettingsError, mode_of, principal_of
from dataflow_operator.domain.errors import OutsideError
from dataflow_operator.domain.pipeline.model import Broken, Pipeline

REVIEWS: Final = "/apis/authorization.k8s.io/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """What is known of whom the question is about."""

    namespace: str
    installation: Installation
    account: Account
    exchange: Exchange | None
    """None: it cannot be done, or not be known here."""

    @property
    def command_tail(self) -> str:
        """Return what follows a command to mean this ServiceAccount."""
        return f"{self.account.name} -n {self.namespace}"


def definitions(server: Server) -> Step:
    """Ask whether the kinds are served. ServerError: the server cannot be asked at all."""
    try:
        served = {text(each.get("name")) for each in objects(mapping(server.read(f"/apis/{API_VERSION}")).get("resources"))}
    except ServerError as error:
        if error.code not in {HTTPStatus.NOT_FOUND, HTTPStatus.FORBIDDEN}:
            raise
        served = set[str | None]()
    if missing := [each for each in (PIPELINES, RUNS) if each not in served]:
        seen = f"the cluster does not serve {' and '.join(missing)} of {API_VERSION}"
        return step("definitions", "definitions", Verdict.WRONG, seen, "kubectl apply --server-side -f crds/")
    return step("definitions", "definitions", Verdict.WELL, f"{API_VERSION} is served")


def settings(question: Question, server: Server) -> Generator[Step, None, Installation | None]:
    """Ask what the operator was told; return that."""
    name, title, where = "settings", "settings", f"ConfigMap {question.operator_namespace}/{SETTINGS}"
    try:
        found = installation_of(server, question.operator_namespace, question.overrides)
    except ServerError as error:
        yield unasked(name, title, error.lines, "# say them: --setting DATAFLOW_OPERATOR_IDENTITY_MODE=… and those that go with it")
        return None
    if found is None:
        mend = "# install the operator, or say where it is: --operator-namespace NAMESPACE"
        yield step(name, title, Verdict.WRONG, f"there is no {where}: no operator is installed there", mend)
        return None
    given = f"--setting {', '.join(found.overridden)}" if found.overridden else ""
    source = given if "IDENTITY_MODE" in found.overridden else " and ".join(each for each in (where, given) if each)
    details = [f"mode {found.mode}, as said by {source}"]
    details += [f"{label} {value}" for label, key in _TOLD if (value := found.setting(key))]
    yield step(name, title, Verdict.WELL, "; ".join(details))
    return found


_TOLD: Final = (
    ("pool", "GKE_POOL"),
    ("cluster", "GKE_CLUSTER"),
    ("provider", "WORKLOAD_IDENTITY_PROVIDER"),
    ("subject", "WORKLOAD_IDENTITY_SUBJECT"),
    ("default ServiceAccount", "DEFAULT_SERVICE_ACCOUNT"),
    ("direct access", "DIRECT_ACCESS"),
    ("identity endpoint", "IDENTITY_ENDPOINT"),
)


def pipeline(question: Question, server: Server) -> Generator[Step, None, Pipeline | None]:
    """Ask for the pipeline, if one is named; return it."""
    if question.pipeline is None:
        return None
    name, title = "pipeline", "pipeline"
    try:
        raw = server.read(f"/apis/{API_VERSION}/namespaces/{server.namespace}/{PIPELINES}/{question.pipeline}")
    except ServerError as error:
        yield unasked(name, title, error.lines, "# name its account instead: --service-account NAME")
        return None
    if raw is None:
        seen = f"there is no pipeline {question.pipeline} in namespace {server.namespace}"
        yield step(name, title, Verdict.WRONG, seen, f"kubectl get dfp -n {server.namespace}")
        return None
    found = pipeline_of(raw)
    if isinstance(found.spec, Broken):
        yield step(
            name,
            title,
            Verdict.WRONG,
            f"its spec cannot be read: {found.spec.message}",
            f"kubectl edit dfp {question.pipeline} -n {server.namespace}",
        )
        return found
    deleting = "; it is being deleted" if found.is_deleting else ""
    yield step(name, title, Verdict.WELL, f"project {found.spec.project}, region {found.spec.region}{deleting}")
    return found


def account(question: Question, found: Pipeline | None, known: Installation, server: Server) -> Generator[Step, None, Account | None]:
    """Ask for the ServiceAccount; return it if it can be used."""
    title, namespace = "ServiceAccount", server.namespace
    named = found.spec.service_account_name if found is not None and not isinstance(found.spec, Broken) else None
    name = question.account or named or known.default_account
    if name is None:
        if found is not None:
            seen = "the pipeline names none, and the operator has no default"
            mend = f"""kubectl patch dfp {found.name} -n {namespace} --type=merge -p '{{"spec": {{"serviceAccountName": "NAME"}}}}'"""
            yield step("service-account", title, Verdict.WRONG, seen, mend)
        else:
            yield step("service-account", title, Verdict.UNKNOWN, "not known", "# name one: --service-account NAME")
        return None
    if namespace.startswith("kube-") or namespace == known.namespace:
        seen = f"{namespace}/{name}: those of kube-* and of the operator's own namespace are never used"
        yield step("service-account", title, Verdict.WRONG, seen, "# move the pipeline into a namespace of its own")
        return None
    try:
        raw = server.read(f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}")
    except ServerError as error:
        mend = f"# ask somebody who may, such as through Kubernetes' role `view`: kubectl dataflow doctor --service-account {name} -n {namespace}"
        yield unasked("service-account", title, error.lines, mend)
        return None
    if raw is None:
        seen = f"there is no ServiceAccount {name} in namespace {namespace}"
        yield step("service-account", title, Verdict.WRONG, seen, f"kubectl create serviceaccount {name} -n {namespace}")
        return None
    read = account_of(raw)
    if read.is_deleting:
        yield step(
            "service-account", title, Verdict.WRONG, f"{name} is being deleted", f"kubectl get serviceaccount {name} -n {namespace} -o yaml"
        )
        return None
    yield step("service-account", title, Verdict.WELL, f"{name}, uid {read.uid}")
    return read


def identity(read: Account, known: Installation) -> Generator[Step, None, Exchange | None]:
    """Say whom the ServiceAccount is to Google; return the exchange if there can be one and it is known here."""
    if known.mode != "profile":
        yield _google_account(read, known)
    try:
        yield step("principal", "principal", Verdict.WELL, principal_of(known, read).principal)
    except OutsideError as error:
        yield step("principal", "principal", Verdict.WRONG, error.message, '# see docs/identity.md, "127 bytes"')
        return None
    except UnsaidError as error:
        yield _unsaid("principal", "principal", error)
        return None
    try:
        return mode_of(known).exchange_for(read)
    except UnsaidError as error:
        yield _unsaid("cluster", "cluster", error)
        return None
    except OutsideError:
        return None


def _google_account(read: Account, known: Installation) -> Step:
    name, title = "google-account", "Google account"
    try:
        email = google_account_of(read, direct_access=known.is_on("DIRECT_ACCESS"))
    except OutsideError as error:
        command = f"kubectl annotate serviceaccount {read.name} -n {read.namespace} --overwrite"
        return step(name, title, Verdict.WRONG, error.message, f"{command} {GOOGLE_ACCOUNT}=NAME@PROJECT.iam.gserviceaccount.com")
    return step(name, title, Verdict.WELL, email or "none: it calls as itself (direct access)")


def _unsaid(name: str, title: str, error: UnsaidError) -> Step:
    verdict = Verdict.WRONG if isinstance(error, WrongSettingsError) else Verdict.UNKNOWN
    return step(name, title, verdict, str(error), *error.mend)
