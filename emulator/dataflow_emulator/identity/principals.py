"""Whom a credential stands for, by all the names under which a policy may know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

HOST: Final = "iam.googleapis.com"

SUBJECT_BYTES: Final = 127
"""Bytes of `google.subject` at most. Source: the same limit in Terraform's docs of workload identity pool providers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who calls."""

    name: str
    """As audit logs write it: `principal://…`, or `serviceAccount:EMAIL`."""
    members: frozenset[str]
    """Every member of a policy that it is."""


def account_principal(email: str) -> Principal:
    """Return a Google service account."""
    name = f"serviceAccount:{email}"
    return Principal(name=name, members=frozenset({name}))


def federated(pool: str, attributes: Mapping[str, str]) -> Principal:
    """Return an identity of *pool* (`projects/N/…/workloadIdentityPools/P`) by its mapped attributes, `google.subject` among them."""
    name = f"principal://{HOST}/{pool}/subject/{attributes['google.subject']}"
    sets = {f"principalSet://{HOST}/{pool}/{key}/{value}" for key, value in attributes.items() if key.startswith("attribute.")}
    return Principal(name=name, members=frozenset({name, f"principalSet://{HOST}/{pool}/*", *sets}))


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesAccount:
    """What a token of Kubernetes says of its ServiceAccount."""

    namespace: str
    name: str
    uid: str

    @property
    def subject(self) -> str:
        """Its subject in a pool of GKE."""
        return f"ns/{self.namespace}/sa/{self.name}"


def of_cluster(pool: str, project_number: str, cluster: str, account: KubernetesAccount) -> Principal:
    """Return a ServiceAccount of a cluster of GKE, whose pool is the project's. Source: IAM's page on principal identifiers."""
    base = f"{HOST}/projects/{project_number}/locations/global/workloadIdentityPools/{pool}"
    name = f"principal://{base}/subject/{account.subject}"
    return Principal(
        name=name,
        members=frozenset(
            {
                name,
                f"principal://{base}/kubernetes.serviceaccount.uid/{account.uid}",
                f"principalSet://{base}/namespace/{account.namespace}",
                f"principalSet://{base}/kubernetes.cluster/{cluster}",
                f"principalSet://{base}/*",
                f"serviceAccount:{pool}[{account.namespace}/{account.name}]",
            }
        ),
    )
