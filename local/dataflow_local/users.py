"""Who may talk to the local API server, how each is known there, and the files that say so."""

from __future__ import annotations

import csv
import json
import os
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

TOKEN_BYTES = 24
"""192 random bits: beyond guessing, and still one line of a kubeconfig."""

KEY_BITS = 2048
"""RSA, because RS256 is what verifiers of Kubernetes' tokens, Google's among them, must accept (RFC 7518 recommends it, OpenID Connect requires it)."""

CONTEXT = "local"
"""Name of the one cluster and context in each kubeconfig."""

VIEWERS = "viewers"
"""The group that is bound to Kubernetes' own role `view`."""

OPERATOR_NAMESPACE = "dataflow-operator"
"""Where the manifests put the operator, and the name of its ServiceAccount."""


class User(StrEnum):
    """A person or program with a token of its own."""

    ADMIN = "admin"
    """May do everything."""
    OPERATOR = "operator"
    """Appears as the operator's ServiceAccount does in a cluster, with the rights that the manifests give to that."""
    ALICE = "alice"
    """A tenant: has the rights that somebody gives to her."""
    BOB = "bob"
    """Another tenant."""
    VERA = "vera"
    """May look at everything that Kubernetes' role `view` covers, in every namespace."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """How the API server knows a user."""

    name: str
    groups: tuple[str, ...] = ()


def identity_of(user: User) -> Identity:
    """Return the name and groups that the API server sees; it adds system:authenticated."""
    match user:
        case User.ADMIN:
            return Identity(name="admin", groups=("system:masters",))
        case User.OPERATOR:
            groups = ("system:serviceaccounts", f"system:serviceaccounts:{OPERATOR_NAMESPACE}", "system:authenticated")
            return Identity(name=f"system:serviceaccount:{OPERATOR_NAMESPACE}:dataflow-operator", groups=groups)
        case User.ALICE | User.BOB:
            return Identity(name=user.value)
        case User.VERA:
            return Identity(name=user.value, groups=(VIEWERS,))


def write_private(path: Path, text: str) -> None:
    """Write a file that only this user can read, from its first byte on; nobody ever sees half of it."""
    half = path.with_name(f".{path.name}.half")
    with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:  # noqa: PTH123 - Path.open cannot set the mode
        file.write(text)
    half.replace(path)


def tokens_of(path: Path) -> dict[User, str]:
    """Return each user's token, made first if the file is not there: programs that hold one outlive a restart of the server."""
    if not path.exists():
        made = [(secrets.token_hex(TOKEN_BYTES), user, identity_of(user)) for user in User]
        # The last column is left out where it would be empty: an empty one is a group without a name.
        groups = {user: f',"{",".join(known.groups)}"' if known.groups else "" for _, user, known in made}
        lines = (f"{token},{known.name},{user.value}{groups[user]}\n" for token, user, known in made)
        write_private(path, "".join(lines))
    with path.open(newline="") as file:
        return {User(row[2]): row[0] for row in csv.reader(file)}


def ensure_key(path: Path) -> None:
    """Make the key that signs ServiceAccounts' tokens, unless it is there: tokens outlive a restart of the server too."""
    if path.exists():
        return
    key = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_private(path, pem.decode())


def write_kubeconfig(path: Path, *, server: str, authority: Path, user: User, token: str) -> None:
    """Write how one user reaches the server: JSON, which is YAML too. The certificate is named, not copied: the server makes it at its start."""
    cluster = {"server": server, "certificate-authority": str(authority)}
    config: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": CONTEXT, "cluster": cluster}],
        "users": [{"name": user.value, "user": {"token": token}}],
        "contexts": [{"name": CONTEXT, "context": {"cluster": CONTEXT, "user": user.value}}],
        "current-context": CONTEXT,
    }
    write_private(path, json.dumps(config, indent=2) + "\n")
