"""The four errors, named by what we do about them, and the closed set of reasons.

OutsideError                the outside answered, but not with what we asked for
├── RefusedError            a repeat without a change cannot help: the owner must act
├── UnavailableError        a repeat later can help
├── AmbiguousError          the effect may or may not have happened: look before acting again
└── StaleError              we acted on an old read: observe again
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

MESSAGE_LIMIT: Final = 2048
"""Longest message in a status, in characters. Source: the schema's bound."""

_VOLATILE: Final = re.compile(r"\(?\b[0-9a-f]{16}\b\)?:\s*")


class Reason(StrEnum):
    """Why something is as it is: at once a condition's reason, an event's reason and a metric's label."""

    # what is under way
    LAUNCHING = "Launching"
    UPDATING = "Updating"
    DRAINING = "Draining"
    CANCELLING = "Cancelling"
    QUEUED = "Queued"
    WAITING_FOR_RETRY = "WaitingForRetry"
    OBSERVING = "Observing"
    NEXT_RUN_WAITS = "NextRunWaits"
    PROVING = "Proving"
    ADOPTING = "Adopting"
    # what holds
    JOB_RUNNING = "JobRunning"
    RUN_IN_FLIGHT = "RunInFlight"
    SUCCEEDED = "Succeeded"
    SUSPENDED = "Suspended"
    STOPPED = "Stopped"
    REPLACED = "Replaced"
    NO_JOB = "NoJob"
    VALID = "Valid"
    READY = "Ready"
    IN_SYNC = "InSync"
    DRIFT_CORRECTED = "DriftCorrected"
    ROLLED_BACK = "RolledBack"
    UPDATED_IN_PLACE = "UpdatedInPlace"
    JOB_SCALED = "JobScaled"
    JOB_WARNED = "JobWarned"
    JOB_ERROR = "JobError"
    # what is wrong
    JOB_FAILED = "JobFailed"
    UPDATE_FAILED = "UpdateFailed"
    REVISION_UNHEALTHY = "RevisionUnhealthy"
    DRIFT_FOUND = "DriftFound"
    ADOPTION_DIFFERS = "AdoptionDiffers"
    START_TIMED_OUT = "StartTimedOut"
    RUN_TIMED_OUT = "RunTimedOut"
    USER_CODE_FAILED = "UserCodeFailed"
    OUT_OF_MEMORY = "OutOfMemory"
    LAUNCHER_FAILED = "LauncherFailed"
    LAUNCHER_NOT_STARTED = "LauncherNotStarted"
    JOB_FILE_UNREADABLE = "JobFileUnreadable"
    NETWORK_INVALID = "NetworkInvalid"
    API_DISABLED = "ApiDisabled"
    WORKER_QUOTA_EXCEEDED = "WorkerQuotaExceeded"
    WORKER_PERMISSION_DENIED = "WorkerPermissionDenied"
    WORKERS_NOT_STARTED = "WorkersNotStarted"
    WORKERS_LOST = "WorkersLost"
    RESOURCES_EXHAUSTED = "ResourcesExhausted"
    JOB_STUCK = "JobStuck"
    SERVICE_FAILED = "ServiceFailed"
    RETRIES_SPENT = "RetriesSpent"
    STOPPED_OUTSIDE = "StoppedOutside"
    JOB_NAME_TAKEN = "JobNameTaken"
    JOB_TYPE_MISMATCH = "JobTypeMismatch"
    LAUNCH_LOST = "LaunchLost"
    JOB_GONE = "JobGone"
    TEMPLATE_INVALID = "TemplateInvalid"
    TEMPLATE_NOT_FOUND = "TemplateNotFound"
    TEMPLATE_UNREADABLE = "TemplateUnreadable"
    SERVICE_ACCOUNT_NOT_FOUND = "ServiceAccountNotFound"
    SERVICE_ACCOUNT_INVALID = "ServiceAccountInvalid"
    NAMESPACE_TERMINATING = "NamespaceTerminating"
    PROFILE_NOT_ALLOWED = "ProfileNotAllowed"
    TOKEN_REQUEST_DENIED = "TokenRequestDenied"  # noqa: S105 # a word, not a secret
    AUDIENCE_REJECTED = "AudienceRejected"
    SUBJECT_TOO_LONG = "SubjectTooLong"
    IMPERSONATION_DENIED = "ImpersonationDenied"
    ACT_AS_DENIED = "ActAsDenied"
    FEDERATION_UNSUPPORTED = "FederationUnsupported"
    STS_THROTTLED = "StsThrottled"
    STS_UNAVAILABLE = "StsUnavailable"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    ALREADY_RUNNING = "AlreadyRunning"
    PIPELINE_DELETING = "PipelineDeleting"
    RERUN_NOT_FOUND = "RerunNotFound"
    SPEC_TOO_LARGE = "SpecTooLarge"
    SPEC_UNREADABLE = "SpecUnreadable"
    CRD_OUTDATED = "CrdOutdated"
    # what the outside said
    INVALID_ARGUMENT = "InvalidArgument"
    NOT_FOUND = "NotFound"
    ALREADY_EXISTS = "AlreadyExists"
    PERMISSION_DENIED = "PermissionDenied"
    UNAUTHENTICATED = "Unauthenticated"
    FAILED_PRECONDITION = "FailedPrecondition"
    NOT_READY_FOR_CANCELING = "NotReadyForCanceling"
    QUOTA_EXCEEDED = "QuotaExceeded"
    UNAVAILABLE = "Unavailable"
    TIMED_OUT = "TimedOut"
    CONNECTION_LOST = "ConnectionLost"
    CONFLICT = "Conflict"
    UNKNOWN = "Unknown"


PASSING: Final = frozenset(
    {
        Reason.UNAVAILABLE,
        Reason.TIMED_OUT,
        Reason.CONNECTION_LOST,
        Reason.QUOTA_EXCEEDED,
        Reason.STS_THROTTLED,
        Reason.STS_UNAVAILABLE,
        Reason.CONFLICT,
        Reason.UNKNOWN,
    }
)
"""Reasons that say that nothing can be seen at this moment, and not that anything is wrong."""


IDENTITY: Final = frozenset(
    {
        Reason.SERVICE_ACCOUNT_NOT_FOUND,
        Reason.SERVICE_ACCOUNT_INVALID,
        Reason.NAMESPACE_TERMINATING,
        Reason.PROFILE_NOT_ALLOWED,
        Reason.TOKEN_REQUEST_DENIED,
        Reason.AUDIENCE_REJECTED,
        Reason.SUBJECT_TOO_LONG,
        Reason.IMPERSONATION_DENIED,
        Reason.FEDERATION_UNSUPPORTED,
        Reason.STS_THROTTLED,
        Reason.STS_UNAVAILABLE,
    }
)
"""Reasons for which no credential could be had, so that nothing was sent."""


class FailureClass(StrEnum):
    """What kind of trouble ended an attempt."""

    USER_CODE = "UserCode"
    CONFIGURATION = "Configuration"
    QUOTA = "Quota"
    CAPACITY = "Capacity"
    INFRASTRUCTURE = "Infrastructure"
    UPDATE_INCOMPATIBLE = "UpdateIncompatible"
    IDENTITY = "Identity"
    STOPPED_OUTSIDE = "StoppedOutside"
    UNKNOWN = "Unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why an attempt did not do what it was for."""

    reason: Reason
    kind: FailureClass
    message: str
    retryable: bool


class OutsideError(Exception):
    """The outside answered, but not with what we asked for."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(f"{reason}: {message}")
        self.reason = reason
        self.message = calm(message)


class RefusedError(OutsideError):
    """A repeat without a change cannot help: the owner must act. Nothing happened outside."""


class UnavailableError(OutsideError):
    """A repeat later can help. Nothing happened outside."""

    def __init__(self, reason: Reason, message: str, after: timedelta | None = None) -> None:
        super().__init__(reason, message)
        self.after = after


class AmbiguousError(OutsideError):
    """The effect may or may not have happened: look before acting again."""


class StaleError(OutsideError):
    """We acted on an old read: observe again."""


def calm(message: str) -> str:
    """Return *message* without what changes from one answer to the next, cut to the length a status may hold.

    Dataflow puts 16 hex digits before most texts, e.g. ``(78f666ea16e50f79): There is already …``.
    """
    return cut(_VOLATILE.sub("", message).strip())


def cut(text: str, characters: int = MESSAGE_LIMIT) -> str:
    """Return *text*, cut to so many characters: by default what a status may hold."""
    return text if len(text) <= characters else f"{text[: characters - 1]}…"
