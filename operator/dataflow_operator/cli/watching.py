"""What `--watch` does: shows something anew whenever it changes, until it is gone or somebody interrupts."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from dataflow_operator.cli.server import ServerError
from dataflow_operator.cli.terminal import CLEAR, Streams, UndoneError

LOOK_SECONDS: Final = 2.0
"""Between two looks: a job's state changes in tens of seconds. Source: that of `watch`."""


def watched(look: Callable[[], tuple[str, object]], streams: Streams) -> int:
    """Write what *look* returns whenever it changes; return the exit code. Its second part is what counts as a change elsewhere than on a terminal."""
    before, known = "", object()
    while True:
        try:
            now, versions = look()
        except UndoneError as error:
            if not before or (isinstance(error, ServerError) and error.code is not None):
                raise
            streams.tell(error)
            if not isinstance(error, ServerError):
                return 0  # what was watched is gone
        else:
            if streams.are_watched:
                streams.out.write(f"{CLEAR}{now}")
            elif versions != known:
                # It is no news that a minute passed.
                streams.out.write(f"---\n{now}" if before else now)
            streams.out.flush()
            before, known = now or before, versions
        time.sleep(LOOK_SECONDS)
