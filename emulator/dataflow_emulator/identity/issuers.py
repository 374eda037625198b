"""OIDC issuers of the emulator's own, such as Okta is one: discovery, keys, and tokens for client credentials."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from dataflow_emulator.identity.assertions import Issued
from dataflow_emulator.identity.configuration import Issuer
from dataflow_emulator.identity.guard import Guard
from dataflow_emulator.refusals import Code, RefusedError
from dataflow_emulator.rest_front import RestFront

KEY_BITS: Final = 2048
"""Size of a signing key. Source: RFC 7518 allows no smaller one."""

_PATH: Final = "/oauth2/{name:[a-z0-9-]+}"


class _Key:
    """A signing key, made when it is first needed."""

    def __init__(self) -> None:
        self.id = secrets.token_hex(8)
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS)

    @property
    def public(self) -> dict[str, Any]:
        """The public half as a JSON Web Key."""
        key = RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {"kty": key["kty"], "n": key["n"], "e": key["e"], "kid": self.id, "alg": "RS256", "use": "sig"}


class Issuers:
    """Every issuer of the configuration; keys outlive a change of it, and not the emulator."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._keys: dict[str, _Key] = {}
        self.url = ""
        """Where the front listens, once it does."""

    def serve_on(self, front: RestFront) -> None:
        """Add the paths to a front. Source: the paths of an authorization server at Okta."""
        front.add("GET", _PATH + "/.well-known/openid-configuration", self.discovery)
        front.add("GET", _PATH + "/v1/keys", self.keys)
        front.add("POST", _PATH + "/v1/token", self.token)

    def issued(self, name: str) -> Issued:
        """Return an issuer as the one who checks its tokens knows it."""
        key = self._key(name)
        return Issued(issuer=self._issuer_url(name), keys={key.id: jwt.PyJWK.from_dict(key.public)})

    async def discovery(self, request: web.Request) -> web.Response:
        """Tell where everything is."""
        name, _ = self._asked(request)
        issuer = self._issuer_url(name)
        return web.json_response(
            {
                "issuer": issuer,
                "jwks_uri": f"{issuer}/v1/keys",
                "token_endpoint": f"{issuer}/v1/token",
                "grant_types_supported": ["client_credentials"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
                "response_types_supported": ["token"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["RS256"],
            }
        )

    async def keys(self, request: web.Request) -> web.Response:
        """Answer with the public keys."""
        name, _ = self._asked(request)
        return web.json_response({"keys": [self._key(name).public]})

    async def token(self, request: web.Request) -> web.Response:
        """Give a token for a client's id and secret, in the header or in the form."""
        name, issuer = self._asked(request)
        form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type", "The grant type is not supported by the authorization server.")
        client_id, secret = _credentials(request.headers.get("Authorization", ""), form)
        client = issuer.clients.get(client_id)
        if client is None or not secrets.compare_digest(client.secret.encode(), secret.encode()):
            return _refused(401, "invalid_client", "The client secret supplied for a confidential client is invalid.")
        now = self._guard.now()
        scope = form.get("scope", "")
        claims = {
            "ver": 1,
            "jti": f"AT.{secrets.token_urlsafe(16)}",
            "iss": self._issuer_url(name),
            "aud": issuer.audience,
            "iat": int(now.timestamp()),
            "exp": int((now + issuer.life).timestamp()),
            "cid": client_id,
            "scp": scope.split(),
            "sub": client.subject,
        }
        key = self._key(name)
        words = jwt.encode(claims, key.private, algorithm="RS256", headers={"kid": key.id})
        seconds = int(issuer.life / timedelta(seconds=1))
        return web.json_response({"token_type": "Bearer", "expires_in": seconds, "access_token": words, "scope": scope})

    def _asked(self, request: web.Request) -> tuple[str, Issuer]:
        name, configuration = request.match_info["name"], self._guard.configuration
        issuer = configuration.issuers.get(name) if configuration else None
        if issuer is None:
            raise RefusedError(Code.NOT_FOUND, f"There is no issuer {name}.")
        return name, issuer

    def _issuer_url(self, name: str) -> str:
        return f"{self.url}/oauth2/{name}"

    def _key(self, name: str) -> _Key:
        if name not in self._keys:
            self._keys[name] = _Key()
        return self._keys[name]


def _credentials(authorization: str, form: Mapping[str, str]) -> tuple[str, str]:
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return client_id, secret


def _refused(status: int, error: str, description: str) -> web.Response:
    return web.json_response({"error": error, "error_description": description}, status=status)
