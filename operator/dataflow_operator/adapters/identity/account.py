"""A Kubernetes ServiceAccount, as far as it says whom its pipelines are outside the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, text
from dataflow_operator.domain.identity import ServiceAccount

GOOGLE_ACCOUNT: Final = "iam.gke.io/gcp-service-account"
"""Annotation: the e-mail of the Google service account to impersonate. Source: GKE's own, so that one manifest serves pods and pipelines."""

PROFILE: Final = "dataflow-operator.io/identity-profile"
"""Annotation: the name of the profile to use, where the admin allows several in the namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """A ServiceAccount as it was read."""

    namespace: str
    name: str
    uid: str
    google_account: str | None = None
    """As annotated, unchecked."""
    profile: str | None = None
    """As annotated, unchecked."""
    is_deleting: bool = False

    @property
    def reference(self) -> ServiceAccount:
        """Return its name."""
        return ServiceAccount(self.namespace, self.name)


def account_of(raw: Json) -> Account:
    """Return the ServiceAccount that an object of the API server's is."""
    metadata = mapping(raw.get("metadata"))
    annotations = mapping(metadata.get("annotations"))
    return Account(
        namespace=text(metadata.get("namespace")) or "",
        name=text(metadata.get("name")) or "",
        uid=text(metadata.get("uid")) or "",
        google_account=text(annotations.get(GOOGLE_ACCOUNT)),
        profile=text(annotations.get(PROFILE)),
        is_deleting=metadata.get("deletionTimestamp") is not None,
    )
