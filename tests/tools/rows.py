"""Which row of the state tables an object is in, read from what the documentation lists for the row and from nothing else."""

from __future__ import annotations

from tests.tools.kstatus import Object, conditions_of
from tests.tools.states import Row

MISSING = frozenset({"DependencyNotReady", "ServiceAccountNotFound"})
"""Reasons that name something that may yet appear."""


def row_of(document: Object) -> Row:
    """Return the row that an object is in."""
    is_run = document["kind"] == "DataflowRun"
    if document["metadata"].get("deletionTimestamp"):
        return Row.RUN_DELETING if is_run else Row.DELETING
    if not list(conditions_of(document)):
        return Row.RUN_NOT_SEEN if is_run else Row.NOT_SEEN
    if document["status"]["observedGeneration"] != document["metadata"]["generation"]:
        return Row.CHANGED
    return _row_of_run(document) if is_run else _row_of_pipeline(document)


def _row_of_pipeline(document: Object) -> Row:
    known = {condition["type"]: condition for condition in conditions_of(document)}
    truth = {kind: condition["status"] for kind, condition in known.items()}
    match truth["Ready"], "Reconciling" in known, "Stalled" in known:
        case "Unknown", True, False:
            return Row.UNSEEN if known["Ready"]["reason"] == "Observing" else Row.WORKING
        case "False", True, False:
            return Row.MISSING if known["Ready"]["reason"] in MISSING else Row.RETRYING
        case "False", False, True:
            return Row.UPDATE_FAILED if truth.get("Available") == "True" else Row.STALLED
        case "True", False, False:
            return _row_when_ready(document, truth)
        case _:
            raise AssertionError(f"no row has Ready={truth['Ready']} beside {sorted(known)}")


def _row_when_ready(document: Object, truth: dict[str, str]) -> Row:
    if truth.get("Suspended") == "True":
        return Row.SUSPENDED
    if document["spec"]["type"] == "Streaming":
        assert truth["Available"] == "True"
        return Row.DRIFTED if truth.get("InSync") == "False" else Row.STREAMING
    return {"Unknown": Row.IN_FLIGHT, "True": Row.DONE, "False": Row.STOPPED}[truth["Succeeded"]]


def _row_of_run(document: Object) -> Row:
    truth = {condition["type"]: condition["status"] for condition in conditions_of(document)}
    match truth["Succeeded"], "Reconciling" in truth, "Stalled" in truth:
        case "Unknown", True, False:
            return Row.RUN_WORKING
        case "Unknown", False, False:
            return Row.RUN_STREAMS if document["status"]["resolvedSpec"]["type"] == "Streaming" else Row.RUN_IN_FLIGHT
        case "True", False, False:
            return Row.RUN_SUCCEEDED
        case "False", False, is_stalled:
            return Row.RUN_FAILED if is_stalled else Row.RUN_ENDED
        case _:
            raise AssertionError(f"no row has these conditions: {truth}")
