"""What owners and the people around them do next."""

from __future__ import annotations

from typing import Final

from tests.simulation.owner import Act, Owner

ACTS: Final[tuple[Act, ...]] = (
    Owner.edit,
    Owner.edit,
    Owner.edit_amid_a_change,
    Owner.edit_and_go_back,
    Owner.suspend,
    Owner.suspend,
    Owner.flip,
    Owner.change_strategy,
    Owner.resize,
    Owner.change_a_policy,
    Owner.change_a_policy_amid_a_change,
    Owner.change_a_policy_after_a_stop,
    Owner.relabel,
    Owner.ask_for_a_look,
    Owner.delete,
    Owner.recreate,
    Owner.orphan,
    Owner.ask,
    Owner.tear,
    Owner.stop_run,
    Owner.touch,
    Owner.cancel_a_job,
    Owner.drain_a_job,
    Owner.resize_a_job,
    Owner.let_a_stranger_in,
)
"""What may happen next; those that stand here more often happen more often."""

CLONING: Final[tuple[Act, ...]] = (*ACTS, *[Owner.clone_a_job] * 6)
"""The same where somebody clones jobs."""

HANDING: Final[tuple[Act, ...]] = (*ACTS, *[Owner.hand_nothing_over] * 2, *[Owner.say_what_the_job_runs] * 3)
"""The same where a job that was launched by hand is handed over."""
