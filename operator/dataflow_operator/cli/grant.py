"""`kubectl dataflow grant`: the objects by which a tenant lets the operator act as its ServiceAccounts, and what else is to be done."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import yaml

from dataflow_operator.adapters.identity.account import GOOGLE_ACCOUNT, account_of
from dataflow_operator.adapters.identity.hints import impersonation_binding
from dataflow_operator.adapters.identity.modes import is_e_mail
from dataflow_operator.adapters.kubernetes.fields import Json, mapping, texts
from dataflow_operator.cli.installation import installation_of
from dataflow_operator.cli.objects import data_of
from dataflow_operator.cli.tenant import (
    OPERATOR,
    RBAC,
    TOKEN_ROLE,
    USE_ROLE,
    Granted,
    Right,
    author_subject,
    granted_by,
    operator_subject,
    rights_to_use,
    subject_text,
    together,
    use_role_of,
)
from dataflow_operator.cli.terminal import CANNOT_SAY, Format, Place, Streams
from dataflow_operator.cli.whom import UnsaidError, principal_of
from dataflow_operator.domain.errors import OutsideError
from dataflow_operator.domain.names import TENANT_LABEL

if TYPE_CHECKING:
    from dataflow_operator.cli.server import Server

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
WHY: Final[Mapping[str, str]] = {
    TOKEN_ROLE: "The operator may create tokens of these ServiceAccounts, and of no other.",
    USE_ROLE: "Who may name these ServiceAccounts in pipelines.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    accounts: tuple[str, ...]
    authors: tuple[str, ...] = ()
    google_account: str | None = None
    place: Place = field(default_factory=Place)
    operator_namespace: str = OPERATOR
    output: Format = Format.TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the namespace has already."""

    namespace: str
    trouble: tuple[str, ...] = ()
    """Why the Roles that are there could not be read."""
    token: Granted = field(default_factory=Granted)
    use: Granted = field(default_factory=Granted)
    use_each: Mapping[str, Granted] = field(default_factory=dict[str, Granted])
    is_labelled: bool = False
    accounts: Mapping[str, Json | None] = field(default_factory=dict[str, Json | None])
    """ServiceAccounts that were asked for; None: it is not there. Absent: nobody could say."""
    members: Mapping[str, str] = field(default_factory=dict[str, str])
    """How a policy of Google's names the ServiceAccount, where the operator's settings tell."""


def grant(options: Options, streams: Streams) -> int:
    """Write the objects, and on stderr what else is to be done; return the exit code."""
    if wrong := list(_wrong(options)):
        streams.err.writelines(f"error: {line}\n" for line in wrong)
        return CANNOT_SAY
    found = _found(options)
    rights = _rights(options, found)
    is_json = options.output is Format.JSON
    streams.out.write(data_of(_list(rights, found.namespace), options.output) if is_json else _yaml(rights, found.namespace))
    streams.err.writelines(f"{line}\n" for line in (*_kept(rights, found, options), *_to_do(options, found)))
    return 0


def _wrong(options: Options) -> Iterator[str]:
    for name in (*options.accounts, options.operator_namespace):
        if not _NAME.fullmatch(name):
            yield f"{name!r} is no name of Kubernetes: small letters, digits, '-' and '.'"
    if options.place.namespace is not None and not _NAME.fullmatch(options.place.namespace):
        yield f"{options.place.namespace!r} is no name of a namespace"
    if options.google_account is not None and not is_e_mail(options.google_account):
        yield f"{options.google_account!r} is no Google service account, such as orders@acme-prod.iam.gserviceaccount.com"
    for author in options.authors:
        if not author.removeprefix("group:").strip():
            yield f"--author {author!r} names nobody: a user, group:NAME, or system:serviceaccount:NAMESPACE:NAME"


def _found(options: Options) -> Found:
    """Return what the cluster says; where it says nothing, that."""
    from dataflow_operator.cli.server import ServerError, connected  # noqa: PLC0415 # a second, which --help does without

    try:
        server = connected(options.place)
    except ServerError as error:
        return Found(namespace=options.place.namespace or "default", trouble=error.lines)
    found = Found(namespace=server.namespace)
    try:
        found = replace(
            found,
            token=_granted(server, TOKEN_ROLE, "serviceaccounts/token", "create"),
            use=_granted(server, USE_ROLE, "serviceaccounts", "use") if options.authors else Granted(),
            use_each={each: _granted(server, use_role_of(each), "serviceaccounts", "use") for each in options.accounts if options.authors},
        )
    except ServerError as error:
        return replace(found, trouble=error.lines)
    try:
        labels = texts(mapping(mapping(server.read(f"/api/v1/namespaces/{found.namespace}")).get("metadata")).get("labels"))
        accounts = {each: server.read(f"/api/v1/namespaces/{found.namespace}/serviceaccounts/{each}") for each in options.accounts}
    except ServerError:
        return found
    found = replace(found, is_labelled=labels.get(TENANT_LABEL) == "true", accounts=accounts)
    try:
        return replace(found, members=_members(server, options, accounts))
    except (ServerError, OutsideError, UnsaidError):
        return found


def _members(server: Server, options: Options, accounts: Mapping[str, Json | None]) -> dict[str, str]:
    """Return how Google names each ServiceAccount that is there."""
    installation = installation_of(server, options.operator_namespace)
    if installation is None:
        return {}
    return {name: principal_of(installation, account_of(raw)).principal for name, raw in accounts.items() if raw is not None}


def _granted(server: Server, name: str, resource: str, verb: str) -> Granted:
    place = f"/apis/{RBAC}/v1/namespaces/{server.namespace}"
    return granted_by(server.read(f"{place}/roles/{name}"), server.read(f"{place}/rolebindings/{name}"), resource=resource, verb=verb)


def _rights(options: Options, found: Found) -> tuple[Right, ...]:
    token = Right(
        name=TOKEN_ROLE,
        resource="serviceaccounts/token",
        verb="create",
        accounts=together(found.token.accounts, options.accounts),
        subjects=(operator_subject(options.operator_namespace),),
    )
    if not options.authors:
        return (token,)
    return (token, *rights_to_use(options.accounts, tuple(map(author_subject, options.authors)), found.use, found.use_each))


def _yaml(rights: tuple[Right, ...], namespace: str) -> str:
    documents = list[str]()
    for right in rights:
        why = WHY[TOKEN_ROLE if right.name == TOKEN_ROLE else USE_ROLE]
        role, binding = (yaml.safe_dump(each, sort_keys=False, default_flow_style=None) for each in right.objects(namespace))
        documents += [f"# {why}\n{role}", binding]
    return "---\n".join(documents)


def _list(rights: tuple[Right, ...], namespace: str) -> Json:
    return {"apiVersion": "v1", "kind": "List", "items": [each for right in rights for each in right.objects(namespace)]}


def _kept(rights: tuple[Right, ...], found: Found, options: Options) -> Iterator[str]:
    """Say what of the Roles that are there stays, goes, or is not known."""
    if found.trouble:
        yield f"warning: the Roles that are there could not be read: {'; '.join(found.trouble)}"
        yield f"  `kubectl apply` replaces what {TOKEN_ROLE} gives: name every ServiceAccount that is to keep it"
    for right in rights:
        granted = found.token if right.name == TOKEN_ROLE else found.use if right.name == USE_ROLE else Granted()
        if kept := [name for name in granted.accounts if name not in options.accounts and name in right.accounts]:
            yield f"kept: {', '.join(kept)}, as Role {right.name} has it already"
        if granted.gives_all:
            yield f"warning: Role {right.name} gives every ServiceAccount of the namespace now; this one gives {', '.join(right.accounts)}"
        if gone := [subject_text(each) for each in granted.subjects if each not in right.subjects]:
            yield f"warning: RoleBinding {right.name} names {', '.join(gone)} now, and no more after this"
    if any(right.name not in {TOKEN_ROLE, USE_ROLE} for right in rights):
        yield f"note: a Role for each ServiceAccount, because {USE_ROLE} has other authors and other ServiceAccounts: one Role would give all to all"


def _author_binding(authors: Sequence[str], namespace: str) -> str:
    """Return the command that gives authors the role to write pipelines, which naming an account is not."""
    subjects = [author_subject(author) for author in authors]
    flags = [
        shlex.quote(
            f"--serviceaccount={each['namespace']}:{each['name']}" if "namespace" in each else f"--{each['kind'].lower()}={each['name']}"
        )
        for each in subjects
    ]
    return f"kubectl create rolebinding dataflow-author --clusterrole=dataflow-author -n {namespace} {' '.join(flags)}"


def _to_do(options: Options, found: Found) -> Iterator[str]:
    """Say what the objects do not do, less what is done."""
    namespace = found.namespace
    yield "to do beside `kubectl apply`, each once:"
    if not found.is_labelled:
        yield "  # the policy lets the operator ask for tokens in labelled namespaces only"
        yield f"  kubectl label namespace {namespace} {TENANT_LABEL}=true"
    if options.authors:
        yield "  # and may write pipelines at all, unless they may already"
        yield f"  {_author_binding(options.authors, namespace)}"
    for name in options.accounts:
        account = found.accounts.get(name, {})
        annotated = texts(mapping(mapping(account).get("metadata")).get("annotations")).get(GOOGLE_ACCOUNT)
        # A tenant writes the annotation, and an admin pastes these lines into a shell.
        google = options.google_account or (annotated if annotated and is_e_mail(annotated) else "GOOGLE_ACCOUNT")
        if account is None:
            yield f"  kubectl create serviceaccount {name} -n {namespace}"
        if annotated != google:
            yield f"  # {name} stands for this Google service account"
            overwrite = " --overwrite" if annotated else ""
            yield f"  kubectl annotate serviceaccount {name} -n {namespace} {GOOGLE_ACCOUNT}={google}{overwrite}"
        yield f"  # and Google lets {name} impersonate it"
        member = found.members.get(name)
        yield f"  {impersonation_binding(member or 'PRINCIPAL', google)}"
        if not member:
            yield f"  # PRINCIPAL is what `kubectl dataflow whoami --service-account {name} -n {namespace}` says"
    yield "then, to see whether it works:"
    yield from (f"  kubectl dataflow doctor --service-account {name} -n {namespace}" for name in options.accounts)
