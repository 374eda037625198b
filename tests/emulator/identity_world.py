"""Two tenants at Google: a pool whose provider trusts keys made here, accounts, projects, and callers that go the whole way."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

if TYPE_CHECKING:
    from dataflow_emulator.emulator import Emulator

ISSUER = "https://kubernetes.default.svc.cluster.local"
POOL = "projects/123456789/locations/global/workloadIdentityPools/local"
PROVIDER = f"//iam.googleapis.com/{POOL}/providers/cluster"
CLOUD = "https://www.googleapis.com/auth/cloud-platform"
IAM = "https://www.googleapis.com/auth/iam"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"
GRANT = "urn:ietf:params:oauth:grant-type:token-exchange"
ACCESS = "urn:ietf:params:oauth:token-type:access_token"

A, B = "team-a", "team-b"
"""Two tenants: namespaces, each with a ServiceAccount `orders`, a Google account and a project `project-<tenant>`."""


def subject(namespace: str, name: str = "orders") -> str:
    return f"system:serviceaccount:{namespace}:{name}"


def principal(namespace: str, name: str = "orders") -> str:
    return f"principal://iam.googleapis.com/{POOL}/subject/{subject(namespace, name)}"


def email(namespace: str) -> str:
    return f"orders@project-{namespace}.iam.gserviceaccount.com"


def worker(namespace: str) -> str:
    return f"worker@project-{namespace}.iam.gserviceaccount.com"


@dataclass(slots=True)
class Key:
    """A signing key of an issuer."""

    id: str = "first"
    algorithm: str = "RS256"
    private: Any = None
    public: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        is_rsa = self.algorithm.startswith("RS")
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048) if is_rsa else ec.generate_private_key(ec.SECP256R1())
        algorithm: Any = RSAAlgorithm if is_rsa else ECAlgorithm
        jwk: dict[str, Any] = algorithm.to_jwk(self.private.public_key(), as_dict=True)
        jwk.pop("key_ops", None)
        self.public = {**jwk, "kid": self.id, "alg": self.algorithm, "use": "sig"}

    def token(self, namespace: str = A, name: str = "orders", *, header: Any = None, **changes: Any) -> str:
        """A ServiceAccount's token; a change to None leaves the claim out, and times are relative to now."""
        now = time.time()
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "sub": subject(namespace, name),
            "aud": [PROVIDER],
            "iat": -1,
            "nbf": -1,
            "exp": 600,
            "kubernetes.io": {"namespace": namespace, "serviceaccount": {"name": name, "uid": f"uid-of-{name}"}},
            **changes,
        }
        said = {key: int(now + value) if key in {"iat", "nbf", "exp"} else value for key, value in claims.items() if value is not None}
        return jwt.encode(said, self.private, algorithm=self.algorithm, headers={"kid": self.id, **(header or {})})


def identity(*keys: Key, **changes: Any) -> dict[str, Any]:
    """A configuration for both tenants; *changes* go to the provider."""
    provider = {
        "name": "cluster",
        "oidc": {"issuerUri": ISSUER, "jwks": {"keys": [key.public for key in keys]}},
        "attributeMapping": {"google.subject": "assertion.sub", "attribute.namespace": "assertion['kubernetes.io']['namespace']"},
    }
    return {
        "pools": [{"name": POOL, "providers": [{**provider, **changes}]}],
        "serviceAccounts": {
            **{email(tenant): {"roles/iam.workloadIdentityUser": [principal(tenant)]} for tenant in (A, B)},
            **{worker(tenant): {"roles/iam.serviceAccountUser": [f"serviceAccount:{email(tenant)}"]} for tenant in (A, B)},
        },
        "projects": {f"project-{tenant}": {"roles/dataflow.developer": [f"serviceAccount:{email(tenant)}"]} for tenant in (A, B)},
    }


@dataclass(slots=True)
class Google:
    """Calls to the emulator's services, as the wire has them."""

    emulator: Emulator
    http: aiohttp.ClientSession

    @staticmethod
    def form(token: str, **changes: str | None) -> dict[str, str]:
        """The form of an exchange; a change to None leaves the field out."""
        form: dict[str, str | None] = {
            "grant_type": GRANT,
            "audience": PROVIDER,
            "scope": CLOUD,
            "requested_token_type": ACCESS,
            "subject_token_type": JWT_TYPE,
            "subject_token": token,
            **changes,
        }
        return {key: value for key, value in form.items() if value is not None}

    async def sts(self, token: str, **changes: str | None) -> tuple[int, Any]:
        """Ask for an exchange; a change to None leaves the field out."""
        async with self.http.post("/v1/token", data=self.form(token, **changes)) as answer:
            return answer.status, await answer.json()

    async def bearer(self, token: str, **changes: str) -> str:
        """Return the federated access token for a subject token."""
        status, body = await self.sts(token, **changes)
        assert status == 200, body
        return str(body["access_token"])

    async def impersonate(self, bearer: str, account: str, **body: Any) -> tuple[int, Any]:
        """Ask for a token of a service account."""
        path = f"/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        asked = {"scope": [CLOUD], "lifetime": "300s", **body}
        async with self.http.post(path, json=asked, headers=headers(bearer)) as answer:
            return answer.status, await answer.json()

    async def account_bearer(self, token: str, account: str) -> str:
        """Return the access token of an account, all the way from a subject token."""
        status, body = await self.impersonate(await self.bearer(token, scope=IAM), account)
        assert status == 200, body
        return str(body["accessToken"])

    async def get(self, path: str, bearer: str = "") -> tuple[int, Any]:
        """Read something."""
        async with self.http.get(path, headers=headers(bearer)) as answer:
            return answer.status, await answer.json()

    async def put_identity(self, given: Any) -> tuple[int, Any]:
        """Change the configuration."""
        async with self.http.put("/emulator/identity", json=given) as answer:
            return answer.status, await answer.json()

    async def fault(self, **fault: Any) -> tuple[int, Any]:
        """Let something go wrong."""
        async with self.http.post("/emulator/faults", json=fault) as answer:
            return answer.status, await answer.json()


def headers(bearer: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {bearer}"} if bearer else {}


def jobs(tenant: str) -> str:
    return f"/v1b3/projects/project-{tenant}/locations/r/jobs"
