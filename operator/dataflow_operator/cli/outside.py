"""The steps that leave the cluster: a token of the ServiceAccount, its exchange with Google, one list of jobs; and what only can be said."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dataflow_operator.adapters.identity.account import GOOGLE_ACCOUNT
from dataflow_operator.adapters.identity.answers import Loss
from dataflow_operator.adapters.identity.hints import enabling, member_of, project_binding, worker_binding
from dataflow_operator.adapters.identity.modes import Exchange
from dataflow_operator.adapters.kubernetes.fields import mapping, text
from dataflow_operator.cli.checklist import Step, Verdict, step, unasked
from dataflow_operator.cli.server import Server, ServerError
from dataflow_operator.cli.tenancy import Tenant
from dataflow_operator.cli.whom import GOOGLE, Question
from dataflow_operator.domain.conditions import Truth, condition_of
from dataflow_operator.domain.errors import Reason, UnavailableError, calm
from dataflow_operator.domain.names import RECONCILE_REQUEST
from dataflow_operator.domain.pipeline.model import Broken, Pipeline

if TYPE_CHECKING:
    from dataflow_operator.adapters.identity.exchange import Token

TOKEN_SECONDS: Final = 600
"""Life of the Kubernetes token. Source: the least that an API server gives, and what the operator asks for."""

BEARER_LIFE: Final = timedelta(seconds=300)
"""Life that is asked of Google's token: it serves one call. Source: what the operator asks for a launch."""

DATAFLOW: Final = "https://dataflow.googleapis.com"
"""Where Google has Dataflow's REST API."""

MEND: Final = ". To mend it: "
"""What parts, in a message of an exchange, what was seen from what mends it."""

WHO: Final = ". ServiceAccount "
"""What parts it from who that was: the steps before have said it."""

_AWAY: Final = frozenset({Reason.STS_UNAVAILABLE, Reason.STS_THROTTLED})
"""Reasons that say nothing of the identity: nobody answered, or not now."""


def way_outside(question: Question, tenant: Tenant, found: Pipeline | None, server: Server) -> Iterator[Step]:
    """Walk the exchange as far as the person may."""
    exchange = tenant.exchange
    if exchange is None:
        yield step("token", "exchange", Verdict.UNKNOWN, "not walked: it hangs on a step above")
        return
    try:
        subject_token = _subject_token(exchange, tenant, server)
    except ServerError as error:
        yield _no_token(tenant, error)
        return
    yield step("token", "token", Verdict.WELL, f"the API server gives one of {TOKEN_SECONDS} s for audience {exchange.token_audience}")
    federated = yield from _exchanged("sts", "STS", replace(exchange, google_account=""), subject_token, tenant)
    if federated is None:
        return
    last = federated
    if exchange.google_account:
        impersonated = yield from _exchanged("impersonation", "impersonation", exchange, subject_token, tenant)
        if impersonated is None:
            return
        last = impersonated
    yield _jobs(question, tenant, exchange, found, last)


def _subject_token(exchange: Exchange, tenant: Tenant, server: Server) -> str:
    """Return a token for one audience, which is not the API server's own. A secret: it is shown nowhere."""
    from dataflow_operator.adapters.identity.transport import quieten  # noqa: PLC0415 # takes google-auth along

    quieten()
    path = f"/api/v1/namespaces/{tenant.namespace}/serviceaccounts/{tenant.account.name}/token"
    spec = {"audiences": [exchange.token_audience], "expirationSeconds": TOKEN_SECONDS}
    answer = server.asked(path, {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec})
    token = text(mapping(answer.get("status")).get("token"))
    if token is None:
        raise ServerError("the API server's answer holds no token")
    return token


def _no_token(tenant: Tenant, error: ServerError) -> Step:
    if error.is_forbidden and "because it is being terminated" not in str(error):
        seen = f"you may not create tokens of {tenant.account.name}: STS, impersonation and the list of jobs could not be walked as you"
        mend = (
            "# let somebody ask who may create serviceaccounts/token there, as Kubernetes' own role `edit` may",
            "# or look at what the operator itself saw last: it is said below, if a pipeline is named",
        )
        return step("token", "token", Verdict.UNKNOWN, seen, *mend)
    if error.code is None or error.code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return unasked("token", "token", error.lines)
    return step("token", "token", Verdict.WRONG, f"the API server gives none: {'; '.join(error.lines)}")


def _exchanged(name: str, title: str, wanted: Exchange, subject_token: str, tenant: Tenant) -> Generator[Step, None, Token | None]:
    """Exchange the token as the operator would; return Google's."""
    from dataflow_operator.adapters.identity.exchange import OwnToken, exchange  # noqa: PLC0415 # takes google-auth along

    try:
        token = exchange(wanted, OwnToken(subject_token), who=f"{tenant.namespace}/{tenant.account.name}", life=BEARER_LIFE)
    except UnavailableError as error:
        told, _, mend = error.message.partition(MEND)
        seen = told.partition(WHO)[0]
        verdict = Verdict.UNKNOWN if error.reason in _AWAY else Verdict.WRONG
        yield step(name, title, verdict, f"{error.reason}: {seen}", *([mend] if mend else []))
        return None
    whom = wanted.google_account or "the principal"
    yield step(name, title, Verdict.WELL, f"Google gives {whom} a token of {round(token.life.total_seconds())} s")
    return token


def _jobs(question: Question, tenant: Tenant, wanted: Exchange, found: Pipeline | None, token: Token) -> Step:
    """List one job, as the operator's poller does."""
    from google.auth.exceptions import TransportError  # noqa: PLC0415

    from dataflow_operator.adapters.identity.exchange import said_in  # noqa: PLC0415
    from dataflow_operator.adapters.identity.transport import Transport  # noqa: PLC0415

    name, title = "dataflow", "Dataflow"
    spec = found.spec if found is not None and not isinstance(found.spec, Broken) else None
    project, region = question.project or (spec.project if spec else None), question.region or (spec.region if spec else None)
    if project is None or region is None:
        return step(name, title, Verdict.SAID, "no project and region are named: with --project P --region R its jobs are listed, too")
    endpoint = tenant.installation.setting("IDENTITY_ENDPOINT")
    base = DATAFLOW if endpoint in {"", GOOGLE} else endpoint
    transport = Transport(frozenset({base}))
    url = f"{base}/v1b3/projects/{quote(project, safe=':')}/locations/{quote(region, safe='')}/jobs?pageSize=1"
    with suppress(TransportError):
        transport(url, headers={"Authorization": f"Bearer {token.bearer}", "Accept": "application/json"})
    answer = transport.answers[-1]
    code, (_, said) = answer.code, said_in(answer)
    if code == HTTPStatus.OK:
        return step(name, title, Verdict.WELL, f"the jobs of project {project} in {region} can be listed")
    status = code.value if isinstance(code, Loss) else f"HTTP {int(code)}"
    seen = f"listing the jobs of project {project} in {region}: {status}{f': {calm(said)}' if said else ''}"
    if isinstance(code, Loss) or code == HTTPStatus.TOO_MANY_REQUESTS or code >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return step(name, title, Verdict.UNKNOWN, seen)
    return step(name, title, Verdict.WRONG, seen, *_mend_of(HTTPStatus(code), said, wanted, project))


def _mend_of(code: HTTPStatus, said: str, wanted: Exchange, project: str) -> tuple[str, ...]:
    if "SERVICE_DISABLED" in said or "has not been used in project" in said:
        return (enabling("dataflow.googleapis.com", project),)
    if code == HTTPStatus.FORBIDDEN:
        return (project_binding(wanted.persona, project),)
    if code == HTTPStatus.UNAUTHORIZED and not wanted.google_account:
        return (
            f"# not every API takes federated tokens: annotate the ServiceAccount with {GOOGLE_ACCOUNT}=NAME@PROJECT.iam.gserviceaccount.com",
        )
    return ()


def advice_on_workers(tenant: Tenant, found: Pipeline | None) -> Iterator[Step]:
    """Say what a launch needs besides, which nobody can ask without one."""
    if tenant.exchange is None or found is None or isinstance(found.spec, Broken):
        return
    worker = text(found.spec.environment.get("serviceAccountEmail"))
    whom = f"{worker}" if worker else "the project's default Compute Engine account"
    seen = f"jobs run as {whom}; to launch them {member_of(tenant.exchange.persona)} must be allowed to act as it. Nothing asks that but a launch"
    yield step("act-as", "workers", Verdict.SAID, seen, worker_binding(tenant.exchange.persona, found.spec.project, worker))


def said_by_the_operator(found: Pipeline) -> Step:
    """Tell the pipeline's own condition: what the operator last saw."""
    name, title = "identity-ready", "IdentityReady"
    condition = condition_of(found.status.conditions, title)
    if condition is None:
        return step(name, title, Verdict.SAID, "the operator has said nothing of it yet")
    since = f" since {condition.last_transition_time:%Y-%m-%dT%H:%M:%SZ}" if condition.last_transition_time else ""
    old = "" if condition.observed_generation == found.generation else "; it speaks of an earlier spec"
    seen = f"{condition.status}{since}, {condition.reason}: {condition.message}{old}"
    match condition.status:
        case Truth.TRUE:
            return step(name, title, Verdict.WELL, seen)
        case Truth.UNKNOWN:
            return step(name, title, Verdict.UNKNOWN, seen)
        case Truth.FALSE:
            look = f'kubectl annotate dfp {found.name} -n {found.namespace} --overwrite {RECONCILE_REQUEST}="$(date)"'
            return step(name, title, Verdict.WRONG, seen, f"{look}  # once it is mended: the operator looks again")
