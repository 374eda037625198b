"""Which permission each call needs, and which ones a role gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from dataflow_emulator.translate import Pb

GET_ACCESS_TOKEN: Final = "iam.serviceAccounts.getAccessToken"  # noqa: S105 - the name of a permission
"""What an impersonation needs, on the account."""

ACT_AS: Final = "iam.serviceAccounts.actAs"
"""What it needs to run workers as an account, on the account."""

_JOBS: Final = frozenset(f"dataflow.jobs.{verb}" for verb in ("create", "get", "list", "cancel", "updateContents", "snapshot"))
_SNAPSHOTS: Final = frozenset(f"dataflow.snapshots.{verb}" for verb in ("get", "list", "delete"))
_VIEWER: Final = frozenset(
    {
        "dataflow.jobs.get",
        "dataflow.jobs.list",
        "dataflow.messages.list",
        "dataflow.metrics.get",
        "dataflow.snapshots.get",
        "dataflow.snapshots.list",
    }
)

PROJECT_ROLES: Final[Mapping[str, frozenset[str]]] = {
    "roles/dataflow.viewer": _VIEWER,
    "roles/dataflow.developer": _VIEWER | _JOBS | _SNAPSHOTS,
    **{permission: frozenset({permission}) for permission in _VIEWER | _JOBS | _SNAPSHOTS},
}
"""What can be granted on a project; a single permission may stand for a role. Source: Dataflow's page on access control."""

ACCOUNT_ROLES: Final[Mapping[str, frozenset[str]]] = {
    "roles/iam.workloadIdentityUser": frozenset({GET_ACCESS_TOKEN}),
    "roles/iam.serviceAccountTokenCreator": frozenset({GET_ACCESS_TOKEN}),
    "roles/iam.serviceAccountUser": frozenset({ACT_AS}),
    GET_ACCESS_TOKEN: frozenset({GET_ACCESS_TOKEN}),
    ACT_AS: frozenset({ACT_AS}),
}
"""What can be granted on a service account, as far as anything here asks for it. Source: IAM's list of roles."""

_OF_METHOD: Final[Mapping[str, str]] = {
    "LaunchFlexTemplate": "dataflow.jobs.create",
    "LaunchTemplate": "dataflow.jobs.create",
    "CreateJobFromTemplate": "dataflow.jobs.create",
    "CreateJob": "dataflow.jobs.create",
    "GetTemplate": "dataflow.jobs.get",
    "GetJob": "dataflow.jobs.get",
    "ListJobs": "dataflow.jobs.list",
    "AggregatedListJobs": "dataflow.jobs.list",
    "CheckActiveJobs": "dataflow.jobs.list",
    "SnapshotJob": "dataflow.jobs.snapshot",
    "ListJobMessages": "dataflow.messages.list",
    "GetJobMetrics": "dataflow.metrics.get",
    "GetJobExecutionDetails": "dataflow.metrics.get",
    "GetStageExecutionDetails": "dataflow.metrics.get",
    "GetSnapshot": "dataflow.snapshots.get",
    "ListSnapshots": "dataflow.snapshots.list",
    "DeleteSnapshot": "dataflow.snapshots.delete",
}
"""Source: Dataflow's page on access control; for GetTemplate and CheckActiveJobs, which it leaves out, chosen by likeness."""


def permission_for(method: str, request: Pb) -> str:
    """Return what a call needs on its project: an update that asks for a state is a stop, any other changes the job."""
    if method == "UpdateJob":
        return "dataflow.jobs.cancel" if request.job.requested_state else "dataflow.jobs.updateContents"
    return _OF_METHOD[method]


def worker_account(method: str, request: Pb) -> str:
    """Return the account as which a launch asks to run its workers; empty if it names none, or is no launch."""
    match method:
        case "LaunchFlexTemplate":
            return str(request.launch_parameter.environment.service_account_email)
        case "LaunchTemplate":
            return str(request.launch_parameters.environment.service_account_email)
        case "CreateJobFromTemplate":
            return str(request.environment.service_account_email)
        case "CreateJob":
            return str(request.job.environment.service_account_email)
        case _:
            return ""
