"""The metadata of an instance at AWS, by version 2 of its service: a session first, then region and credentials."""

from __future__ import annotations

import secrets
from datetime import timedelta
from typing import Final

from aiohttp import web

from dataflow_emulator.identity.configuration import Instance
from dataflow_emulator.identity.guard import Guard
from dataflow_emulator.refusals import Code, RefusedError
from dataflow_emulator.rest_front import RestFront

CREDENTIALS_LIVE: Final = timedelta(hours=6)
"""How long the credentials are said to live. Source: those of an instance's role do."""

_SESSION: Final = "X-aws-ec2-metadata-token"
_SESSION_SECONDS: Final = f"{_SESSION}-ttl-seconds"
_CREDENTIALS: Final = "/latest/meta-data/iam/security-credentials"


class InstanceFront:
    """Handlers over the instance of the configuration."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._session = secrets.token_urlsafe(16)
        """The one session there is; it does not end."""

    def serve_on(self, front: RestFront) -> None:
        """Add the paths to a front. Source: AWS's page on the instance metadata service."""
        front.add("PUT", "/latest/api/token", self.open)
        front.add("GET", "/latest/meta-data/placement/availability-zone", self.zone)
        front.add("GET", "/latest/meta-data/placement/region", self.region)
        front.add("GET", _CREDENTIALS, self.role)
        front.add("GET", _CREDENTIALS + "/", self.role)
        front.add("GET", _CREDENTIALS + "/{role}", self.credentials)

    async def open(self, request: web.Request) -> web.Response:
        """Open a session."""
        self._instance()
        if not request.headers.get(_SESSION_SECONDS, "").isdecimal():
            raise RefusedError(Code.INVALID_ARGUMENT, f"The header {_SESSION_SECONDS} is missing.")
        return web.Response(text=self._session)

    async def zone(self, request: web.Request) -> web.Response:
        """Tell the zone: the region and a letter."""
        return web.Response(text=f"{self._within(request).region}a")

    async def region(self, request: web.Request) -> web.Response:
        """Tell the region."""
        return web.Response(text=self._within(request).region)

    async def role(self, request: web.Request) -> web.Response:
        """Tell the role of the instance."""
        return web.Response(text=self._within(request).role)

    async def credentials(self, request: web.Request) -> web.Response:
        """Give the credentials of the role."""
        instance = self._within(request)
        if request.match_info["role"] != instance.role:
            raise RefusedError(Code.NOT_FOUND, f"The instance has no role {request.match_info['role']}.")
        now = self._guard.now()
        body = {
            "Code": "Success",
            "Type": "AWS-HMAC",
            "LastUpdated": f"{now:%Y-%m-%dT%H:%M:%SZ}",
            "Expiration": f"{now + CREDENTIALS_LIVE:%Y-%m-%dT%H:%M:%SZ}",
            "AccessKeyId": instance.key_id,
            "SecretAccessKey": instance.key.secret,
        }
        return web.json_response({**body, "Token": instance.key.session_token} if instance.key.session_token else body)

    def _within(self, request: web.Request) -> Instance:
        """Return the instance to one who has opened a session."""
        instance = self._instance()
        if request.headers.get(_SESSION) != self._session:
            raise RefusedError(Code.UNAUTHENTICATED, f"The header {_SESSION} bears no session.")
        return instance

    def _instance(self) -> Instance:
        instance = self._guard.configuration.instance if self._guard.configuration else None
        if instance is None:
            raise RefusedError(Code.NOT_FOUND, "There is no awsInstance in the configuration.")
        return instance
