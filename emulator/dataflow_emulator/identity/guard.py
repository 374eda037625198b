"""The guard: which call is whose, and whether its caller may make it. Without a configuration it lets everything through."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final

from dataflow_emulator import bearers
from dataflow_emulator.bearers import Bearer
from dataflow_emulator.identity.configuration import Configuration
from dataflow_emulator.identity.permissions import ACT_AS, permission_for, worker_account
from dataflow_emulator.identity.tokens import SCOPES, Token, Tokens
from dataflow_emulator.ids import Ids
from dataflow_emulator.jobs import DEFAULT_LOCATION
from dataflow_emulator.refusals import Code, RefusedError, credential_dead
from dataflow_emulator.translate import Pb

_BEARER: Final = re.compile(r"Bearer (?P<words>\S+)", re.ASCII | re.IGNORECASE)

_DOING: Final = {
    "dataflow.jobs.create": "create workflow; user does not have write access to project: {project}",
    "dataflow.jobs.list": "list jobs; user does not have sufficient permissions on project: {project}, or the project does not exist.",
    "dataflow.jobs.cancel": "cancel workflow; user does not have sufficient permissions on project: {project},"
    " or the job does not exist in the project. Please ensure you have permission to access the job and the `--region` flag, {region},"
    " matches the job's region.",
    "dataflow.jobs.updateContents": "modify workflow; user does not have sufficient permissions on project: {project},"
    " or the job does not exist in the project. Please ensure you have permission to access the job and the `--region` flag, {region},"
    " matches the job's region.",
}
"""What could not be done, by permission. Source of create: apache/beam#590; of cancel: GoogleCloudPlatform/java-docs-samples#6612;
the others by likeness."""

_OTHERWISE: Final = (
    "get workflow; user does not have sufficient permissions on project: {project}, or the job does not exist in the project."
)


class Guard:
    """Who calls and what they may do, by one configuration that can change at any time."""

    def __init__(self, clock: Callable[[], datetime], configuration: Configuration | None = None) -> None:
        self.configuration = configuration
        """None: everybody may do everything, and the bearers of `bearers.py` are looked at."""
        self.tokens = Tokens()
        self._clock = clock

    def now(self) -> datetime:
        """Return the time by the clock of the services."""
        return self._clock() + self.configuration.skew if self.configuration else self._clock()

    def bearer_of(self, authorization: str) -> Bearer:
        """Return the caller that an `authorization` header or metadata value tells."""
        if self.configuration is None:
            return bearers.bearer_of(authorization)
        token = self.token_of(authorization)
        return Bearer(who=token.principal.name if token else "", token=token)

    def token_of(self, authorization: str) -> Token | None:
        """Return the living token that such a value bears."""
        found = _BEARER.fullmatch(authorization)
        return self.tokens.find(found["words"], self.now()) if found else None

    def authenticate(self, bearer: Bearer) -> None:
        """Refuse a caller whom nobody knows, or whose token has died meanwhile."""
        if self.configuration is not None and (bearer.token is None or not bearer.token.lives(self.now())):
            raise credential_dead()

    def authorize(self, bearer: Bearer, method: str, request: Pb, ids: Ids) -> None:
        """Refuse what the caller may not do in the project, or as the account that a launch names for its workers."""
        if self.configuration is None or bearer.token is None:
            return
        if bearer.token.scopes.isdisjoint(SCOPES):
            raise RefusedError(Code.PERMISSION_DENIED, "Request had insufficient authentication scopes.")
        principal, project, permission = bearer.token.principal, str(request.project_id), permission_for(method, request)
        if not self.configuration.projects.allows(principal, permission, project):
            region = getattr(request, "location", "") or DEFAULT_LOCATION
            raise _denied(permission, project, region, ids)
        account = worker_account(method, request)
        if account and not self.configuration.accounts.allows(principal, ACT_AS, account):
            raise _act_as_denied(account, ids)


def _denied(permission: str, project: str, region: str, ids: Ids) -> RefusedError:
    doing = _DOING.get(permission, _OTHERWISE).format(project=project, region=region)
    return RefusedError(
        Code.PERMISSION_DENIED,
        f"({ids.prefix()}): Could not {doing} Causes: ({ids.prefix()}): Permission '{permission}' denied on project: '{project}'",
    )


def _act_as_denied(account: str, ids: Ids) -> RefusedError:
    """Return the answer to a launch whose workers would be another. Source: hashicorp/terraform-provider-google#7126."""
    return RefusedError(
        Code.PERMISSION_DENIED,
        f"({ids.prefix()}): The workflow could not be created. Causes: ({ids.prefix()}): Current user cannot act as service account"
        f" {account}.",
    )
