"""`kubectl dataflow lint`: what is wrong with manifests, as far as it can be known without a cluster."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, items, mapping, text, texts
from dataflow_operator.adapters.kubernetes.spec import spec_of
from dataflow_operator.adapters.kubernetes.wire import GROUP
from dataflow_operator.cli.manifests import InputError, Manifest, manifests_of
from dataflow_operator.cli.objects import data_of
from dataflow_operator.cli.schema import Flaw, flaws_of, without_nulls
from dataflow_operator.cli.secrets import is_secret_by_name, shapes_in
from dataflow_operator.cli.terminal import BOLD, CANNOT_SAY, FAILED, FAINT, GREEN, RED, WIDTH, YELLOW, Format, Streams, painted
from dataflow_operator.domain.errors import OutsideError
from dataflow_operator.domain.pipeline.model import Broken
from dataflow_operator.domain.pipeline.reach import Reach, changes

OURS: Final = frozenset({"DataflowPipeline", "DataflowRun"})

ONLY_THE_SERVER: Final = (
    "what only the API server can say: whether you may use the ServiceAccount, what the cluster's policies have against it, and what changes "
    "of the live object (`kubectl dataflow diff -f`); what only Dataflow can say: whether the template is there and takes these parameters"
)
"""What a person must not take for checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a person asks for."""

    filenames: tuple[str, ...]
    against: tuple[str, ...] = ()
    """What the manifests were before."""
    output: Format = Format.TEXT
    is_strict: bool = False
    """True: a warning counts as an error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is to be said of one object."""

    manifest: Manifest
    flaws: tuple[Flaw, ...] = ()
    happens: tuple[str, ...] = field(default=())
    """What the changes since before would bring about."""

    @property
    def full_name(self) -> str:
        """Return where the object is, and what it is called."""
        return f"{self.manifest.source}: {self.manifest.kind} {self.manifest.name}"


def lint(options: Options, streams: Streams) -> int:
    """Write what is wrong; return the exit code: 0 nothing, 1 something, 2 the input cannot be read."""
    try:
        found = manifests_of(options.filenames, streams.stdin)
        before = {each.name: each for each in manifests_of(options.against, streams.stdin) if _is_ours(each)} if options.against else {}
    except InputError as error:
        streams.err.write(f"error: {error}\n")
        return CANNOT_SAY
    findings = [_finding_of(each, before.get(each.name), has_before=bool(options.against)) for each in found if _is_ours(each)]
    skipped = [each for each in found if not _is_ours(each)]
    if options.output.is_data:
        streams.out.write(data_of(_data(findings, skipped), options.output))
    else:
        streams.out.writelines(f"{line}\n" for line in _lines(findings, streams.width or WIDTH, in_colour=streams.are_in_colour))
        streams.err.writelines(f"skipped: {each.kind} {each.name} ({each.source}): no object of {GROUP}\n" for each in skipped)
    counted = [flaw for finding in findings for flaw in finding.flaws if options.is_strict or not flaw.is_warning]
    return FAILED if counted else 0


def _is_ours(manifest: Manifest) -> bool:
    return manifest.kind in OURS and manifest.version.partition("/")[0] == GROUP


def _finding_of(manifest: Manifest, before: Manifest | None, *, has_before: bool) -> Finding:
    flaws = [*flaws_of(manifest.raw, before.raw if before is not None else None), *_secrets(manifest.raw)]
    happens = tuple[str, ...]()
    if manifest.is_a_pipeline and not any(not flaw.is_warning for flaw in flaws):
        flaws += _unlaunchable(manifest.raw)
        if has_before:
            happens = tuple(_happening(manifest.raw, before.raw if before is not None else None))
    unique = dict.fromkeys(sorted(flaws, key=lambda flaw: (flaw.is_warning, flaw.path)))
    return Finding(manifest=manifest, flaws=tuple(unique), happens=happens)


def _secrets(raw: Json) -> Iterator[Flaw]:
    """Yield what looks like a secret where everybody who may read the object, or the job in the console, reads it."""
    spec = mapping(raw.get("spec"))
    template = mapping(spec.get("template"))
    yaml, flex = mapping(template.get("beamYaml")), mapping(template.get("flex"))
    named = {
        **{f"spec.parameters.{key}": (key, value) for key, value in texts(spec.get("parameters")).items()},
        **{f"spec.jobLabels.{key}": (key, value) for key, value in texts(spec.get("jobLabels")).items()},
        **{f"spec.template.beamYaml.jinjaVariables.{key}": (key, value) for key, value in texts(yaml.get("jinjaVariables")).items()},
        **{f"spec.template.flex.launchOptions.{key}": (key, value) for key, value in texts(flex.get("launchOptions")).items()},
    }
    options = items(mapping(spec.get("environment")).get("additionalPipelineOptions"))
    plain = {f"spec.environment.additionalPipelineOptions[{at}]": str(value) for at, value in enumerate(options)}
    plain["spec.template.beamYaml.pipeline"] = text(yaml.get("pipeline")) or ""
    instead = "keep it in Secret Manager, and give its name"
    for path, (name, value) in named.items():
        shapes = list(shapes_in(value))
        yield from (
            Flaw(path=path, text=f"has {shape} in it, and everybody who sees the object or its job reads it: {instead}") for shape in shapes
        )
        if not shapes and is_secret_by_name(name, value):
            yield Flaw(
                path=path,
                text=f"is called like a secret, and everybody who sees the object or its job reads it: {instead}",
                is_warning=True,
            )
    for path, value in plain.items():
        yield from (Flaw(path=path, text=f"has {shape} in it: {instead}") for shape in shapes_in(value))


def _unlaunchable(raw: Json) -> Iterator[Flaw]:
    """Yield why no launch could be written from the spec, as the operator would write it."""
    spec = spec_of(without_nulls(raw.get("spec")))
    if isinstance(spec, Broken):
        yield Flaw(path="spec", text=spec.message)
        return
    from dataflow_operator.cli.launch import launch_of  # noqa: PLC0415 # Dataflow's messages cost a second, and what is wrong needs none

    try:
        launch_of(spec, is_update=False)
    except OutsideError as error:
        yield Flaw(path="spec", text=error.message)
    except (TypeError, ValueError) as error:
        yield Flaw(path="spec", text=f"the launch cannot be written as Dataflow's message: {error}")


def _happening(raw: Json, before: Json | None) -> Iterator[str]:
    """Yield what each change since before would bring about."""
    if before is None:
        yield "new: it was not there before"
        return
    old, new = spec_of(without_nulls(before.get("spec"))), spec_of(without_nulls(raw.get("spec")))
    if isinstance(old, Broken) or isinstance(new, Broken):
        return
    for change in changes(old, new):
        shown = f"{'(not set)' if change.old is None else change.old} → {'(not set)' if change.new is None else change.new}"
        yield f"{change.path}: {shown}: {change.reach if change.reach is not Reach.NOTHING else 'nothing is started'}, {change.why}"


def _lines(findings: Sequence[Finding], width: int, *, in_colour: bool) -> Iterator[str]:
    for finding in findings:
        errors = [flaw for flaw in finding.flaws if not flaw.is_warning]
        mark, colour = ("✗", RED) if errors else ("!", YELLOW) if finding.flaws else ("✓", GREEN)
        yield f"{painted(mark, colour, in_colour=in_colour)} {painted(finding.full_name, BOLD, in_colour=in_colour)}"
        for flaw in finding.flaws:
            word, paint = ("warning: ", YELLOW) if flaw.is_warning else ("", RED)
            yield f"    {painted(flaw.path or 'the object', paint, in_colour=in_colour)}: {word}{flaw.text}"
        yield from (f"    {line}" for line in finding.happens)
    if findings:
        yield from (painted(line, FAINT, in_colour=in_colour) for line in textwrap.wrap(ONLY_THE_SERVER, width, break_on_hyphens=False))


def _data(findings: Sequence[Finding], skipped: Sequence[Manifest]) -> object:
    return {
        "objects": [
            {
                "source": finding.manifest.source,
                "kind": finding.manifest.kind,
                "name": finding.manifest.name,
                "errors": [{"path": flaw.path, "text": flaw.text} for flaw in finding.flaws if not flaw.is_warning],
                "warnings": [{"path": flaw.path, "text": flaw.text} for flaw in finding.flaws if flaw.is_warning],
                "changes": list(finding.happens),
            }
            for finding in findings
        ],
        "skipped": [f"{each.kind} {each.name} ({each.source})" for each in skipped],
        "notChecked": ONLY_THE_SERVER,
    }
