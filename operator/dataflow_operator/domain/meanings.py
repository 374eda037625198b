"""What each condition and each reason means to a person, and what there is to do: one closed table of each.

`docs/conditions.md` is these tables; tests compare them with the reasons there are, and with what the operator was seen to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from dataflow_operator.domain.errors import IDENTITY, PASSING, Reason
from dataflow_operator.domain.failures import TROUBLES


class Kind(StrEnum):
    """What bears a condition."""

    PIPELINE = "DataflowPipeline"
    RUN = "DataflowRun"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sense:
    """What a condition says, by its status."""

    when: str
    """When it is there."""
    true: str = ""
    false: str = ""
    unknown: str = ""


CONDITIONS: Final[Mapping[Kind, Mapping[str, Sense]]] = {
    Kind.PIPELINE: {
        "Ready": Sense(
            when="always, once the operator has seen the pipeline",
            true="it is as its owner asks: the stream runs, a batch run is in flight or the last one succeeded, or nothing runs as asked",
            false="something is wrong: with Reconciling it may heal by itself, with Stalled it will not",
            unknown="the operator works on it, or cannot see its jobs",
        ),
        "Reconciling": Sense(when="only while True; never beside Stalled", true="something is under way, or will be tried again"),
        "Stalled": Sense(when="only while True; never beside Reconciling", true="nothing will happen until somebody acts"),
        "Available": Sense(when="Streaming", true="a job of the pipeline is running", false="none is"),
        "Succeeded": Sense(
            when="Batch",
            true="the last run without parameters of its own succeeded",
            false="it did not: it failed, or was stopped",
            unknown="a run is in flight, or there was none yet",
        ),
        "Suspended": Sense(when="only while True", true="no job runs, as spec.suspend asks"),
        "InSync": Sense(
            when="a stream's job runs, or something differs; not with driftPolicy Ignore",
            true="what runs is as it was told to be",
            false="somebody or something else changed it: status.drift says what",
        ),
        "IdentityReady": Sense(
            when="the pipeline has a ServiceAccount, or should have",
            true="calls can be made as it",
            false="they cannot: the reason says why",
            unknown="nobody could be asked at the moment",
        ),
        "TemplateValid": Sense(
            when="Dataflow was asked",
            true="it accepts the template with these parameters",
            false="it does not, or cannot read it",
        ),
    },
    Kind.RUN: {
        "Succeeded": Sense(
            when="always, once the operator has seen the run",
            true="the job did its work",
            false="the run is over and did not: beside Stalled it failed or was refused, else it was stopped or replaced",
            unknown="it is not over",
        ),
        "Reconciling": Sense(when="only while True; never beside Stalled", true="the run waits, launches, stops, or tries again"),
        "Stalled": Sense(when="only while True; never beside Reconciling", true="the run failed or was refused, for good"),
    },
}
"""Every condition, by what bears it."""


class On(StrEnum):
    """Where a reason appears."""

    READY = "Ready"
    """With Reconciling or Stalled, where those are there."""
    AVAILABLE = "Available"
    SUCCEEDED = "Succeeded"
    SUSPENDED = "Suspended"
    IN_SYNC = "InSync"
    IDENTITY = "IdentityReady"
    TEMPLATE = "TemplateValid"
    RUN = "run: Succeeded"
    """With Reconciling or Stalled, where those are there."""
    EVENT = "event"
    METRIC = "metric"


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What a reason means."""

    on: tuple[On, ...]
    means: str
    advice: str


NOTHING: Final = "nothing"
"""The advice where all goes its way."""


def _is(means: str, *on: On, do: str = NOTHING) -> Meaning:
    return Meaning(on=on, means=means, advice=do)


_OF_A_FAILURE: Final = (On.READY, On.SUCCEEDED, On.RUN)
"""Where the reason of a failed attempt appears."""

_AND_RUN: Final = (On.READY, On.RUN)

_UNDER_WAY: Final[Mapping[Reason, Meaning]] = {
    Reason.LAUNCHING: _is(
        "a run is about to launch its job, or the job does not run yet, or a batch's run waits for the end of an earlier revision's",
        *_AND_RUN,
    ),
    Reason.UPDATING: _is("another run takes over from the one that serves", On.READY),
    Reason.DRAINING: _is("a job finishes what it has read, and ends; the message says since when, and until when at most", *_AND_RUN),
    Reason.CANCELLING: _is("a job is being ended at once, or a suspended stream waits for a complete job list", *_AND_RUN),
    Reason.QUEUED: _is("Dataflow has the job, and has not begun with it", On.RUN),
    Reason.WAITING_FOR_RETRY: _is("an attempt failed, and another follows", On.RUN, do="read the message: it is the attempt's own failure"),
    Reason.OBSERVING: _is(
        "the job list could not be read for a while, so that nothing is known of the jobs",
        On.READY,
        do="read the message; jobs run on meanwhile",
    ),
    Reason.NEXT_RUN_WAITS: _is("too many runs of the pipeline are in flight", On.RUN, do="wait, or stop some of them"),
    Reason.PROVING: _is("a new revision's job runs on trial, and has not earned its place yet", On.READY),
    Reason.ADOPTING: _is("the job that spec.adopt names has not begun, and shows what it runs once it has", On.READY),
}

_HOLDS: Final[Mapping[Reason, Meaning]] = {
    Reason.JOB_RUNNING: _is("the job runs", On.READY, On.AVAILABLE, On.RUN),
    Reason.RUN_IN_FLIGHT: _is("a batch run is not over", On.READY, On.SUCCEEDED),
    Reason.SUCCEEDED: _is("the run did its work", On.READY, On.SUCCEEDED, On.RUN),
    Reason.SUSPENDED: _is(
        "nothing runs, as spec.suspend asks; a run waits for that to end",
        On.READY,
        On.SUSPENDED,
        On.RUN,
        do="set spec.suspend to false to go on",
    ),
    Reason.STOPPED: _is(
        "the run was stopped, as it was asked to", On.READY, On.SUCCEEDED, On.RUN, do="create a DataflowRun to run a batch again"
    ),
    Reason.REPLACED: _is("another run took over from this one", On.RUN),
    Reason.NO_JOB: _is("no job of the pipeline runs, or no batch run is over yet", On.AVAILABLE, On.SUCCEEDED),
    Reason.VALID: _is("Dataflow accepts the template with these parameters", On.TEMPLATE),
    Reason.READY: _is("calls can be made as the ServiceAccount", On.IDENTITY),
    Reason.IN_SYNC: _is("what runs is as it was told to be", On.IN_SYNC),
    Reason.DRIFT_CORRECTED: _is("what somebody else had changed is as it should be again", On.EVENT),
    Reason.ROLLED_BACK: _is(
        "an earlier revision runs again: because a person asked for it, or because a new one did not work",
        On.READY,
        On.EVENT,
        do="change the spec: the next change is tried",
    ),
    Reason.JOB_SCALED: _is("the running job has, or is to have, another number of workers", On.EVENT),
    Reason.UPDATED_IN_PLACE: _is("the running job was told other bounds of workers, and runs on", On.EVENT),
}

_WRONG: Final[Mapping[Reason, Meaning]] = {
    Reason.JOB_ERROR: _is(
        "the running job tells of an error, and runs on: a stream repeats what fails",
        On.EVENT,
        do="read the message; correct the code or the data before it holds up the stream",
    ),
    Reason.JOB_WARNED: _is("the running job warns of something, and runs on", On.EVENT, do="read the message"),
    Reason.DRIFT_FOUND: _is(
        "what runs is not as it was told to be",
        On.IN_SYNC,
        On.EVENT,
        do="nothing with driftPolicy Correct; else set the job, or the spec, right",
    ),
    Reason.ADOPTION_DIFFERS: _is(
        "the job that spec.adopt names is over, or does not run what the spec says", On.READY, do="correct the spec, or remove spec.adopt"
    ),
    Reason.RETRIES_SPENT: _is(
        "the last run failed, and the status does not say why", On.READY, do="look at the run; edit the spec or create a DataflowRun"
    ),
    Reason.TEMPLATE_INVALID: _is(
        "Dataflow does not take the template with these parameters",
        On.READY,
        On.SUCCEEDED,
        On.TEMPLATE,
        On.RUN,
        do="correct what the message names",
    ),
    Reason.TEMPLATE_NOT_FOUND: _is(
        "there is no template at that path",
        On.READY,
        On.SUCCEEDED,
        On.TEMPLATE,
        On.RUN,
        do="correct the path, or put the template there and ask for another look",
    ),
    Reason.TEMPLATE_UNREADABLE: _is(
        "the template may not be read; asked again every minute",
        On.READY,
        On.SUCCEEDED,
        On.TEMPLATE,
        On.RUN,
        do="give the pipeline's identity storage.objects.get on the bucket",
    ),
    Reason.DEPENDENCY_NOT_READY: _is(
        "what is referred to is not there yet: a pipeline, a run, or the job to adopt", *_AND_RUN, do="create it, or correct its name"
    ),
    Reason.ALREADY_RUNNING: _is(
        "a stream runs already, and takes no second run", On.RUN, do="delete its run to restart it, or edit the pipeline to change it"
    ),
    Reason.PIPELINE_DELETING: _is("the pipeline is being deleted, or is another than the run was for", On.RUN, do="create the run anew"),
    Reason.RERUN_NOT_FOUND: _is("spec.rerunOf names a run that was never resolved here", On.RUN, do="name one that has run"),
    Reason.SPEC_TOO_LARGE: _is(
        "the launch, or the object, is larger than may be", *_OF_A_FAILURE, do="shorten parameters, or put them into a file"
    ),
    Reason.SPEC_UNREADABLE: _is(
        "the stored spec holds what this version cannot read; nothing is launched from it",
        On.READY,
        do="correct it, or use a version that knows it",
    ),
}

_ASK: Final = "the message names the command; `kubectl dataflow doctor` looks at all of it"
_AS_ITSELF: Final = (On.READY, On.SUCCEEDED, On.IDENTITY, On.RUN)

_NO_IDENTITY: Final[Mapping[Reason, Meaning]] = {
    Reason.SERVICE_ACCOUNT_NOT_FOUND: _is(
        "the ServiceAccount is not there; looked for every few seconds", *_AS_ITSELF, do="create it, or correct its name"
    ),
    Reason.SERVICE_ACCOUNT_INVALID: _is(
        "the ServiceAccount, or what the pipeline or run says of it, cannot be used in this mode", *_AS_ITSELF, do=_ASK
    ),
    Reason.NAMESPACE_TERMINATING: _is(
        "the namespace is being deleted, and no token can be had there",
        *_AS_ITSELF,
        do="set deletionPolicy to Orphan to let the pipeline go",
    ),
    Reason.PROFILE_NOT_ALLOWED: _is("no identity profile is for this namespace, or not that one", *_AS_ITSELF, do=_ASK),
    Reason.TOKEN_REQUEST_DENIED: _is("the operator may not ask for the ServiceAccount's token", *_AS_ITSELF, do=_ASK),
    Reason.AUDIENCE_REJECTED: _is("the provider does not take tokens for this audience", *_AS_ITSELF, do=_ASK),
    Reason.SUBJECT_TOO_LONG: _is(
        "Google's name of the account would have more than 127 bytes", *_AS_ITSELF, do="shorter names, or another mapping"
    ),
    Reason.IMPERSONATION_DENIED: _is(
        "the account may not act as the Google service account that its annotation names", *_AS_ITSELF, do=_ASK
    ),
    Reason.FEDERATION_UNSUPPORTED: _is(
        "Dataflow does not take this kind of federated identity", *_AS_ITSELF, do="name a Google service account"
    ),
    Reason.STS_THROTTLED: _is("the token service asks for a pause", *_AS_ITSELF),
    Reason.STS_UNAVAILABLE: _is("the token service cannot be reached", *_AS_ITSELF, do="wait; look at the operator's way out if it lasts"),
}

_ANSWERS: Final[Mapping[Reason, Meaning]] = {
    Reason.ALREADY_EXISTS: _is("what was to be made is there already: looked at, and taken into account", On.METRIC),
    Reason.CONFLICT: _is("an object changed meanwhile: read anew and decided again", On.METRIC),
    Reason.CRD_OUTDATED: _is(
        "the API server did not keep a status as it was written, so nothing follows from it; where it was the pipeline's, an event says it",
        On.READY,
        On.EVENT,
        do="apply the CRDs of the operator's version",
    ),
    Reason.NOT_READY_FOR_CANCELING: _is("the job is too young to be stopped: asked again, and told after a minute", *_AND_RUN, On.METRIC),
}

_OF_A_LOOK: Final = PASSING | {Reason.PERMISSION_DENIED, Reason.UNAUTHENTICATED, Reason.API_DISABLED}
"""What a look at a ServiceAccount may say beside what no credential could be had for."""

_FAILURES: Final[Mapping[Reason, Meaning]] = {
    reason: Meaning(on=(*_OF_A_FAILURE, *((On.IDENTITY,) if reason in _OF_A_LOOK else ())), means=trouble.means, advice=trouble.advice)
    for reason, trouble in TROUBLES.items()
    if reason not in IDENTITY
}

GROUPS: Final[Mapping[str, Mapping[Reason, Meaning]]] = {
    "What is under way": _UNDER_WAY,
    "What holds": _HOLDS,
    "What is wrong with the wish": _WRONG,
    "No identity to call with": _NO_IDENTITY,
    "Why an attempt failed": _FAILURES,
    "Answers that are dealt with": _ANSWERS,
}
"""Every reason, by what kind of thing it tells. Those of failures are `failures.TROUBLES`, and what no credential could be had for is its own."""

MEANINGS: Final[Mapping[Reason, Meaning]] = {reason: meaning for group in GROUPS.values() for reason, meaning in group.items()}
"""What each reason means."""


def appears_on(kind: Kind, condition: str, reason: Reason) -> bool:
    """Whether the tables say that a reason appears on a condition; Reconciling and Stalled have the reason of the summary beside them."""
    summary = On.RUN if kind is Kind.RUN else On.READY
    if kind is Kind.RUN or condition in {"Reconciling", "Stalled"}:
        return summary in MEANINGS[reason].on
    return condition in MEANINGS[reason].on
