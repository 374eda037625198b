"""Credentials that another program gives, as kubeconfigs of clouds have it: `exec`, and what was before it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from dataflow_operator.adapters.kubernetes.fields import Json, items, mapping, moment, objects, text
from dataflow_operator.cli.kubeconfig import KubeconfigError
from dataflow_operator.cli.terminal import Place

EXEC_SECONDS: Final = 120.0
"""The longest that such a program may take: it may wait for a person at a browser. Source: chosen."""

EARLY: Final = timedelta(seconds=10)
"""How long before its end a credential counts as over: a call takes as long. Source: CALL_SECONDS of server.py."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a program gave."""

    token: str | None = None
    certificate: str | None = None
    key: str | None = None
    ends: datetime | None = None

    def is_over(self, now: datetime) -> bool:
        """Whether it is of no more use."""
        return self.ends is not None and now >= self.ends - EARLY


def now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


def given_by(wanted: Json, cluster: Json) -> Given:
    """Return what the program of `exec` gives. KubeconfigError: it is not there, fails, or gives nothing."""
    command = text(wanted.get("command")) or ""
    version = text(wanted.get("apiVersion")) or "client.authentication.k8s.io/v1"
    may_ask = wanted.get("interactiveMode") != "Never" and sys.stdin is not None and sys.stdin.isatty()
    if wanted.get("interactiveMode") == "Always" and not may_ask:
        raise KubeconfigError(f"its program {command} must ask a person, and no terminal is there")
    spec: dict[str, object] = {"interactive": may_ask}
    if wanted.get("provideClusterInfo") is True:
        spec["cluster"] = {key: value for key, value in cluster.items() if key != "extensions"}
    asked = json.dumps({"apiVersion": version, "kind": "ExecCredential", "spec": spec})
    added = {name: text(each.get("value")) or "" for each in objects(wanted.get("env")) if (name := text(each.get("name")))}
    try:
        done = subprocess.run(  # noqa: S603 # whoever wrote the kubeconfig says which, as to kubectl
            [command, *(str(each) for each in items(wanted.get("args")))],
            env={**os.environ, **added, "KUBERNETES_EXEC_INFO": asked},
            stdin=None if may_ask else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=EXEC_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        hint = " ".join((text(wanted.get("installHint")) or "").split())
        raise KubeconfigError(f"its program {command} is not there{f': {hint}' if hint else ''}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise KubeconfigError(f"its program {command} cannot be run: {error}") from error
    if done.returncode != 0:
        raise KubeconfigError(f"its program {command} ended with {done.returncode}")
    return _read(command, done.stdout)


def _read(command: str, answer: bytes) -> Given:
    try:
        status = mapping(mapping(json.loads(answer)).get("status"))
    except ValueError as error:
        raise KubeconfigError(f"its program {command} gave no ExecCredential") from error
    given = Given(
        token=text(status.get("token")),
        certificate=text(status.get("clientCertificateData")),
        key=text(status.get("clientKeyData")),
        ends=moment(status.get("expirationTimestamp")),
    )
    if given.token is None and given.certificate is None:
        raise KubeconfigError(f"its program {command} gave neither a token nor a certificate")
    return given


def given_before_exec(place: Place) -> Given:
    """Return the token of an `auth-provider`, which the official client knows how to renew. KubeconfigError: it does not."""
    import kubernetes.client  # noqa: PLC0415 # a third of a second, which nobody else waits for
    import kubernetes.config  # noqa: PLC0415 # as above

    client: Any = kubernetes.client
    config: Any = kubernetes.config
    configuration = client.Configuration()
    try:
        config.load_kube_config(
            config_file=place.kubeconfig, context=place.context, client_configuration=configuration, persist_config=False
        )
        prefixed = str(configuration.get_api_key_with_prefix("BearerToken") or configuration.get_api_key_with_prefix("authorization") or "")
    except Exception as error:
        raise KubeconfigError(f"its auth-provider gives no token: {' '.join(str(error).split())}") from error
    if not prefixed:
        raise KubeconfigError("its auth-provider gives no token: kubectl itself knows only those of `exec` any more")
    return Given(token=prefixed.removeprefix("Bearer "))
