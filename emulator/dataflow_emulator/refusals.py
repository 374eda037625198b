"""How the service says no: codes and the real service's texts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum


class Code(StrEnum):
    """Canonical status codes, by the names that gRPC and REST share."""

    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    NOT_FOUND = "NOT_FOUND"
    ALREADY_EXISTS = "ALREADY_EXISTS"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    RESOURCE_EXHAUSTED = "RESOURCE_EXHAUSTED"
    ABORTED = "ABORTED"
    CANCELLED = "CANCELLED"
    UNKNOWN = "UNKNOWN"
    INTERNAL = "INTERNAL"
    UNIMPLEMENTED = "UNIMPLEMENTED"
    UNAVAILABLE = "UNAVAILABLE"
    DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"

    @property
    def http(self) -> int:
        """The HTTP status of the code. Source: google.rpc.Code."""
        return _HTTP[self]


_HTTP = {
    Code.INVALID_ARGUMENT: 400,
    Code.FAILED_PRECONDITION: 400,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.PERMISSION_DENIED: 403,
    Code.UNAUTHENTICATED: 401,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INTERNAL: 500,
    Code.UNIMPLEMENTED: 501,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """What is wrong with one template parameter."""

    parameter: str
    description: str


class RefusedError(Exception):
    """The service does not do what it was asked for, and says why."""

    def __init__(self, code: Code, message: str, violations: tuple[Violation, ...] = (), *, retry_after: timedelta | None = None) -> None:
        super().__init__(code, message, violations)
        self.code = code
        self.message = message
        self.violations = violations
        self.retry_after = retry_after
        """When the caller is told to come again."""


def job_missing(prefix: str, job_id: str) -> RefusedError:
    """Return the answer to a read of a job that is unknown, purged, or of another region."""
    return RefusedError(
        Code.NOT_FOUND,
        f"({prefix}): Information about job {job_id} could not be found in our system. Please double check that the API being used is"
        " projects.locations.jobs.get (https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.jobs/get)."
        f" If the API being used is projects.locations.jobs.get, please double check the id ({job_id}) is correct."
        " If it is please contact customer support.",
    )


def name_taken(prefix: str, name: str) -> RefusedError:
    """Return the answer to a launch under the name of an active job; the double blank is the real service's."""
    return RefusedError(
        Code.ALREADY_EXISTS,
        f"({prefix}): There is already an active job named {name}. If you want to  submit a second job,"
        " try again by setting a different name.",
    )


def request_taken(prefix: str, inner: str, name: str) -> RefusedError:
    """Return the answer to a repeated jobs.create whose first job is over."""
    cause = name_taken(inner, name).message
    return RefusedError(Code.ALREADY_EXISTS, f"({prefix}): The workflow could not be created. Causes: {cause}")


def nothing_to_update(prefix: str, inner: str, name: str) -> RefusedError:
    """Return the answer to an update without a job to update."""
    return RefusedError(
        Code.NOT_FOUND,
        f"({prefix}): The workflow could not be created. Causes: ({inner}): Unable to find a job named {name} in RUNNING OR DRAINING state.",
    )


def batch_not_updatable(prefix: str, inner: str, name: str) -> RefusedError:
    """Return the answer to an update of a batch job."""
    return RefusedError(
        Code.INVALID_ARGUMENT,
        f"({prefix}): The workflow could not be created. Causes: ({inner}): Job {name} is a batch job; only streaming jobs can be updated.",
    )


def not_created(prefix: str, inner: str, cause: str, code: Code = Code.INVALID_ARGUMENT) -> RefusedError:
    """Return the answer to a launch that the service rejects for *cause*; which code goes with which text is not recorded."""
    return RefusedError(code, f"({prefix}): The workflow could not be created. Causes: ({inner}): {cause}")


def over_quota(prefix: str, inner: str, project: str, active: int) -> RefusedError:
    """Return the answer to a launch beyond the number of concurrent jobs."""
    return RefusedError(
        Code.RESOURCE_EXHAUSTED,
        f"({prefix}): The workflow could not be created. Causes: ({inner}): Dataflow quota error for jobs-per-project quota."
        f" Project {project} is running {active} jobs. Please check the quota usage via GCP Console.",
    )


def over_rate(measure: str, project: str, retry_after: timedelta) -> RefusedError:
    """Return the answer to a call beyond what a minute allows. Source: the text that Google's Service Control gives for any API."""
    return RefusedError(
        Code.RESOURCE_EXHAUSTED,
        f"Quota exceeded for quota metric '{measure}' and limit '{measure} per minute per user' of service 'dataflow.googleapis.com'"
        f" for consumer '{project}'.",
        retry_after=retry_after,
    )


def credential_dead() -> RefusedError:
    """Return the answer to a call whose bearer has died. Source: the text that Google's front end gives for any API."""
    return RefusedError(
        Code.UNAUTHENTICATED,
        "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication"
        " credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.",
    )


def has_terminated(prefix: str, inner: str, verb: str, job_id: str) -> RefusedError:
    """Return the answer to a stop of a job that is over."""
    return _not_modified(prefix, inner, f"Operation {verb} not allowed for job: {job_id}. Job has terminated.")


def not_ready(prefix: str, inner: str, verb: str, job_id: str) -> RefusedError:
    """Return the answer to a stop that comes too early."""
    doing = {"cancel": "canceling", "drain": "draining"}[verb]
    return _not_modified(
        prefix,
        inner,
        f"Operation {verb} not allowed for job: {job_id}. Job is not yet ready for {doing}. Please retry in a few minutes.",
    )


def batch_not_drainable(prefix: str, inner: str, job_id: str) -> RefusedError:
    """Return the answer to a drain of a batch job."""
    return _not_modified(prefix, inner, f"Operation drain not allowed for JOB_TYPE_BATCH. Job: {job_id}")


def already_cancelling(prefix: str, inner: str, job_id: str) -> RefusedError:
    """Return the answer to a drain of a job that is being cancelled."""
    return _not_modified(prefix, inner, f"Operation drain not allowed for job: {job_id}. Job is being cancelled.")


def force_too_early(prefix: str, inner: str, job_id: str) -> RefusedError:
    """Return the answer to a forced cancel that does not follow a cancel by long enough."""
    return _not_modified(
        prefix,
        inner,
        f"Operation cancel not allowed for job: {job_id}. A job can be force cancelled only after a regular cancel has been tried"
        " for at least 30 minutes.",
    )


def not_updatable(prefix: str, inner: str, job_id: str, why: str) -> RefusedError:
    """Return the answer to new runtime options for a job that cannot take any; the text is not recorded."""
    return _not_modified(
        prefix, inner, f"Runtime updatable parameters can only be changed of a running Streaming Engine job: {job_id} {why}."
    )


def _not_modified(prefix: str, inner: str, cause: str) -> RefusedError:
    return RefusedError(Code.FAILED_PRECONDITION, f"({prefix}): Workflow modification failed. Causes: ({inner}): {cause}")


def invalid(message: str) -> RefusedError:
    """Return the answer to a request that is malformed."""
    return RefusedError(Code.INVALID_ARGUMENT, message)


def invalid_parameters(violations: tuple[Violation, ...]) -> RefusedError:
    """Return the answer to parameters that the template's metadata does not allow."""
    details = " ".join(f"{each.parameter}: {each.description}" for each in violations)
    return RefusedError(Code.INVALID_ARGUMENT, f"The template parameters are invalid. Details: {details}", violations)


def template_missing(prefix: str, path: str) -> RefusedError:
    """Return the answer to a template path where nothing is."""
    return RefusedError(Code.NOT_FOUND, f"({prefix}): Unable to open template file: {path}.")


def template_invalid(path: str) -> RefusedError:
    """Return the answer to a template file that is none, or one of the other kind."""
    return RefusedError(Code.INVALID_ARGUMENT, f"Invalid template file {path}")
