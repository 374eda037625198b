"""What an admin of Google's side has set up: pools and their providers, clusters, and who may do what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, TypeAlias

import jwt

from dataflow_emulator.identity.expressions import Expression
from dataflow_emulator.identity.principals import Principal

ALGORITHMS: Final = ("RS256", "ES256")
"""How a subject token may be signed. Source: IAM's page on preparing an identity provider."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Oidc:
    """An issuer whose tokens are trusted."""

    issuer: str
    keys: Mapping[str, jwt.PyJWK]
    """By key id."""
    own: str = ""
    """Name of the emulator's own issuer whose tokens these are; its URL and keys are known when it runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsKey:
    """An access key that the emulator's AWS knows."""

    secret: str = field(repr=False)
    arn: str
    user_id: str
    session_token: str = field(default="", repr=False)
    """What must be signed along, if it is a temporary one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Aws:
    """An AWS account whose callers are trusted."""

    account_id: str
    keys: Mapping[str, AwsKey]


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider of a workload identity pool."""

    pool: str
    name: str
    """Its full resource name: `//iam.googleapis.com/projects/…/providers/X`."""
    is_disabled: bool
    trusts: Oidc | Aws
    audiences: frozenset[str]
    """One of these is in a token's `aud`."""
    mapping: Mapping[str, Expression]
    condition: Expression | None

    @property
    def audience(self) -> str:
        """The audience of an exchange."""
        return self.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A cluster of GKE: its tokens are trusted by the pool of its project."""

    pool: str
    project_number: str
    provider: str
    trusts: Oidc

    @property
    def audience(self) -> str:
        """The audience of an exchange; that of its tokens is the pool."""
        return f"identitynamespace:{self.pool}:{self.provider}"


Source: TypeAlias = Provider | Cluster
"""Whose tokens an exchange may bring."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Who may do what with each of some resources."""

    grants: Mapping[str, Mapping[str, frozenset[str]]]
    """By resource and permission: members."""

    def allows(self, principal: Principal, permission: str, resource: str) -> bool:
        """Whether a principal has a permission; on what is not known nobody has any."""
        return not principal.members.isdisjoint(self.grants.get(resource, {}).get(permission, frozenset()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A client of one of the emulator's own issuers."""

    secret: str = field(repr=False)
    subject: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """An OIDC issuer that the emulator plays."""

    clients: Mapping[str, Client]
    audience: str
    life: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """An instance at AWS whose metadata the emulator plays."""

    region: str
    role: str
    key_id: str
    key: AwsKey


@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """All of it."""

    sources: Mapping[str, Source]
    """By the audience of the exchange."""
    accounts: Policy
    projects: Policy
    issuers: Mapping[str, Issuer]
    instance: Instance | None
    skew: timedelta
    """How far the clock of the services is ahead of the true one."""
    text: Mapping[str, object]
    """The configuration as it was given."""
