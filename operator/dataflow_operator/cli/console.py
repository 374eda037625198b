"""`kubectl dataflow open`: where the Google Cloud console shows the job, and there at once where there is a browser."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

from dataflow_operator.adapters.kubernetes.fields import mapping, text
from dataflow_operator.cli.reading import found
from dataflow_operator.cli.server import connected
from dataflow_operator.cli.terminal import Place, Streams, UndoneError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    name: str
    place: Place = field(default_factory=Place)
    prints_only: bool = False


def console(options: Options, streams: Streams) -> int:
    """Print the address, and open it where a person looks and a browser is; return the exit code. UndoneError: there is no job."""
    server = connected(options.place)
    subject = found(server, options.name)
    url = text(mapping(subject.raw.get("status")).get("consoleURL"))
    if url is None:
        see = f"kubectl dataflow status {subject.kind.short}/{subject.name} -n {subject.namespace}"
        raise UndoneError(f"{subject.kind.word} {subject.name} has no job yet", mend=(see,))
    streams.out.write(f"{url}\n")
    if not options.prints_only and streams.are_watched and _has_a_browser():
        import webbrowser  # noqa: PLC0415 # only where one may be

        webbrowser.open(url)
    return 0


def _has_a_browser() -> bool:
    """Whether a window can be opened: one that would take over the terminal is no help."""
    if "SSH_CONNECTION" in os.environ:
        return False
    return sys.platform in {"darwin", "win32"} or any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"))
