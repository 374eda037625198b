"""Times of a crash run: seconds where the operator's defaults are minutes, so that hundreds of deaths fit into a minute."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

CLAIM_LIFE_SECONDS: Final = 1.0
LAUNCH_SECONDS: Final = 1.5
CREDENTIAL_SECONDS: Final = 2.0
"""Life of a launch's credential: longer than the launch may take, so that some late launches are taken and some are refused."""
LIST_LAG_SECONDS: Final = 0.5
"""How old a list of jobs may be that the wire hands out."""
MARGIN_SECONDS: Final = 0.5

SETTLE_SECONDS: Final = CLAIM_LIFE_SECONDS + max(LAUNCH_SECONDS, CREDENTIAL_SECONDS) + LIST_LAG_SECONDS + MARGIN_SECONDS
"""The operator's settle time that follows from these: the least that it accepts."""

FLAGS: Final[Mapping[str, object]] = {
    "identity-mode": "emulator",
    "claim-life-seconds": CLAIM_LIFE_SECONDS,
    "launch-seconds": LAUNCH_SECONDS,
    "launch-credential-seconds": CREDENTIAL_SECONDS,
    "list-lag-seconds": LIST_LAG_SECONDS,
    "margin-seconds": MARGIN_SECONDS,
    "poll-seconds": 0.6,
    "hurried-poll-seconds": 0.3,
    "list-age-seconds": 3,
    "look-again-seconds": 1,
    "stop-again-seconds": 2,
    "late-reason-seconds": 2,
    "recheck-seconds": 3,
    "start-seconds": 8,
    "relist-seconds": 5,
    "http-bind": "127.0.0.1:0",
    "log-format": "text",
}
"""What an operator of a crash run is started with, beside where the API server and Dataflow are."""

LEASE_FLAGS: Final[Mapping[str, object]] = {
    "leader-election": "true",
    "lease-duration-seconds": 3,
    "renew-deadline-seconds": 2,
    "retry-period-seconds": 0.5,
}
"""What is added where one of two operators leads: the other takes over three seconds after the last sign of life."""

SPEED: Final = 43_200.0
"""How many times faster than life the emulator's long times pass: what is over is purged after a minute instead of thirty days."""

LATE_SECONDS: Final = CREDENTIAL_SECONDS + 1.5
"""How late a request arrives at most that the network held back."""

SILENCE_SECONDS: Final = 6.0
"""How long a caller hears nothing before its connection is cut: longer than it waits for anything."""

FREEZE_SECONDS: Final = (SETTLE_SECONDS + 0.5, SETTLE_SECONDS + 3.0)
"""How long an operator is stopped: always longer than the settle time."""

CUT_SECONDS: Final = (0.5, SETTLE_SECONDS + 2.0)
"""How long an operator is cut off."""

POINT_SECONDS: Final = 2.5
"""How long a named point is waited for; then as long for any write; then death comes at random."""

SHORT_LIFE_SECONDS: Final = (0.3, 3.0)
LONG_LIFE_SECONDS: Final = (SETTLE_SECONDS + 1.0, SETTLE_SECONDS + 4.0)
"""How long an operator lives that dies at random: a claim without an answer is settled only by one that lives longer than it takes."""

DEAD_ODDS: Final = 0.3
DEAD_SECONDS: Final = 2.0
"""How often a place stays empty after a death, and how long at most; else it is filled at once."""

PAUSE_SECONDS: Final = (0.1, 2.5)
"""How long an owner waits between two acts."""

ROUND_KILLS: Final = 100
"""After so many deaths all faults end, and everything has to come to rest."""

REST_SECONDS: Final = 90.0
"""The longest that it may take until everything is as it must be: the settle time, every deadline above, and busy processors. Source: chosen."""

QUIET_LOOKS: Final = 3
"""In so many looks in a row everything must be as it must be."""

LOOK_SECONDS: Final = 1.0
"""Between two looks."""

BEGIN_SECONDS: Final = 60.0
"""The longest that an operator may take from its start to its first request."""
