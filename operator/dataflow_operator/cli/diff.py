"""`kubectl dataflow diff`: what applying manifests would bring about."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dataflow_operator.adapters.kubernetes.spec import spec_of
from dataflow_operator.adapters.kubernetes.wire import pipeline_of
from dataflow_operator.cli.manifests import InputError, Manifest, manifests_of
from dataflow_operator.cli.objects import data_of
from dataflow_operator.cli.outlook import OUR_WARNING, outlook_of
from dataflow_operator.cli.show import Report, data_on, text_of
from dataflow_operator.cli.terminal import CANNOT_SAY, Format, Place, Streams
from dataflow_operator.domain.errors import OutsideError
from dataflow_operator.domain.pipeline.model import Broken
from dataflow_operator.domain.pipeline.reach import changes

if TYPE_CHECKING:
    from dataflow_operator.cli.server import Server, Tried

NOTHING_HAPPENS: Final = 0
SOMETHING_HAPPENS: Final = 1
"""Exit codes, as those of `kubectl diff`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    filenames: tuple[str, ...]
    place: Place = field(default_factory=Place)
    output: Format = Format.TEXT


class _CannotSayError(Exception):
    """Nothing can be said of one pipeline; one line for each cause."""


def diff(options: Options, streams: Streams) -> int:
    """Write what would happen; return the exit code."""
    reports, errors, skipped = list[Report](), list[str](), list[str]()
    try:
        found = manifests_of(options.filenames, streams.stdin)
    except InputError as error:
        found = []
        errors.append(str(error))
    skipped += [f"{each.kind} {each.name} ({each.source})" for each in found if not each.is_a_pipeline]
    ours = [each for each in found if each.is_a_pipeline]
    if ours:
        _report_on(ours, options, reports, errors)
    for skip in skipped:
        streams.err.write(f"skipped: {skip}: not a DataflowPipeline\n")
    is_data = options.output.is_data
    streams.out.write(
        data_of(data_on(reports, skipped, errors), options.output) if is_data else text_of(reports, in_colour=streams.are_in_colour)
    )
    for line in errors:
        streams.err.write(f"error: {line}\n")
    if errors:
        return CANNOT_SAY
    return SOMETHING_HAPPENS if any(report.outlook.happens for report in reports) else NOTHING_HAPPENS


def _report_on(ours: list[Manifest], options: Options, reports: list[Report], errors: list[str]) -> None:
    """Add a report on each pipeline, or why there is none: what is wrong with one is not in the way of the others."""
    from dataflow_operator.cli.server import ServerError, connected  # noqa: PLC0415 # a second, which --help does without

    try:
        server = connected(options.place)
    except ServerError as error:
        errors += error.lines
        return
    for manifest in ours:
        try:
            reports.append(_report_of(manifest, server, options.place.namespace))
        except ServerError as error:
            errors += [f"{manifest.source}: {manifest.name}: {line}" for line in error.lines]
        except _CannotSayError as error:
            errors.append(f"{manifest.source}: {manifest.name}: {error}")


def _report_of(manifest: Manifest, server: Server, wanted: str | None) -> Report:
    if wanted is not None and manifest.namespace not in {None, wanted}:
        raise _CannotSayError(f"it is for namespace {manifest.namespace!r}, not {wanted!r}")
    namespace = manifest.namespace or wanted or server.namespace
    return report_of(manifest.name, namespace, server.tried(manifest, namespace))


def report_of(name: str, namespace: str, tried: Tried) -> Report:
    """Return what is to be said of a pipeline that was tried out."""
    live, new = pipeline_of(tried.live) if tried.live is not None else None, spec_of(tried.merged.get("spec"))
    if isinstance(new, Broken):
        raise _CannotSayError(new.message)
    if live is not None and isinstance(live.spec, Broken):
        raise _CannotSayError(f"the stored spec cannot be compared: {live.spec.message}")
    found = changes(live.spec, new) if live is not None and not isinstance(live.spec, Broken) else ()
    outlook = outlook_of(name, live, new, found)
    launch = None
    if outlook.launches:
        from dataflow_operator.cli.launch import launch_of  # noqa: PLC0415 # Dataflow's messages cost a second where nothing is launched

        try:
            launch = launch_of(new, is_update=outlook.updates)
        except (OutsideError, TypeError, ValueError) as error:
            raise _CannotSayError(f"the launch cannot be written as Dataflow's message: {error}") from error
    warnings = tuple(warning for warning in tried.warnings if OUR_WARNING not in warning)
    return Report(namespace=namespace, name=name, changes=found, outlook=outlook, launch=launch, warnings=warnings)
