"""What went wrong, in the words of a job message."""

from __future__ import annotations

import threading
import traceback
from typing import Any

from apache_beam.runners.worker import sdk_worker

CHAIN = "During handling of the above exception, another exception occurred"
"""Where Beam's own wrapping of an exception begins in a traceback."""

TEXT_LIMIT = 8_000
"""Longest text of a failure in characters: a Beam traceback has 3 to 4 thousand."""

_first: list[BaseException] = []
_lock = threading.Lock()


def install() -> None:
    """Remember the first exception of a bundle: it is here before the runner reports it, and unabridged."""
    process_bundle = sdk_worker.SdkWorker.process_bundle

    def watched(self: Any, request: Any, instruction_id: str) -> Any:
        try:
            return process_bundle(self, request, instruction_id)
        except Exception as error:
            with _lock:
                _first.append(error)
                del _first[1:]
            raise

    sdk_worker.SdkWorker.process_bundle = watched


def told(error: BaseException) -> dict[str, str]:
    """The failure as an event's content: the user's traceback, and its last line as the cause.

    What a bundle raised says more than what the runner made of it.
    """
    with _lock:
        error = _first[0] if _first else error
    text = "".join(traceback.format_exception(error)).strip()
    cause = text.rsplit("\n", 1)[-1] if _first else "".join(traceback.format_exception_only(error)).strip()
    if CHAIN in text:
        # Beam repeats the exception with the step's name: that line replaces the one without.
        text = f"{text.split(CHAIN, 1)[0].strip().rpartition(chr(10))[0]}\n{cause}"
    return {"cause": cause[-TEXT_LIMIT:], "traceback": text[-TEXT_LIMIT:]}
