"""The ledger, from and to JSON: entries, attempts, claims and failures."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, count, counts, mapping, moment, objects, present, stamp, text, word, words_of
from dataflow_operator.domain.errors import Failure, FailureClass, Reason
from dataflow_operator.domain.job import JobId, JobState, state_of
from dataflow_operator.domain.ledger import Attempt, Cause, Claim, End, Entry, Knowledge, StopMode, Strategy

_CAUSES: Final = words_of(Cause)
_STRATEGIES: Final = words_of(Strategy)
_STOPS: Final = words_of(StopMode)
_KNOWLEDGE: Final = words_of(Knowledge)
_ENDS: Final = words_of(End)
_REASONS: Final = words_of(Reason)
_CLASSES: Final = words_of(FailureClass)

EPOCH: Final = datetime.fromtimestamp(0, UTC)
"""Stands for a claim's time that cannot be read: it is for people only."""


def entry_of(raw: Json) -> Entry | None:
    """Return an entry, or None without a number.

    An unknown word never opens what was closed: an unknown stop is the gentlest one, an unknown cause is a recovery.
    """
    number = count(raw.get("number"))
    if number is None:
        return None
    stop = word(_STOPS, raw.get("stop"))
    return Entry(
        run=text(raw.get("run")) or "",
        number=number,
        digest=text(raw.get("digest")) or "",
        revision=count(raw.get("revision")) or 0,
        cause=word(_CAUSES, raw.get("cause")) or Cause.RECOVERY,
        strategy=word(_STRATEGIES, raw.get("strategy")),
        run_uid=text(raw.get("runUID")),
        sealed=raw.get("sealed") is True,
        stop=StopMode.DRAIN if stop is None and text(raw.get("stop")) else stop,
        stop_reason=text(raw.get("stopReason")),
        stop_time=moment(raw.get("stopTime")),
        asked=raw.get("asked") is True,
        has_overrides=raw.get("hasOverrides") is True,
        repeats=text(raw.get("repeats")),
        because=text(raw.get("because")),
        stable=raw.get("stable") is True,
        attempts=attempts_of(raw.get("attempts")),
        failures_before=count(raw.get("failuresBefore")) or 0,
    )


def entry_json(entry: Entry) -> dict[str, object]:
    """Return an entry as the status holds it."""
    return {"number": entry.number} | present(
        (
            ("run", entry.run),
            ("runUID", entry.run_uid),
            ("digest", entry.digest),
            ("revision", entry.revision or None),
            ("cause", entry.cause.value),
            ("strategy", entry.strategy and entry.strategy.value),
            ("sealed", entry.sealed or None),
            ("stop", entry.stop and entry.stop.value),
            ("stopReason", entry.stop_reason),
            ("stopTime", stamp(entry.stop_time)),
            ("asked", entry.asked or None),
            ("hasOverrides", entry.has_overrides or None),
            ("repeats", entry.repeats),
            ("because", entry.because),
            ("stable", entry.stable or None),
            ("attempts", [attempt_json(attempt) for attempt in entry.attempts]),
            ("failuresBefore", entry.failures_before or None),
        )
    )


def attempts_of(value: object) -> tuple[Attempt, ...]:
    """Return the attempts of a list, without those that have no number."""
    return tuple(attempt for raw in objects(value) if (attempt := _attempt_of(raw)) is not None)


def _attempt_of(raw: Json) -> Attempt | None:
    number = count(raw.get("number"))
    if number is None:
        return None
    claim, job_id, base, state = mapping(raw.get("claim")), text(raw.get("jobId")), text(raw.get("baseJobId")), text(raw.get("jobState"))
    return Attempt(
        number=number,
        job_name=text(raw.get("jobName")) or "",
        claim=Claim(time=moment(claim.get("time")) or EPOCH, nonce=text(claim.get("nonce")) or ""),
        base_job_id=JobId(base) if base else None,
        job_id=JobId(job_id) if job_id else None,
        known_by=word(_KNOWLEDGE, raw.get("knownBy")),
        job_state=state_of(state) if state else None,
        job_state_time=moment(raw.get("jobStateTime")),
        start_time=moment(raw.get("startTime")),
        end_time=moment(raw.get("endTime")),
        end=_end_of(raw.get("end")),
        options=counts(raw.get("options")),
        failure=_failure_of(raw.get("failure")),
    )


def _end_of(value: object) -> End | JobState | None:
    """Return how an attempt ended; one that ended by a word that is not known here has ended all the same."""
    end = text(value)
    return None if end is None else word(_ENDS, end) or state_of(end)


def attempt_json(attempt: Attempt) -> dict[str, object]:
    """Return an attempt as a status holds it."""
    return {"number": attempt.number} | present(
        (
            ("jobName", attempt.job_name),
            ("baseJobId", attempt.base_job_id),
            ("claim", present((("time", stamp(attempt.claim.time)), ("nonce", attempt.claim.nonce)))),
            ("jobId", attempt.job_id),
            ("knownBy", attempt.known_by and attempt.known_by.value),
            ("jobState", attempt.job_state and attempt.job_state.value),
            ("jobStateTime", stamp(attempt.job_state_time)),
            ("startTime", stamp(attempt.start_time)),
            ("endTime", stamp(attempt.end_time)),
            ("end", attempt.end and attempt.end.value),
            ("options", dict(attempt.options)),
            ("failure", _failure_json(attempt.failure)),
        )
    )


def _failure_of(value: object) -> Failure | None:
    raw = mapping(value)
    if not raw:
        return None
    return Failure(
        reason=word(_REASONS, raw.get("reason")) or Reason.UNKNOWN,
        kind=word(_CLASSES, raw.get("class")) or FailureClass.UNKNOWN,
        message=text(raw.get("message")) or "",
        retryable=raw.get("retryable") is True,
    )


def _failure_json(failure: Failure | None) -> dict[str, object]:
    if failure is None:
        return {}
    return {
        "reason": failure.reason.value,
        "class": failure.kind.value,
        "message": failure.message,
        "retryable": failure.retryable,
    }
