"""What becomes of the runs of a stream when a newer one is allocated."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from dataflow_operator.domain.ledger import Entry, Ledger, StopMode, Strategy, serving_in, updated_in
from dataflow_operator.domain.pipeline.world import World

NEWER: Final = "a newer revision takes over"
UNPROVEN: Final = "a newer revision takes over before this one had earned its place"


def superseded(world: World) -> tuple[Entry, ...]:
    """Return the ledger with every entry sealed, and marked to stop where the strategy says so, or where it serves nothing."""
    keeps = serving_in(world.ledger)
    return tuple(_superseded(world, replace(entry, sealed=True), keeps) for entry in world.ledger)


def _superseded(world: World, entry: Entry, keeps: Entry | None) -> Entry:
    match world.spec.strategy:
        case Strategy.DRAIN:
            return entry.marked(StopMode.DRAIN, NEWER, world.seen.now)
        case Strategy.CANCEL:
            return entry.marked(StopMode.CANCEL, NEWER, world.seen.now)
        case Strategy.UPDATE | Strategy.PARALLEL:
            is_kept = keeps is not None and entry.number == keeps.number
            return (
                entry if is_kept or not _gives_way(world.ledger, entry, keeps) else entry.marked(StopMode.DRAIN, UNPROVEN, world.seen.now)
            )


def _gives_way(ledger: Ledger, entry: Entry, keeps: Entry | None) -> bool:
    """Whether a run ends for the newer one because another serves while it is on trial.

    An update whose new job waits is let come to its end first: Dataflow may be handing over the old job's state. One that has begun has ended the
    old job. A job that waits and beside which nothing serves gives way once a fresh read shows that it still does: `mark.mark`.
    """
    updated = updated_in(ledger)
    jobs = [attempt for attempt in entry.attempts if attempt.is_open and attempt.job_id not in updated]
    is_handing_over = any(attempt.base_job_id is not None and attempt.start_time is None for attempt in jobs)
    return bool(jobs) and not is_handing_over and keeps is not None
