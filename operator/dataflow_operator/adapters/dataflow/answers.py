"""What Dataflow's answers mean: a table for each kind of call, from the gRPC code and the text to one of the four errors.

The first row that fits decides, and the last fits everything. `docs/errors.md` is made of these rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Final

from grpc import StatusCode

from dataflow_operator.domain.errors import Reason

QUOTA_PAUSE: Final = timedelta(seconds=60)
"""How long to wait after a used-up quota where the answer does not say: Dataflow's are counted by the minute."""

CANCEL_PAUSE: Final = timedelta(seconds=5)
"""How long to wait when a job is too young to be cancelled. Source: Terraform's provider asks again every 5 s."""

REASONS: Final[Mapping[StatusCode, Reason]] = {
    StatusCode.INVALID_ARGUMENT: Reason.INVALID_ARGUMENT,
    StatusCode.NOT_FOUND: Reason.NOT_FOUND,
    StatusCode.ALREADY_EXISTS: Reason.ALREADY_EXISTS,
    StatusCode.PERMISSION_DENIED: Reason.PERMISSION_DENIED,
    StatusCode.UNAUTHENTICATED: Reason.UNAUTHENTICATED,
    StatusCode.FAILED_PRECONDITION: Reason.FAILED_PRECONDITION,
    StatusCode.RESOURCE_EXHAUSTED: Reason.QUOTA_EXCEEDED,
    StatusCode.UNAVAILABLE: Reason.UNAVAILABLE,
    StatusCode.DEADLINE_EXCEEDED: Reason.TIMED_OUT,
    StatusCode.CANCELLED: Reason.CONNECTION_LOST,
}
"""The word for each code, where a row has none of its own; any other is Unknown."""


class Meaning(StrEnum):
    """What an answer means."""

    REFUSED = "refused"
    UNAVAILABLE = "unavailable"
    AMBIGUOUS = "ambiguous"
    NOTHING = "no error"
    """What was wanted holds already, or there is nothing to be found: an absence is a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table."""

    codes: tuple[StatusCode, ...] = ()
    """Any of these; none: any code."""
    words: tuple[str, ...] = ()
    """The text holds one of these; none: any text. Compared without the volatile prefix making a difference: anywhere in the text."""
    meaning: Meaning
    reason: Reason | None = None
    """None: the word for the code."""
    after: timedelta | None = None
    """When to try again where the answer does not say; None: as the one who asks backs off."""
    blames_caller: bool = False
    """Whether it speaks of the identity that called rather than of this one call: then it counts for the identity's circuit."""
    why: str
    source: str

    def fits(self, code: StatusCode, message: str) -> bool:
        """Whether an answer is one of this row's."""
        return (not self.codes or code in self.codes) and (not self.words or any(word in message for word in self.words))


_BAD: Final = (StatusCode.INVALID_ARGUMENT, StatusCode.FAILED_PRECONDITION)

_NO_API: Final = ("SERVICE_DISABLED", "has not been used in project")
"""How a 403 says that Dataflow is switched off in the project."""

_ABOUT_CALLER: Final = ("Permission 'dataflow.", "does not have write access to project")
"""How a 403 says that the caller may not do such a thing in the project, whatever it is about."""

_ABOUT_WORKER: Final = ("act as service account", "actAs")
"""How a 403 says that the caller may not run workers as the account that the pipeline names."""

_TERRAFORM: Final = "Terraform's Google provider, resource_dataflow_job.go"

_DEAD_CREDENTIAL: Final = Row(
    codes=(StatusCode.UNAUTHENTICATED,),
    meaning=Meaning.UNAVAILABLE,
    blames_caller=True,
    why="The credential was not accepted, so the request was not looked at: nothing can have happened, and the next call brings a fresh one.",
    source="google.rpc.Code",
)

_SWITCHED_OFF: Final = Row(
    codes=(StatusCode.PERMISSION_DENIED,),
    words=_NO_API,
    meaning=Meaning.REFUSED,
    reason=Reason.API_DISABLED,
    blames_caller=True,
    why="The Dataflow API is switched off in the project.",
    source="google.rpc.ErrorInfo, SERVICE_DISABLED; a recorded answer in cloud-custodian",
)

_NEVER_SENT: Final = Row(
    codes=(StatusCode.UNAVAILABLE,),
    words=("failed to connect to all addresses", "DNS resolution failed", "Name resolution failure"),
    meaning=Meaning.UNAVAILABLE,
    reason=Reason.CONNECTION_LOST,
    why="There was no connection to send the request on: nothing can have happened.",
    source="measured with grpcio against a closed port",
)

_REQUEST_TOO_LARGE: Final = Row(
    codes=(StatusCode.RESOURCE_EXHAUSTED,),
    words=("Sent message larger than max", "SERVER: Received message larger than max"),
    meaning=Meaning.REFUSED,
    reason=Reason.SPEC_TOO_LARGE,
    why="The request is larger than gRPC or the service takes; it was not looked at, and the same one never will be.",
    source="measured with grpcio; a job request may have 20 MB (Dataflow's quota page)",
)

_OWN_LIMIT: Final = "Received message larger than max"
"""gRPC's own receive limit speaks as RESOURCE_EXHAUSTED, and has nothing to do with a quota: the call was answered."""

_OVER_QUOTA: Final = Row(
    codes=(StatusCode.RESOURCE_EXHAUSTED,),
    meaning=Meaning.UNAVAILABLE,
    after=QUOTA_PAUSE,
    why="A quota is used up, of calls a minute or of jobs at a time; the call was turned away before anything was done.",
    source="apache/beam#34381, GoogleCloudPlatform/DataflowTemplates#1690",
)

_READS: Final = (
    Row(
        codes=(StatusCode.RESOURCE_EXHAUSTED,),
        words=(_OWN_LIMIT,),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.UNKNOWN,
        why="The answer was larger than our own limit: no quota, and nothing is known.",
        source="measured with grpcio",
    ),
    Row(
        codes=(StatusCode.NOT_FOUND,),
        words=("DEADLINE_EXCEEDED",),
        meaning=Meaning.UNAVAILABLE,
        why="A time-out inside the service that comes out as a 404 while the job is well: no absence.",
        source="hashicorp/terraform-provider-google#26893",
    ),
)
"""Rows of every read that come before what is said of a 404."""

_REPEATABLE: Final = (
    _DEAD_CREDENTIAL,
    _OVER_QUOTA,
    _NEVER_SENT,
    Row(
        codes=(StatusCode.DEADLINE_EXCEEDED,),
        meaning=Meaning.UNAVAILABLE,
        blames_caller=True,
        why="No answer in time. A read changes nothing, so it can be repeated.",
        source="google.rpc.Code",
    ),
    Row(meaning=Meaning.UNAVAILABLE, why="Anything else (500, 503, a lost connection): a read can be repeated.", source="google.rpc.Code"),
)
"""What is left of the answers to a call that changes nothing once all refusals are told."""

_READS_AFTER: Final = (
    _SWITCHED_OFF,
    Row(
        codes=(StatusCode.PERMISSION_DENIED,),
        meaning=Meaning.REFUSED,
        blames_caller=True,
        why="The caller may not read here: somebody has to allow it.",
        source="google.rpc.Code",
    ),
    Row(codes=_BAD, meaning=Meaning.REFUSED, why="The question is wrong, and stays so.", source="google.rpc.Code"),
    *_REPEATABLE,
)

LISTS: Final = (
    *_READS,
    Row(
        codes=(StatusCode.NOT_FOUND,),
        meaning=Meaning.REFUSED,
        why="There is no such project or region; that is no empty list.",
        source="google.rpc.Code",
    ),
    *_READS_AFTER,
)
"""A list of jobs. A list that failed is none: it says of no job that it is absent."""

LOOKS: Final = (
    *_READS,
    Row(
        codes=(StatusCode.NOT_FOUND,),
        meaning=Meaning.NOTHING,
        why="The service does not know the job at this moment. It is believed only after the settle time, two such reads and a list.",
        source="feast-dev/feast#153; live jobs that answered so: googlegenomics/gcp-variant-transforms#503",
    ),
    *_READS_AFTER,
)
"""A read of one job, of its messages or of its metrics."""

_TAKEN: Final = Row(
    codes=(StatusCode.ALREADY_EXISTS,),
    meaning=Meaning.REFUSED,
    why="An active job has the name, perhaps our own of an earlier try: look for it.",
    source="apache/beam#29441 (the double blank in its text is the service's)",
)

_LAUNCHES: Final = (
    _SWITCHED_OFF,
    Row(
        codes=(StatusCode.PERMISSION_DENIED,),
        words=_ABOUT_CALLER,
        meaning=Meaning.REFUSED,
        blames_caller=True,
        why="The caller may not launch in this project; no job was made.",
        source="apache/beam#590",
    ),
    Row(
        codes=(StatusCode.PERMISSION_DENIED,),
        words=_ABOUT_WORKER,
        meaning=Meaning.REFUSED,
        reason=Reason.ACT_AS_DENIED,
        why="The caller may not run workers as the account that the pipeline names; no job was made.",
        source="hashicorp/terraform-provider-google#7126",
    ),
    Row(
        codes=(StatusCode.PERMISSION_DENIED,),
        meaning=Meaning.REFUSED,
        why="Something that the launch needs is denied, such as the template's file; no job was made.",
        source="hashicorp/terraform-provider-google#7126",
    ),
    Row(
        codes=(StatusCode.NOT_FOUND,),
        meaning=Meaning.REFUSED,
        why="The template, the project or the region is not there; no job was made.",
        source="GoogleCloudPlatform/training-data-analyst#2347",
    ),
    _DEAD_CREDENTIAL,
    _REQUEST_TOO_LARGE,
    Row(
        codes=(StatusCode.RESOURCE_EXHAUSTED,),
        words=(_OWN_LIMIT,),
        meaning=Meaning.AMBIGUOUS,
        reason=Reason.UNKNOWN,
        why="The answer was larger than our own limit, so there was one: the job may run.",
        source="measured with grpcio",
    ),
    _OVER_QUOTA,
    _NEVER_SENT,
    Row(
        codes=_BAD,
        meaning=Meaning.AMBIGUOUS,
        why="A launch was answered with a 400 and its job ran all the same: look before launching again. Where no job came twice in a row, it was a no.",
        source="hashicorp/terraform-provider-google#14679",
    ),
    Row(
        codes=(StatusCode.DEADLINE_EXCEEDED,),
        meaning=Meaning.AMBIGUOUS,
        blames_caller=True,
        why="No answer in time: the job may run, or may yet be made while the credential lives.",
        source="hashicorp/terraform-provider-google#26893",
    ),
    Row(
        meaning=Meaning.AMBIGUOUS,
        why="Anything else (500, 503, a connection lost on the way): the job may run.",
        source="apache/airflow#67219",
    ),
)

LAUNCHES: Final = (_TAKEN, *_LAUNCHES)
"""A launch of a new job."""

UPDATES: Final = (
    _TAKEN,
    Row(
        codes=(StatusCode.NOT_FOUND,),
        words=("RUNNING OR DRAINING state",),
        meaning=Meaning.UNAVAILABLE,
        why="The job to be updated is not RUNNING at this moment; no job was made.",
        source="Terraform's Google provider, error_retry_predicates.go, which asks again for five minutes",
    ),
    *_LAUNCHES,
)
"""A launch that updates a running job."""

_HARMLESS: Final = (
    _DEAD_CREDENTIAL,
    Row(
        codes=(StatusCode.RESOURCE_EXHAUSTED,),
        words=(_OWN_LIMIT,),
        meaning=Meaning.AMBIGUOUS,
        reason=Reason.UNKNOWN,
        why="The answer was larger than our own limit, so there was one.",
        source="measured with grpcio",
    ),
    _OVER_QUOTA,
    _NEVER_SENT,
    Row(
        codes=(StatusCode.DEADLINE_EXCEEDED,),
        meaning=Meaning.AMBIGUOUS,
        blames_caller=True,
        why="No answer in time. Asking for the same again is harmless.",
        source="google.rpc.Code",
    ),
    Row(
        meaning=Meaning.AMBIGUOUS,
        why="Anything else (409, 500, 503, a lost connection): it may have been done. Asking for the same again is harmless.",
        source="google.rpc.Code",
    ),
)
"""What is left of the answers to a call that may be made twice once all refusals are told."""

STOPS: Final = (
    Row(
        words=("has terminated",),
        meaning=Meaning.NOTHING,
        why="The job is over, which is what was wanted.",
        source=_TERRAFORM,
    ),
    Row(
        words=("not yet ready for canceling", "not yet ready for draining"),
        meaning=Meaning.UNAVAILABLE,
        reason=Reason.NOT_READY_FOR_CANCELING,
        after=CANCEL_PAUSE,
        why="The job is too young to be stopped.",
        source=_TERRAFORM,
    ),
    _SWITCHED_OFF,
    Row(
        codes=(StatusCode.PERMISSION_DENIED,),
        meaning=Meaning.REFUSED,
        blames_caller=True,
        why="The caller may not stop jobs in this project: somebody has to allow it.",
        source="google.rpc.Code",
    ),
    Row(
        codes=(*_BAD, StatusCode.NOT_FOUND),
        meaning=Meaning.REFUSED,
        why="The job cannot be stopped so, such as a batch job that is to drain, or is not known; nothing was changed.",
        source="google.rpc.Code",
    ),
    *_HARMLESS,
)
"""A drain or a cancel."""

INPLACE: Final = (
    _SWITCHED_OFF,
    Row(
        codes=(StatusCode.PERMISSION_DENIED,),
        meaning=Meaning.REFUSED,
        blames_caller=True,
        why="The caller may not change jobs in this project (dataflow.jobs.updateContents): somebody has to allow it.",
        source="Dataflow's page on access control",
    ),
    Row(
        codes=_BAD,
        words=("not yet ready",),
        meaning=Meaning.UNAVAILABLE,
        after=CANCEL_PAUSE,
        why="The job is too young to be changed.",
        source="chosen: as the same words mean for a stop",
    ),
    Row(
        codes=_BAD,
        meaning=Meaning.REFUSED,
        why="The job cannot change so: it is no running stream of Streaming Engine, is over, or the values do not fit; nothing was changed.",
        source="Dataflow's page on updating a pipeline",
    ),
    Row(
        codes=(StatusCode.NOT_FOUND,),
        meaning=Meaning.UNAVAILABLE,
        why="The service does not know the job at this moment. Whether it is gone is for the reads to say.",
        source="live jobs that answered so: googlegenomics/gcp-variant-transforms#503",
    ),
    *_HARMLESS,
)
"""A change of options of a running job."""

DRY_RUNS: Final = (
    Row(
        codes=(StatusCode.ALREADY_EXISTS,),
        meaning=Meaning.NOTHING,
        why="The name is in use, so template and parameters were looked at and found good.",
        source="chosen: which of a name and a template is looked at first is not documented",
    ),
    _SWITCHED_OFF,
    Row(
        codes=(StatusCode.PERMISSION_DENIED,),
        words=_ABOUT_CALLER,
        meaning=Meaning.REFUSED,
        blames_caller=True,
        why="The caller may not launch in this project.",
        source="apache/beam#590",
    ),
    Row(
        codes=(StatusCode.PERMISSION_DENIED,),
        words=_ABOUT_WORKER,
        meaning=Meaning.REFUSED,
        reason=Reason.ACT_AS_DENIED,
        why="The caller may not run workers as the account that the pipeline names.",
        source="hashicorp/terraform-provider-google#7126",
    ),
    Row(
        codes=(StatusCode.PERMISSION_DENIED,),
        meaning=Meaning.REFUSED,
        reason=Reason.TEMPLATE_UNREADABLE,
        why="The template's file cannot be read by the caller.",
        source="chosen: what is not about caller or workers is about the file",
    ),
    Row(
        codes=(StatusCode.NOT_FOUND,),
        meaning=Meaning.REFUSED,
        reason=Reason.TEMPLATE_NOT_FOUND,
        why="There is no such template.",
        source="GoogleCloudPlatform/training-data-analyst#2347",
    ),
    Row(
        codes=_BAD,
        meaning=Meaning.REFUSED,
        reason=Reason.TEMPLATE_INVALID,
        why="The template, its parameters or its environment are wrong. A dry run starts nothing, so that is all there is to it.",
        source="hashicorp/terraform-provider-google#14290, #14679",
    ),
    _REQUEST_TOO_LARGE,
    *_REPEATABLE,
)
"""A launch that is only tried out: it changes nothing, so all that is not refused can be repeated."""
