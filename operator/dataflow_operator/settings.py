"""Every knob of the operator: its default, its unit, why, and where the value is from.

Each can be given as a flag (`--poll-seconds=10`) or in the environment (`DATAFLOW_OPERATOR_POLL_SECONDS=10`); the flag wins.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from types import UnionType
from typing import Any, Final, get_args, get_type_hints

from dataflow_operator.controller.lease import Terms
from dataflow_operator.domain.identity import LAUNCH_TOKEN_LIFE, LAUNCH_TOKEN_REST, LAUNCH_TOKEN_SLACK, Tenancy
from dataflow_operator.domain.pipeline.observation import Limits

PREFIX: Final = "DATAFLOW_OPERATOR_"


class SettingsError(Exception):
    """The settings cannot be read, or do not go together."""


class IdentityMode(StrEnum):
    """Who calls Dataflow."""

    GKE = "gke"
    """Each pipeline's ServiceAccount, through Workload Identity Federation for GKE."""
    FEDERATION = "federation"
    """Each pipeline's ServiceAccount, through a workload identity provider that trusts the cluster: on any cluster."""
    PROFILE = "profile"
    """A credential configuration that the cluster's admin keeps for a namespace: Okta, AWS, and other issuers."""
    EMULATOR = "emulator"
    """Nobody: a launch says until when it may be carried out, and that is all. Only to an emulator."""
    AMBIENT = "ambient"
    """The operator's own pod. Whoever may write a pipeline then acts as the operator: for a single tenant."""


class SubjectMapping(StrEnum):
    """What a workload identity provider makes the subject of a ServiceAccount's token. docs/identity.md has the mappings in CEL."""

    SUB = "sub"
    """`system:serviceaccount:NAMESPACE:NAME`, the token's own."""
    SHORT = "short"
    """`NAMESPACE/NAME`: 22 bytes less of the 127 that Google takes."""
    UID = "uid"
    """36 bytes, whatever the names: a ServiceAccount that is made anew is then somebody else."""


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    """Text on a terminal, JSON elsewhere."""
    JSON = "json"
    TEXT = "text"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What the operator is started with."""

    kubeconfig: Path | None = None
    """File that says how to reach the API server; absent: as the pod's own ServiceAccount."""

    dataflow_endpoint: str = "google"
    """Where Dataflow is: `google`, or `grpc://host:port` for an emulator, without TLS."""

    identity_mode: IdentityMode = IdentityMode.AMBIENT
    """Who calls Dataflow: `gke` or `federation`, each pipeline's ServiceAccount; `profile`, what --profiles says for its namespace;
    `ambient`, the operator's own pod; `emulator`, nobody. docs/identity.md says which one is for whom."""

    gke_pool: str | None = None
    """With `gke`: the workload identity pool of the cluster, `PROJECT.svc.id.goog`. Absent: asked of the metadata server."""

    gke_cluster: str | None = None
    """With `gke`: the cluster, `projects/PROJECT/locations/LOCATION/clusters/NAME`. Absent: asked of the metadata server."""

    workload_identity_provider: str | None = None
    """With `federation`: the provider that trusts the cluster, `projects/NUMBER/locations/global/workloadIdentityPools/POOL/providers/NAME`."""

    workload_identity_subject: SubjectMapping = SubjectMapping.SUB
    """With `federation`: what the provider maps `google.subject` to: `sub`, `short` or `uid`. It stands in hints and is checked for length."""

    profiles: Path | None = None
    """With `profile`: the file of profiles."""

    default_service_account: str | None = None
    """Name of the ServiceAccount, in the pipeline's own namespace, of a pipeline that names none. Absent: such a pipeline is not served
    where each has its own identity. Give the same name to the policy dataflow-use-account."""

    direct_access: bool = False
    """With `gke` and `federation`: whether a ServiceAccount without a Google account (annotation iam.gke.io/gcp-service-account) calls as
    itself. Its tokens live for an hour and none lives shorter, so that a launch without an answer waits as long before it is tried again."""

    identity_endpoint: str = "google"
    """Where tokens are exchanged: `google`, or http://127.0.0.1:port of an emulator."""

    single_tenant: bool = False
    """Must be true for identity mode `ambient`: says that all who may write pipelines may act as the operator."""

    namespaces: str | None = None
    """The namespaces whose pipelines are served, with commas between: nothing outside them is asked for, and a Role in each is all that the
    operator needs. Absent: every namespace, which takes the ClusterRole."""

    claim_life_seconds: float = 5.0
    """How long after a claim was decided its launch may still be sent. A pass takes milliseconds; a process that stalled longer must look again. Source: chosen; docs of the claim protocol."""

    launch_seconds: float = 30.0
    """Deadline of the call that launches a job. Dataflow answers launches within seconds; the template is validated in the call. Source: chosen."""

    launch_credential_seconds: float | None = None
    """Life of the credential that a launch carries, from just before it is sent: what the network delivers later is refused. Absent:
    300 where a Google account is impersonated; with identity mode `emulator` as long as the launch may take, so that nothing has to wait
    for it; with `ambient`, `profile` and --direct-access 3600, as those tokens may live for an hour and nobody can ask for a shorter
    one: less is refused. It is how long a launch that got no answer, and of which nothing is to be seen, waits before it is tried again.
    Source: Google's metadata server and Security Token Service."""

    list_lag_seconds: float = 60.0
    """How late a new job may appear in Dataflow's job list. Source: chosen above what was seen; 2 is plenty for an emulator."""

    margin_seconds: float = 5.0
    """Added to the settle time for what nobody thought of. Source: chosen."""

    settle_seconds: float | None = None
    """How long a claim stays unanswered before a complete list may close it. Absent: the least that is safe, claim life + launch + launch credential + list lag + margin; less is refused. An emulator's credential is there at once, so that the longer of launch and credential counts."""

    poll_seconds: float = 10.0
    """How often the jobs of a place are listed. 6 of the 15,000 monitoring requests a minute that Dataflow grants. Source: Dataflow's quota page."""

    hurried_poll_seconds: float = 1.0
    """How often they are listed for a while after something there was changed. Source: chosen; a person may be waiting."""

    list_age_seconds: float = 30.0
    """The oldest list that a claim may stand on; at least two polls. Source: chosen."""

    look_again_seconds: float = 15.0
    """How long a single read of a job, a run or an account is good for. Source: chosen."""

    stop_again_seconds: float = 10.0
    """How long after a stop call a job may look unstopped before it is asked again: Dataflow shows DRAINING and CANCELLING within seconds. And how
    long after a dry run that was not answered the next is made. Source: chosen."""

    late_reason_seconds: float = 60.0
    """How long a failed job's reason may take to appear, counted from the first read of its messages: up to 50 s were seen. Source: the time that Beam's own runner waits."""

    recheck_seconds: float = 60.0
    """How often something refused that may heal by itself, such as a permission, is tried again. IAM takes minutes to spread. Source: chosen."""

    start_seconds: float = 900.0
    """How long a run that a person made may wait for what it refers to. Source: the API's documentation."""

    launches_per_minute: float | None = None
    """Launches, and as many dry runs, that are sent for one project in any minute; a quarter of them at once, the others evenly.
    Whoever has to wait is told in its status. Absent: 60 with Google, and no limit with an emulator. Source: chosen cautiously; a
    project's own quota of job creations and template requests stands on its quota page."""

    stops_per_minute: float | None = None
    """Calls to stop a job, and as many to change one in place, that are sent for one project in any minute. Absent: 60 with Google, and no limit with an emulator. Source: chosen, as for launches."""

    reads_per_minute: float | None = None
    """Job lists, and reads, that are sent for one project in any minute: half of them lists, a quarter each single reads and reads of
    jobs' metrics. Absent: 15000 with Google, which counts monitoring requests so for each caller, and no limit with an emulator. Source: Dataflow's quota page."""

    job_metrics_seconds: float = 60.0
    """How often the metrics of each running job, and what it says, are read, two calls each and ten jobs a second at most; 0: never. Dataflow renews them
    about once a minute. Source: chosen."""

    per_object_metrics: bool = True
    """Whether /metrics has series of each pipeline, run and job: 70 for a pipeline at most. False: counts alone, and no job's metrics are read."""

    prices: Path | None = None
    """File with the prices that costs of jobs are estimated by, as docs/metrics.md has it. Absent: list prices of us-central1."""

    workers: int = 10
    """Pipelines that are worked on at the same time. A pass waits for at most one effect. Source: chosen."""

    relist_seconds: float = 300.0
    """How often all objects are listed to find deletions that the watch lost: it loses them whenever an API server restarts. Source: measured; the period is chosen."""

    leader_election: bool = False
    """Whether only one of several replicas acts, the one that holds the Lease; the others stand by. The manifests switch it on. Two that act are safe, too, and call twice as often."""

    lease_name: str = "dataflow-operator"
    """Name of the Lease."""

    lease_namespace: str | None = None
    """Namespace of the Lease. Absent: the pod's own."""

    lease_duration_seconds: float = 15.0
    """How long a standby waits after the last sign of the holder before it takes the Lease; whole seconds. Source: client-go's default."""

    renew_deadline_seconds: float = 10.0
    """How long after its last renewal the holder begins new passes; less than the duration. Source: client-go's default."""

    retry_period_seconds: float = 2.0
    """How often the Lease is renewed, or looked at. Source: client-go's default."""

    http_bind: str = ":8080"
    """Where /metrics, /healthz and /readyz are served: `host:port`, without a host on all addresses. Source: controller-runtime's port for metrics."""

    yaml_template: str = "gs://dataflow-templates-{region}/latest/flex/Yaml_Template"
    """The flex template that runs Beam YAML; `{region}` is the pipeline's. Source: the path that `gcloud dataflow yaml run` uses."""

    log_format: LogFormat = LogFormat.AUTO
    """How log lines look: `json`, `text`, or `auto`, which is text on a terminal."""

    log_level: str = "INFO"
    """The least important level that is logged: DEBUG, INFO, WARNING or ERROR."""

    @property
    def served_namespaces(self) -> tuple[str, ...]:
        """The namespaces that are served; none: every one."""
        return () if self.namespaces is None else tuple(name.strip() for name in self.namespaces.split(","))

    @property
    def credential_life(self) -> timedelta:
        """How long after it was sent a launch may find a valid credential."""
        if self.launch_credential_seconds is not None:
            return timedelta(seconds=self.launch_credential_seconds)
        if self.identity_mode is IdentityMode.EMULATOR:
            return timedelta(seconds=self.launch_seconds)
        return HOUR_TOKEN_LIFE if self._has_hour_tokens else LAUNCH_TOKEN_LIFE

    @property
    def _has_hour_tokens(self) -> bool:
        """Whether a launch may carry a token whose life nobody can choose."""
        return self.identity_mode in {IdentityMode.AMBIENT, IdentityMode.PROFILE} or self.direct_access

    @property
    def tenancy(self) -> Tenancy:
        """Whose identity is used for what."""
        return Tenancy(each_as_itself=self.identity_mode in OWN_IDENTITY, default_account=self.default_service_account)

    @property
    def claim_life(self) -> timedelta:
        """How long a claim may be launched from."""
        return timedelta(seconds=self.claim_life_seconds)

    @property
    def least_settle(self) -> timedelta:
        """The shortest settle time after which no launch can still be on its way unseen.

        A launch is begun within the claim's life. Its credential may take all of the launch's time to be had, and lives from then on; the
        emulator's is there at once.
        """
        launch = timedelta(seconds=self.launch_seconds)
        lives = self.credential_life + (LAUNCH_TOKEN_SLACK if self.identity_mode in OWN_IDENTITY else timedelta(0))
        reach = self.claim_life + (max(launch, lives) if self.identity_mode is IdentityMode.EMULATOR else launch + lives)
        return reach + timedelta(seconds=self.list_lag_seconds + self.margin_seconds)

    @property
    def settle(self) -> timedelta:
        """The settle time."""
        return self.least_settle if self.settle_seconds is None else timedelta(seconds=self.settle_seconds)

    def rate(self, asked: float | None, granted: float) -> float:
        """Return how many calls a minute may be made where *asked* is what was set and *granted* is what Google grants; 0: any number."""
        if asked is not None:
            return asked
        return granted if self.emulator_address is None else 0.0

    def limits(self) -> Limits:
        """Return the times that decisions are made with."""
        return Limits(
            settle=self.settle,
            list_age=timedelta(seconds=self.list_age_seconds),
            look_again=timedelta(seconds=self.look_again_seconds),
            stop_again=timedelta(seconds=self.stop_again_seconds),
            late_reason=timedelta(seconds=self.late_reason_seconds),
            recheck=timedelta(seconds=self.recheck_seconds),
            start=timedelta(seconds=self.start_seconds),
        )

    def check(self) -> None:
        """Raise SettingsError where settings do not go together."""
        if self.settle < self.least_settle:
            raise SettingsError(
                f"--settle-seconds is {self.settle.total_seconds():g}, and a launch may still be on its way for"
                f" {self.least_settle.total_seconds():g}: --claim-life-seconds + --launch-seconds + --launch-credential-seconds"
                " + --list-lag-seconds + --margin-seconds; leave it out, or lower those"
            )
        for name, value in _numbers(self):
            if value < 0 or (value == 0 and name not in _MAY_BE_ZERO):
                raise SettingsError(f"{_flag(name)} must be positive, and is {value:g}")
        self._check_lease()
        self._check_namespaces()
        if self.list_age_seconds < 2 * self.poll_seconds:
            raise SettingsError("--list-age-seconds must be at least twice --poll-seconds, or no claim ever stands on a young list")
        self._check_identity()

    def _check_identity(self) -> None:
        mode = self.identity_mode
        if mode is IdentityMode.EMULATOR and self.emulator_address is None:
            raise SettingsError(
                "--identity-mode=emulator goes with --dataflow-endpoint=grpc://host:port only: Google asks for a credential"
            )
        if mode is not IdentityMode.EMULATOR and self._has_hour_tokens and self.credential_life < HOUR_TOKEN_LIFE:
            raise SettingsError(
                f"--launch-credential-seconds is {self.credential_life.total_seconds():g}, and a token that identity mode `{mode}`"
                f"{' with --direct-access' if self.direct_access else ''} launches with may live for {HOUR_TOKEN_LIFE.total_seconds():g}:"
                " leave it out"
            )
        if mode in OWN_IDENTITY and self.credential_life <= LAUNCH_TOKEN_REST:
            raise SettingsError(
                f"--launch-credential-seconds must be more than {LAUNCH_TOKEN_REST.total_seconds():g}: so much must be left for a launch"
            )
        if mode in OWN_IDENTITY and self.launch_seconds > LAUNCH_TOKEN_REST.total_seconds():
            raise SettingsError(
                f"--launch-seconds must be at most {LAUNCH_TOKEN_REST.total_seconds():g}: so long does its credential live at least"
            )
        if mode is IdentityMode.AMBIENT and self.emulator_address is not None:
            raise SettingsError("--identity-mode=ambient would send a credential without TLS to the --dataflow-endpoint: use emulator")
        if mode in OWN_IDENTITY and (self.identity_endpoint == "google") is not (self.emulator_address is None):
            raise SettingsError(
                "--identity-endpoint and --dataflow-endpoint must both be Google's or both an emulator's: Google's tokens do not go to an emulator"
            )
        if mode is IdentityMode.AMBIENT and not self.single_tenant:
            raise SettingsError(
                "--identity-mode=ambient lets whoever may write a pipeline act as the operator: say --single-tenant=true if that is meant"
            )
        needed = {IdentityMode.FEDERATION: "workload_identity_provider", IdentityMode.PROFILE: "profiles"}
        for owner, name in needed.items():
            if (mode is owner) is not (getattr(self, name) is not None):
                raise SettingsError(f"{_flag(name)} goes with --identity-mode={owner}, and that with it")

    def _check_lease(self) -> None:
        if not self.lease_duration_seconds > self.renew_deadline_seconds > self.retry_period_seconds:
            raise SettingsError(
                "--lease-duration-seconds must be more than --renew-deadline-seconds, and that more than --retry-period-seconds"
            )
        if self.lease_duration_seconds != int(self.lease_duration_seconds):
            raise SettingsError("--lease-duration-seconds must be a whole number: a Lease holds no fractions")

    def _check_namespaces(self) -> None:
        served = self.served_namespaces
        if wrong := [name for name in served if not _NAMESPACE.fullmatch(name)]:
            raise SettingsError(f"--namespaces has names of namespaces with commas between, such as team-a,team-b, and has {wrong[0]!r}")
        if len(set(served)) < len(served):
            raise SettingsError(f"--namespaces names one twice: {self.namespaces}")

    def terms(self) -> Terms:
        """Return how the Lease is kept."""
        return Terms(
            duration=timedelta(seconds=self.lease_duration_seconds),
            renew_deadline=timedelta(seconds=self.renew_deadline_seconds),
            retry_period=timedelta(seconds=self.retry_period_seconds),
        )

    @property
    def emulator_address(self) -> str | None:
        """`host:port` of an emulator; None: Dataflow is Google's."""
        return self.dataflow_endpoint.removeprefix("grpc://") if self.dataflow_endpoint.startswith("grpc://") else None


GOOGLE_WRITES_PER_MINUTE: Final = 60.0
"""Launches, dry runs and stops a minute, of each kind, that no project's quota is below. Source: chosen cautiously; the console shows a project's own."""

GOOGLE_READS_PER_MINUTE: Final = 15_000.0
"""Monitoring requests a minute that Dataflow grants to one caller. Source: Dataflow's quota page."""

HOUR_TOKEN_LIFE: Final = timedelta(seconds=3600)
"""How long a token may live that nobody can ask a shorter life for: one of the pod, or a federated one. Source: Google's metadata server and Security Token Service."""

OWN_IDENTITY: Final = frozenset({IdentityMode.GKE, IdentityMode.FEDERATION, IdentityMode.PROFILE})
"""Modes in which each pipeline's calls are made as its own ServiceAccount."""

_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
"""A DNS label. Source: Kubernetes' own check of a namespace's name."""

_MAY_BE_ZERO: Final = frozenset({"list_lag_seconds", "margin_seconds", "job_metrics_seconds"})


def settings_of(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Return the settings that flags and environment say, checked."""
    given = {
        name: environment[PREFIX + name.upper()]
        for name in (field.name for field in fields(Settings))
        if environment.get(PREFIX + name.upper())  # an empty one is an absent one: manifests show settings that they leave open
    }
    given |= {name: value for name, value in vars(parser().parse_args(arguments)).items() if value is not None}
    hints: dict[str, Any] = get_type_hints(Settings)
    values: dict[str, Any] = {name: _value(name, hints[name], text) for name, text in given.items()}
    settings = Settings(**values)
    if settings.dataflow_endpoint != "google" and settings.emulator_address is None:
        raise SettingsError(f"--dataflow-endpoint must be `google` or grpc://host:port, and is {settings.dataflow_endpoint!r}")
    settings.check()
    return settings


def parser() -> argparse.ArgumentParser:
    """Return the parser of the flags; their help is what stands with the settings here."""
    made = argparse.ArgumentParser(prog="dataflow-operator run", description="Run the operator until it is told to stop.")
    said = _docstrings()
    for field in fields(Settings):
        text = f"{said[field.name]} Default: {field.default if field.default is not None else 'none'}."
        made.add_argument(_flag(field.name), dest=field.name, metavar="VALUE", help=text.replace("%", "%%"))
    return made


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _numbers(settings: Settings) -> list[tuple[str, float]]:
    values = [(field.name, getattr(settings, field.name)) for field in fields(Settings)]
    return [(name, value) for name, value in values if isinstance(value, int | float) and not isinstance(value, bool)]


def _value(name: str, kind: Any, text: str) -> object:
    """Return what a setting's text says."""
    if isinstance(kind, UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    if kind is bool:
        if text not in {"true", "false"}:
            raise SettingsError(f"{_flag(name)} must be true or false, and is {text!r}")
        return text == "true"
    try:
        return kind(text)
    except ValueError as error:
        words = f"one of {', '.join(kind)}" if issubclass(kind, StrEnum) else "a number"
        raise SettingsError(f"{_flag(name)} must be {words}, and is {text!r}") from error


def _docstrings() -> dict[str, str]:
    """Return what stands below each field of Settings."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(Settings)))
    body = next(node for node in tree.body if isinstance(node, ast.ClassDef)).body
    return {
        node.target.id: str(below.value.value)
        for node, below in pairwise(body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(below, ast.Expr)
        and isinstance(below.value, ast.Constant)
    }
