from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataflow_operator.domain.errors import FailureClass, Reason, RefusedError, UnavailableError
from dataflow_operator.domain.failures import MESSAGE_CHARACTERS, TROUBLES, failure_of_answer, failure_of_messages

SECOND_HAND = "A work item was attempted 4 times without success. Each time the worker eventually lost contact with the service."


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "(78f666ea16e50f79): Workflow failed. Causes: (0123456789abcdef): The new job is not compatible with 2026-11-25_1. The original job (if it existed) has not been aborted., The Coder or type for step S has changed.",
            Reason.UPDATE_FAILED,
        ),
        (
            "Workflow failed. Causes: Error: Message: Exceeded limit 'QUOTA_FOR_INSTANCES' on resource 'x-harness'. Limit: 8.0 HTTP Code: 403",
            Reason.WORKER_QUOTA_EXCEEDED,
        ),
        (
            "Startup of the worker pool in zone us-central1-f failed to bring up any of the desired 1 workers. QUOTA_EXCEEDED: Quota 'CPUS' exceeded. Limit: 8.0",
            Reason.WORKER_QUOTA_EXCEEDED,
        ),
        (
            "Startup of the worker pool in zone us-central1-f failed to bring up any of the desired 1 workers. ZONE_RESOURCE_POOL_EXHAUSTED: the zone does not have enough resources",
            Reason.RESOURCES_EXHAUSTED,
        ),
        (
            "Startup of the worker pool in zone us-central1-f failed to bring up any of the desired 1 workers. Please refer to the page on start-up failures.",
            Reason.WORKERS_NOT_STARTED,
        ),
        (
            "Failed to start the VM, launcher-1, used for launching because of status code: RESOURCE_EXHAUSTED, reason: [ZONE_RESOURCE_POOL_EXHAUSTED]",
            Reason.RESOURCES_EXHAUSTED,
        ),
        ("Failed to start the VM, launcher-1, used for launching because of status code: UNAVAILABLE", Reason.LAUNCHER_NOT_STARTED),
        ("Timeout in polling result file: gs://b/operation_result. Service account: x. Image URL: y.", Reason.LAUNCHER_NOT_STARTED),
        (
            "Failed to read the job file : gs://b/job_object with error message: (b728f225c9d413d5): Unable to open template file: gs://b",
            Reason.JOB_FILE_UNREADABLE,
        ),
        ("Error occurred in the launcher container: Template launch failed. See console logs.", Reason.LAUNCHER_FAILED),
        (
            "The workflow could not be created. Causes: Dataflow quota error for jobs-per-project quota. Project acme is running 299 jobs.",
            Reason.QUOTA_EXCEEDED,
        ),
        ("Dataflow API has not been used in project 123 before or it is disabled.", Reason.API_DISABLED),
        ("The worker VM had to shut down one or more processes due to lack of memory: out of memory", Reason.OUT_OF_MEMORY),
        ("java.lang.OutOfMemoryError: Java heap space\n\tat org.acme.Parse", Reason.OUT_OF_MEMORY),
        ("Traceback (most recent call last):\n  boom", Reason.USER_CODE_FAILED),
        ("java.lang.IllegalStateException: boom\n\tat org.acme.Parse.run(Parse.java:7)", Reason.USER_CODE_FAILED),
        ("workers@acme.example does not have storage.objects.list access to the bucket", Reason.WORKER_PERMISSION_DENIED),
        ("Current user cannot act as service account workers@acme.example", Reason.WORKER_PERMISSION_DENIED),
        ("Error: Invalid value for field 'resource.properties.networkInterfaces[0].subnetwork'", Reason.NETWORK_INVALID),
        (
            "Workflow failed. Causes: The Dataflow job appears to be stuck because no worker activity has been seen in the last 1h.",
            Reason.JOB_STUCK,
        ),
        (SECOND_HAND, Reason.WORKERS_LOST),
        ("Workflow failed. Causes: Internal Issue (b728f225c9d413d5): 82159483:17", Reason.SERVICE_FAILED),
        ("Root cause: SDK harness sdk-0-1 disconnected", Reason.WORKERS_LOST),
        (
            "The job failed because a work item has failed 4 times. Root cause: Timed out waiting for an update from the worker. See https://cloud.google.com/dataflow/docs/guides/specifying-networks#subnetwork",
            Reason.WORKERS_LOST,
        ),
        ("Workflow failed. Causes: Unable to bring up enough workers: minimum 1, actual 0.", Reason.WORKERS_NOT_STARTED),
        ("Some Cloud APIs need to be enabled for your project in order for Cloud Dataflow to run this job.", Reason.API_DISABLED),
        ("Traceback (most recent call last):\nTypeError: int64 is not compatible with string", Reason.USER_CODE_FAILED),
        ("Traceback (most recent call last):\n  boom\nKeyError: 'stockout'", Reason.USER_CODE_FAILED),
        ("Traceback (most recent call last):\n  boom\nValueError: quota_for_customer exceeded quota '7'", Reason.USER_CODE_FAILED),
        (
            "java.lang.IllegalStateException: quota exceeded: permission denied\n\tat org.acme.Parse.run(Parse.java:7)",
            Reason.USER_CODE_FAILED,
        ),
        ("Traceback (most recent call last):\n  boom\nPaymentError: the api is not enabled", Reason.USER_CODE_FAILED),
        ("KeyError: 'stockout' [while running 'Parse']", Reason.JOB_FAILED),
        ("ValueError: quota_for_customer is negative", Reason.JOB_FAILED),
        (
            "Workflow failed. Causes: Project acme has insufficient quota(s) to execute this workflow with 1 instances in region europe-west1.",
            Reason.WORKER_QUOTA_EXCEEDED,
        ),
        ("Something else", Reason.JOB_FAILED),
    ],
)
def test_a_recorded_text_tells_its_reason(text: str, reason: Reason) -> None:
    found = failure_of_messages([text])
    assert found is not None
    trouble = TROUBLES[reason]
    assert (found.reason, found.kind, found.retryable) == (reason, trouble.kind, trouble.retryable)
    assert "78f666ea16e50f79" not in found.message


@given(st.lists(st.text(max_size=3000), max_size=4))
def test_any_texts_tell_one_reason_of_the_table_or_nothing(texts: list[str]) -> None:
    found = failure_of_messages(texts)
    assert found is None or (found.reason in TROUBLES and len(found.message) <= MESSAGE_CHARACTERS and found.message)


@pytest.mark.parametrize("reason", TROUBLES)
def test_what_is_unavailable_may_be_tried_again_whatever_its_reason(reason: Reason) -> None:
    assert failure_of_answer(UnavailableError(reason, "later")).retryable
    assert failure_of_answer(RefusedError(reason, "no")).retryable is TROUBLES[reason].retryable


def test_a_traceback_says_more_than_what_follows_it() -> None:
    found = failure_of_messages(["Traceback: boom", SECOND_HAND, "Workflow failed."])
    assert found is not None
    assert found.message == "Traceback: boom"


@pytest.mark.parametrize("verdict", [SECOND_HAND, "The job failed because a work item has failed 4 times. Root cause: see the subnetwork."])
def test_a_last_word_that_only_points_elsewhere_does_not_count_before_a_traceback(verdict: str) -> None:
    found = failure_of_messages(["Traceback: boom", f"Workflow failed. Causes: {verdict}"])
    assert found is not None
    assert found.message == "Traceback: boom"


def test_a_last_word_that_names_a_cause_counts_before_the_errors_that_a_stream_outlived() -> None:
    found = failure_of_messages(["Traceback: bad row", "Workflow failed. Causes: Quota 'CPUS' exceeded. Limit: 8.0", "Traceback: bad row"])
    assert found is not None
    assert (found.reason, found.kind) == (Reason.WORKER_QUOTA_EXCEEDED, FailureClass.QUOTA)


def test_what_only_points_elsewhere_is_said_last() -> None:
    found = failure_of_messages(["The disk is full", SECOND_HAND])
    assert found is not None
    assert found.message == "The disk is full"


def test_of_equal_messages_the_newest_is_told() -> None:
    found = failure_of_messages(["first", "second"])
    assert found is not None
    assert found.message == "second"


def test_a_long_traceback_begins_with_what_it_comes_to_and_keeps_its_innermost_frame() -> None:
    found = failure_of_messages(["Traceback\n" + "frame\n" * 1000 + "innermost\nValueError: the cause"])
    assert found is not None
    assert len(found.message) <= MESSAGE_CHARACTERS
    assert found.message.startswith("ValueError: the cause\nTraceback")
    assert found.message.endswith("innermost")


@pytest.mark.parametrize("said", [[], [" "], ["(78f666ea16e50f79): "]])
def test_silence_is_no_reason(said: list[str]) -> None:
    assert failure_of_messages(said) is None
