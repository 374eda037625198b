"""Tokens that the real API server signs, taken and refused by the emulator's token service."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import jwt
import pytest
import pytest_asyncio
from tests.emulator.identity_world import PROVIDER, Google, Key, email, identity, jobs, principal

from dataflow_emulator.emulator import Emulator
from dataflow_emulator.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from dataflow_local.apiserver import ApiServer

CLUSTER = "https://container.googleapis.com/v1/projects/acme-prod/locations/europe-west1/clusters/main"
POOL = "acme-prod.svc.id.goog"
BASE = f"iam.googleapis.com/projects/123456789/locations/global/workloadIdentityPools/{POOL}"


@dataclass(frozen=True, slots=True)
class Tenant:
    """A namespace of the API server, with a ServiceAccount."""

    server: ApiServer
    namespace: str
    name: str = "orders"

    def make(self) -> str:
        """Make the ServiceAccount; return its uid."""
        self.server.kubectl("create", "serviceaccount", self.name, "-n", self.namespace)
        return self.server.kubectl("get", "serviceaccount", self.name, "-n", self.namespace, "-o", "jsonpath={.metadata.uid}")

    def delete(self) -> None:
        self.server.kubectl("delete", "serviceaccount", self.name, "-n", self.namespace)

    def token(self, audience: str = PROVIDER) -> str:
        """Ask for a token by TokenRequest."""
        return self.server.kubectl("create", "token", self.name, "-n", self.namespace, "--audience", audience, "--duration=10m").strip()


@pytest.fixture(scope="module")
def published(api_server: ApiServer) -> dict[str, Any]:
    """What the API server publishes of itself: issuer and keys, as an admin uploads them."""
    found = json.loads(api_server.kubectl("get", "--raw", "/.well-known/openid-configuration"))
    return {"issuerUri": found["issuer"], "jwks": json.loads(api_server.kubectl("get", "--raw", "/openid/v1/jwks"))}


@pytest.fixture
def tenants(api_server: ApiServer) -> tuple[Tenant, Tenant]:
    made = tuple(Tenant(api_server, f"{name}-{secrets.token_hex(3)}") for name in ("team-a", "team-b"))
    for tenant in made:
        api_server.kubectl("create", "namespace", tenant.namespace)
        tenant.make()
    return made[0], made[1]


@pytest_asyncio.fixture
async def google(tmp_path: Path, published: dict[str, Any], tenants: tuple[Tenant, Tenant]) -> AsyncIterator[Google]:
    given = identity(oidc=published)
    for tenant in tenants:
        account = email(tenant.namespace)
        given["serviceAccounts"][account] = {"roles/iam.workloadIdentityUser": [principal(tenant.namespace)]}
        given["projects"][f"project-{tenant.namespace}"] = {"roles/dataflow.developer": [f"serviceAccount:{account}"]}
    async with Emulator(Settings(root=tmp_path / "buckets", identity=given)) as emulator, aiohttp.ClientSession(emulator.rest_url) as http:
        yield Google(emulator, http)


async def test_a_pod_of_each_tenant_reaches_its_own_project_and_no_other(google: Google, tenants: tuple[Tenant, Tenant]) -> None:
    for mine, other in (tenants, tenants[::-1]):
        bearer = await google.account_bearer(mine.token(), email(mine.namespace))
        assert (await google.get(jobs(mine.namespace), bearer))[0] == 200
        assert (await google.get(jobs(other.namespace), bearer))[0] == 403
        federated = await google.bearer(mine.token())
        assert (await google.impersonate(federated, email(other.namespace)))[0] == 403


async def test_a_token_for_the_api_server_itself_is_no_good(
    google: Google, tenants: tuple[Tenant, Tenant], published: dict[str, Any]
) -> None:
    status, body = await google.sts(tenants[0].token(published["issuerUri"]))
    assert (status, body["error"]) == (400, "invalid_grant")
    assert "does not match the expected audience" in body["error_description"]


async def test_claims_of_the_api_server_under_another_signature_are_no_good(google: Google, tenants: tuple[Tenant, Tenant]) -> None:
    real = tenants[0].token()
    claims, header = jwt.decode(real, options={"verify_signature": False}), jwt.get_unverified_header(real)
    forged = jwt.encode(claims, Key().private, algorithm="RS256", headers={"kid": header["kid"]})
    assert "signature" in (await google.sts(forged))[1]["error_description"]
    head, _, signature = real.split(".")
    swapped = ".".join((head, tenants[1].token().split(".")[1], signature))
    assert "signature" in (await google.sts(swapped))[1]["error_description"]


async def test_a_token_of_a_deleted_service_account_is_good_until_it_dies(google: Google, tenants: tuple[Tenant, Tenant]) -> None:
    token = tenants[0].token()
    tenants[0].delete()
    assert (await google.sts(token))[0] == 200  # Google verifies by keys alone, and asks no API server


async def test_a_recreated_service_account_is_another_by_its_uid_and_the_same_by_its_name(
    google: Google, tenants: tuple[Tenant, Tenant], published: dict[str, Any]
) -> None:
    tenant, project = tenants[0], f"project-{tenants[0].namespace}"
    audience = f"identitynamespace:{POOL}:{CLUSTER}"
    claims = jwt.decode(tenant.token(POOL), options={"verify_signature": False})
    uid = claims["kubernetes.io"]["serviceaccount"]["uid"]
    by_uid = f"principal://{BASE}/kubernetes.serviceaccount.uid/{uid}"
    by_name = f"principal://{BASE}/subject/ns/{tenant.namespace}/sa/{tenant.name}"
    cluster = {"pool": POOL, "projectNumber": "123456789", "provider": CLUSTER, **published}
    seen = list[int]()
    for member in (by_uid, by_name):
        await google.put_identity({"clusters": [cluster], "projects": {project: {"roles/dataflow.viewer": [member]}}})
        seen.append((await google.get(jobs(tenant.namespace), await google.bearer(tenant.token(POOL), audience=audience)))[0])
    tenant.delete()
    assert tenant.make() != uid
    for member in (by_uid, by_name):
        await google.put_identity({"clusters": [cluster], "projects": {project: {"roles/dataflow.viewer": [member]}}})
        seen.append((await google.get(jobs(tenant.namespace), await google.bearer(tenant.token(POOL), audience=audience)))[0])
    assert seen == [200, 200, 403, 200]


async def test_an_identity_of_the_same_name_in_another_cluster_is_kept_out_by_its_keys(
    google: Google, tenants: tuple[Tenant, Tenant]
) -> None:
    elsewhere = Key(id=jwt.get_unverified_header(tenants[0].token())["kid"])
    claims = jwt.decode(tenants[0].token(), options={"verify_signature": False})
    token = elsewhere.token(tenants[0].namespace, iss=claims["iss"])
    assert "signature" in (await google.sts(token))[1]["error_description"]
