"""Why attempts fail: one closed table of reasons, and the texts of job messages that tell them apart.

`docs/failures.md` is this table; a test compares them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dataflow_operator.domain.errors import IDENTITY, Failure, FailureClass, OutsideError, Reason, UnavailableError, calm

MESSAGE_CHARACTERS: Final = 1024
"""Longest reason that is kept. Of a run's attempts the newest keeps all of it. Source: chosen."""


NEWEST: Final = 20
"""Error messages that are weighed, the newest ones: what a stream complained of days before its end explains nothing. Source: chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What a reason means, and what is done about it."""

    kind: FailureClass
    retryable: bool
    """Whether another attempt follows where `retryPolicy` says nothing else."""
    means: str
    advice: str


def _trouble(kind: FailureClass, means: str, advice: str, *, retryable: bool = True) -> Trouble:
    return Trouble(kind=kind, retryable=retryable, means=means, advice=advice)


TROUBLES: Final[Mapping[Reason, Trouble]] = {
    Reason.USER_CODE_FAILED: _trouble(
        FailureClass.USER_CODE, "the pipeline's own code raised an error on the workers", "read the error, correct the code or the data"
    ),
    Reason.OUT_OF_MEMORY: _trouble(
        FailureClass.USER_CODE, "a worker used up its memory", "choose a larger environment.machineType, or use less memory"
    ),
    Reason.LAUNCHER_FAILED: _trouble(
        FailureClass.USER_CODE,
        "the program that builds the pipeline failed in the launcher of a flex template",
        "read the launcher's console logs; correct the template or its parameters",
    ),
    Reason.RUN_TIMED_OUT: _trouble(
        FailureClass.UNKNOWN, "the job ran for longer than timeouts.runSeconds", "find out why, or allow more time"
    ),
    Reason.INVALID_ARGUMENT: _trouble(
        FailureClass.CONFIGURATION, "Dataflow refused the launch as invalid", "correct what the message names", retryable=False
    ),
    Reason.FAILED_PRECONDITION: _trouble(
        FailureClass.CONFIGURATION, "Dataflow refused the launch in the present state", "do what the message says", retryable=False
    ),
    Reason.NOT_FOUND: _trouble(
        FailureClass.CONFIGURATION, "something the launch needs is not there", "create it, or correct its name", retryable=False
    ),
    Reason.JOB_FILE_UNREADABLE: _trouble(
        FailureClass.CONFIGURATION,
        "Dataflow could not read the job's file in the staging bucket",
        "give the worker's account access to environment.stagingLocation, and keep the bucket in the job's region",
    ),
    Reason.NETWORK_INVALID: _trouble(
        FailureClass.CONFIGURATION,
        "the network or subnetwork cannot be used by workers",
        "correct environment.network and environment.subnetwork",
        retryable=False,
    ),
    Reason.JOB_NAME_TAKEN: _trouble(
        FailureClass.CONFIGURATION,
        "an active job that is not of this pipeline has the name",
        "end that job, or choose another spec.jobName",
    ),
    Reason.JOB_TYPE_MISMATCH: _trouble(
        FailureClass.CONFIGURATION, "the template makes a job of the other type", "create the pipeline with the other type", retryable=False
    ),
    Reason.API_DISABLED: _trouble(
        FailureClass.CONFIGURATION,
        "an API that the job needs is not enabled in the project",
        "enable the API; that takes minutes to be known everywhere",
    ),
    Reason.QUOTA_EXCEEDED: _trouble(
        FailureClass.QUOTA, "a quota of Dataflow's own was used up: requests, or jobs at a time", "wait, or ask for more"
    ),
    Reason.WORKER_QUOTA_EXCEEDED: _trouble(
        FailureClass.QUOTA,
        "a quota of Compute Engine's was used up: CPUs, addresses, disks, instances",
        "use fewer workers, or ask for more",
    ),
    Reason.RESOURCES_EXHAUSTED: _trouble(
        FailureClass.CAPACITY, "the zone had no machines of the kind to give", "wait, or choose another zone, region or machineType"
    ),
    Reason.START_TIMED_OUT: _trouble(
        FailureClass.CAPACITY, "the job did not run within timeouts.startSeconds", "see what it waited for, or allow more time"
    ),
    Reason.LAUNCHER_NOT_STARTED: _trouble(
        FailureClass.INFRASTRUCTURE,
        "the machine that launches a flex template did not start, or did not answer",
        "nothing: another attempt follows",
    ),
    Reason.WORKERS_NOT_STARTED: _trouble(
        FailureClass.INFRASTRUCTURE, "no worker could be brought up", "read the message; often a quota, a network or an image"
    ),
    Reason.WORKERS_LOST: _trouble(
        FailureClass.INFRASTRUCTURE, "workers stopped answering again and again", "look at their memory and at the worker logs"
    ),
    Reason.JOB_STUCK: _trouble(
        FailureClass.INFRASTRUCTURE,
        "no worker was active for so long that Dataflow gave up",
        "look at the network, the account, the container image",
    ),
    Reason.SERVICE_FAILED: _trouble(FailureClass.INFRASTRUCTURE, "Dataflow failed by itself", "nothing: another attempt follows"),
    Reason.UNAVAILABLE: _trouble(FailureClass.INFRASTRUCTURE, "Dataflow could not take the launch", "nothing: another attempt follows"),
    Reason.TIMED_OUT: _trouble(FailureClass.INFRASTRUCTURE, "the launch was not sent in time", "nothing: another attempt follows"),
    Reason.CONNECTION_LOST: _trouble(FailureClass.INFRASTRUCTURE, "Dataflow could not be reached", "nothing: another attempt follows"),
    Reason.LAUNCH_LOST: _trouble(
        FailureClass.INFRASTRUCTURE,
        "a launch got no answer, and after the settle time there is no job of it",
        "nothing: another attempt follows",
    ),
    Reason.UPDATE_FAILED: _trouble(
        FailureClass.UPDATE_INCOMPATIBLE,
        "the new job is not compatible with the one that runs, which runs on",
        "make it compatible, give a transformNameMapping, or use updatePolicy.strategy Drain",
        retryable=False,
    ),
    Reason.REVISION_UNHEALTHY: _trouble(
        FailureClass.USER_CODE,
        "the new revision ran beside the old one and did not earn its place: its job kept reporting errors",
        "read the errors, and correct the code or its parameters",
        retryable=False,
    ),
    Reason.PERMISSION_DENIED: _trouble(
        FailureClass.IDENTITY,
        "the caller may not launch the job",
        "grant the permission that the message names; IAM takes minutes to spread",
    ),
    Reason.ACT_AS_DENIED: _trouble(
        FailureClass.IDENTITY,
        "the caller may not run workers as the account that the pipeline names",
        "grant roles/iam.serviceAccountUser on environment.serviceAccountEmail to whoever launches",
    ),
    **dict.fromkeys(
        sorted(IDENTITY),
        _trouble(
            FailureClass.IDENTITY, "no credential could be had to launch with", "do what the message says, or ask `kubectl dataflow doctor`"
        ),
    ),
    Reason.UNAUTHENTICATED: _trouble(FailureClass.IDENTITY, "the caller's credential was not taken", "see to the caller's identity"),
    Reason.WORKER_PERMISSION_DENIED: _trouble(
        FailureClass.IDENTITY,
        "the account that the workers run as lacks a permission",
        "grant it to environment.serviceAccountEmail; IAM takes minutes to spread",
    ),
    Reason.STOPPED_OUTSIDE: _trouble(
        FailureClass.STOPPED_OUTSIDE, "somebody else ended the job", "suspend the pipeline if it is to stay stopped"
    ),
    Reason.JOB_GONE: _trouble(
        FailureClass.UNKNOWN, "Dataflow does not know the job any more, and its end was not seen", "look whether a batch run did its work"
    ),
    Reason.JOB_FAILED: _trouble(FailureClass.UNKNOWN, "the job failed, and no row of this table knows its text", "read the job's messages"),
    Reason.UNKNOWN: _trouble(FailureClass.UNKNOWN, "Dataflow answered the launch with a code that means nothing more", "read the message"),
}
"""Every reason that an attempt can fail with: the reason decides the class, and whether another attempt follows by default."""


NON_RETRYABLE: Final = frozenset({*(reason.value for reason in TROUBLES), *(kind.value for kind in FailureClass)})
"""What an owner may name in `retryPolicy.nonRetryableReasons`: reasons, and classes for all the reasons of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign:
    """A text that a job message may hold, and the reason it tells."""

    words: tuple[str, ...]
    """In small letters; one is enough."""
    reason: Reason
    source: str


_DOCS: Final = "Dataflow's documentation, troubleshooting"

SIGNS: Final = (
    Sign(words=("the new job is not compatible with",), reason=Reason.UPDATE_FAILED, source="apache/beam#30357, spotify/scio#4780"),
    Sign(
        words=("error occurred in the launcher container", "template launch failed"),
        reason=Reason.LAUNCHER_FAILED,
        source="GoogleCloudPlatform/python-docs-samples#6245",
    ),
    Sign(
        words=("has not been used in project", "service_disabled", "apis need to be enabled"),
        reason=Reason.API_DISABLED,
        source="recorded answers of Google's APIs",
    ),
    Sign(
        words=("out of memory", "outofmemory", "oom killed", "java heap space", "memoryerror", "gc thrashing"),
        reason=Reason.OUT_OF_MEMORY,
        source=_DOCS,
    ),
    Sign(words=("traceback", "\tat ", "exception: ", "userexception"), reason=Reason.USER_CODE_FAILED, source="what the SDKs print"),
    Sign(words=("api is not enabled",), reason=Reason.API_DISABLED, source="recorded answers of Google's APIs"),
    Sign(
        words=("resource_pool_exhausted", "does not have enough resources available"),
        reason=Reason.RESOURCES_EXHAUSTED,
        source="GoogleCloudPlatform/DataflowTemplates#2263; Compute Engine's documentation of availability errors",
    ),
    Sign(words=("jobs-per-project quota", "quota metric"), reason=Reason.QUOTA_EXCEEDED, source="apache/beam#34381"),
    Sign(
        words=("quota_exceeded", "'quota_for_", "insufficient quota", "quota exceeded", "exceeded quota", "quota '"),
        reason=Reason.WORKER_QUOTA_EXCEEDED,
        source="recorded answers in public issues; " + _DOCS,
    ),
    Sign(
        words=("failed to start the vm, launcher", "timeout in polling result file"),
        reason=Reason.LAUNCHER_NOT_STARTED,
        source="GoogleCloudPlatform/DataflowTemplates#2263, #2830",
    ),
    Sign(
        words=("failed to read the job file", "unable to open template file"),
        reason=Reason.JOB_FILE_UNREADABLE,
        source="GoogleCloudPlatform/python-docs-samples#4894, #9153",
    ),
    Sign(
        words=("lost contact with the service", "timed out waiting for an update from the worker", "sdk harness sdk-"),
        reason=Reason.WORKERS_LOST,
        source="apache/beam#30482, #25273; googlegenomics/gcp-variant-transforms#466",
    ),
    Sign(
        words=(
            "does not have permission",
            "permission denied",
            "permission_denied",
            "access denied",
            "does not have storage.",
            "cannot act as service account",
            "403 forbidden",
        ),
        reason=Reason.WORKER_PERMISSION_DENIED,
        source=_DOCS + "; hashicorp/terraform-provider-google#7126",
    ),
    Sign(words=("subnetwork", "network interface must specify", "private google access"), reason=Reason.NETWORK_INVALID, source=_DOCS),
    Sign(
        words=("failed to bring up any of the desired", "startup of the worker pool", "unable to bring up enough workers"),
        reason=Reason.WORKERS_NOT_STARTED,
        source="GoogleCloudPlatform/pontem#236; GoogleCloudPlatform/cloudml-samples#54",
    ),
    Sign(words=("appears to be stuck",), reason=Reason.JOB_STUCK, source="recorded answers in public issues"),
    Sign(words=("internal error", "internal issue"), reason=Reason.SERVICE_FAILED, source=_DOCS),
)
"""The first sign that a text holds decides: what names a cause stands before what only names an effect.
Before what the SDKs print stands only what no code of an owner's says by chance: a traceback may quote any word."""

_SECOND_HAND: Final = ("work item was attempted", "work item has failed")
"""A message that only says that another one explains. Source: Beam's own runner ranks the first of them last, and one with a traceback first."""

_VERDICT: Final = "workflow failed"
"""How Dataflow begins its last word on a job. Where it names a cause, errors that a stream outlived are none. Source: recorded answers in public issues."""


def failure(reason: Reason, message: str, *, retryable: bool | None = None) -> Failure:
    """Return the failure of a reason in the table; *retryable* only where the case decides otherwise than the reason."""
    trouble = TROUBLES.get(reason, TROUBLES[Reason.UNKNOWN])
    return Failure(reason=reason, kind=trouble.kind, message=message, retryable=trouble.retryable if retryable is None else retryable)


def failure_of_answer(error: OutsideError) -> Failure:
    """Return the failure of a launch that was answered with a no; what is unavailable can be tried again, whatever its reason."""
    return failure(error.reason, error.message, retryable=True if isinstance(error, UnavailableError) else None)


def failure_of_messages(errors: Sequence[str]) -> Failure | None:
    """Return the failure that a job's error messages, oldest first, tell; None: nothing is said yet."""
    said = [message.strip() for message in errors if calm(message)][-NEWEST:]
    if not said:
        return None
    told = max(reversed(said), key=_weight)
    return failure(reason_of(told), calm(_shortened(_last_line_first(told))))


def _weight(text: str) -> tuple[bool, bool, bool, bool]:
    """Return how much a message explains, to be compared with others'."""
    small, reason = text.lower(), reason_of(text)
    is_first_hand = not any(words in small for words in _SECOND_HAND)
    is_verdict = _VERDICT in small and is_first_hand and reason is not Reason.JOB_FAILED
    return reason is Reason.UPDATE_FAILED, is_verdict, "Traceback" in text, is_first_hand


def reason_of(text: str) -> Reason:
    """Return the one reason that a text tells; JobFailed where no sign is found."""
    small = text.lower()
    return next((sign.reason for sign in SIGNS if any(words in small for words in sign.words)), Reason.JOB_FAILED)


def _last_line_first(text: str) -> str:
    """Return a traceback with what it comes to before how it came to it: a person sees the first line of a message."""
    lines = text.splitlines()
    if not text.startswith("Traceback") or len(lines) == 1:
        return text
    return "\n".join([lines[-1].strip(), *lines[:-1]])


def _shortened(text: str) -> str:
    """Return a text without its middle: a traceback says most at its end."""
    if len(text) <= MESSAGE_CHARACTERS:
        return text
    head = MESSAGE_CHARACTERS // 4
    return f"{text[:head]} … {text[-(MESSAGE_CHARACTERS - head - 3) :]}"
