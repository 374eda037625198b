from __future__ import annotations

import pytest

from dataflow_operator.adapters.dataflow.failure import MESSAGE_CHARACTERS, failure_of
from dataflow_operator.domain.errors import FailureClass, Reason

SECOND_HAND = "A work item was attempted 4 times without success. Each time the worker eventually lost contact with the service."


@pytest.mark.parametrize(
    ("text", "kind", "reason", "retryable"),
    [
        (
            "(78f666ea16e50f79): Workflow failed. Causes: (0123456789abcdef): The new job is not compatible with 2026-11-25_1. The original job (if it existed) has not been aborted., The Coder or type for step S has changed.",
            FailureClass.UPDATE_INCOMPATIBLE,
            Reason.UPDATE_FAILED,
            False,
        ),
        (
            "Workflow failed. Causes: Error: Message: Exceeded limit 'QUOTA_FOR_INSTANCES' on resource 'x-harness'. Limit: 8.0 HTTP Code: 403",
            FailureClass.QUOTA,
            Reason.QUOTA_EXCEEDED,
            True,
        ),
        (
            "Failed to start the VM, launcher-1, used for launching because of status code: RESOURCE_EXHAUSTED, reason: [ZONE_RESOURCE_POOL_EXHAUSTED]",
            FailureClass.QUOTA,
            Reason.QUOTA_EXCEEDED,
            True,
        ),
        ("Timeout in polling result file: gs://b/operation_result.", FailureClass.INFRASTRUCTURE, Reason.JOB_FAILED, True),
        ("Workflow failed. Causes: The Dataflow job appears to be stuck", FailureClass.INFRASTRUCTURE, Reason.JOB_FAILED, True),
        (SECOND_HAND, FailureClass.INFRASTRUCTURE, Reason.JOB_FAILED, True),
        ("Traceback (most recent call last):\n  boom", FailureClass.USER_CODE, Reason.JOB_FAILED, True),
        ("Something else", FailureClass.UNKNOWN, Reason.JOB_FAILED, True),
    ],
)
def test_a_recorded_text_is_of_its_kind(text: str, kind: FailureClass, reason: Reason, *, retryable: bool) -> None:
    failure = failure_of([text])
    assert failure is not None
    assert (failure.kind, failure.reason, failure.retryable) == (kind, reason, retryable)
    assert "78f666ea16e50f79" not in failure.message


def test_a_traceback_says_more_than_what_follows_it() -> None:
    failure = failure_of(["Traceback: boom", SECOND_HAND, "Workflow failed."])
    assert failure is not None
    assert failure.message == "Traceback: boom"


def test_what_only_points_elsewhere_is_said_last() -> None:
    failure = failure_of(["The disk is full", SECOND_HAND])
    assert failure is not None
    assert failure.message == "The disk is full"


def test_of_equal_messages_the_newest_is_told() -> None:
    failure = failure_of(["first", "second"])
    assert failure is not None
    assert failure.message == "second"


def test_a_long_traceback_begins_with_what_it_comes_to_and_keeps_its_innermost_frame() -> None:
    failure = failure_of(["Traceback\n" + "frame\n" * 1000 + "innermost\nValueError: the cause"])
    assert failure is not None
    assert len(failure.message) <= MESSAGE_CHARACTERS
    assert failure.message.startswith("ValueError: the cause\nTraceback")
    assert failure.message.endswith("innermost")


@pytest.mark.parametrize("said", [[], [" "], ["(78f666ea16e50f79): "]])
def test_silence_is_no_reason(said: list[str]) -> None:
    assert failure_of(said) is None
