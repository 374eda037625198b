"""What each command does with its arguments. Each imports what it needs: the others start without it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from dataflow_operator.cli.argument_parts import place_of
from dataflow_operator.cli.terminal import CANNOT_SAY, FAILED, Streams

if TYPE_CHECKING:
    from dataflow_operator.cli.asking import Patience
    from dataflow_operator.cli.changing import Changing
    from dataflow_operator.cli.whom import Question


@dataclass(frozen=True, slots=True)
class Verb:
    """One command."""

    done: Callable[[argparse.Namespace, Streams], int]
    failure: int = FAILED
    """Exit code when it cannot be done."""


def _now() -> datetime:
    return datetime.now(UTC)


def _list(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.listing import Options, listing  # noqa: PLC0415

    options = Options(
        place=place_of(said),
        everywhere=said.all_namespaces,
        selector=said.selector,
        output=said.output,
        has_head=not said.no_headers,
        watches=said.watch,
    )
    return listing(options, streams, _now)


def _status(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.status import Options, status  # noqa: PLC0415

    options = Options(
        names=tuple(said.name),
        place=place_of(said),
        everywhere=said.all_namespaces,
        selector=said.selector,
        output=said.output,
        watches=said.watch,
        whole=said.all,
    )
    return status(options, streams, _now)


def _wait(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.goals import Goal  # noqa: PLC0415
    from dataflow_operator.cli.spans import duration_of  # noqa: PLC0415
    from dataflow_operator.cli.wait import Options, wait  # noqa: PLC0415

    options = Options(
        names=tuple(said.name),
        goal=Goal(said.goal),
        timeout=duration_of(said.timeout),
        place=place_of(said),
        selector=said.selector,
        all_of_them=said.all,
        output=said.output,
    )
    return wait(options, streams)


def _logs(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.logs import Options, logs  # noqa: PLC0415

    return logs(Options(name=said.name, place=place_of(said), output=said.output, follows=said.follow, tail=said.tail), streams)


def _open(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.console import Options, console  # noqa: PLC0415

    return console(Options(name=said.name, place=place_of(said), prints_only=said.prints_only), streams)


def _run(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.run import Options, parameters_of, run  # noqa: PLC0415

    options = Options(
        pipeline=said.pipeline,
        name=said.name,
        parameters=parameters_of(said.param),
        account=said.service_account,
        operator_namespace=said.operator_namespace,
        patience=_patience(said),
        changing=_changing(said),
    )
    return run(options, streams)


def _rerun(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.rerun import Options, rerun  # noqa: PLC0415

    return rerun(Options(run=said.run, name=said.name, patience=_patience(said), changing=_changing(said)), streams)


def _stop(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.stop import Options, stop  # noqa: PLC0415
    from dataflow_operator.domain.ledger import StopMode  # noqa: PLC0415

    return stop(Options(names=tuple(said.name), mode=StopMode(said.mode) if said.mode else None, changing=_changing(said)), streams)


def _switch(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.suspend import Options, suspend  # noqa: PLC0415
    from dataflow_operator.domain.ledger import StopMode  # noqa: PLC0415

    mode = getattr(said, "mode", None)
    options = Options(
        names=tuple(said.pipeline),
        suspends=said.command == "suspend",
        mode=StopMode(mode) if mode else None,
        selector=said.selector,
        all_of_them=said.all,
        changing=_changing(said),
    )
    return suspend(options, streams)


def _changing(said: argparse.Namespace) -> Changing:
    from dataflow_operator.cli.changing import Changing  # noqa: PLC0415

    return Changing(place=place_of(said), output=said.output, is_tried=said.dry_run == "server")


def _patience(said: argparse.Namespace) -> Patience:
    from dataflow_operator.cli.asking import Patience  # noqa: PLC0415
    from dataflow_operator.cli.spans import duration_of  # noqa: PLC0415

    return Patience(waits=said.wait, timeout=duration_of(said.timeout) or None)


def _diff(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.diff import Options, diff  # noqa: PLC0415

    return diff(Options(filenames=tuple(said.filename), place=place_of(said), output=said.output), streams)


def _lint(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.lint import Options, lint  # noqa: PLC0415

    options = Options(filenames=tuple(said.filename), against=tuple(said.against), output=said.output, is_strict=said.strict)
    return lint(options, streams)


def _grant(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.grant import Options, grant  # noqa: PLC0415

    options = Options(
        accounts=tuple(dict.fromkeys(said.account)),
        authors=tuple(dict.fromkeys(said.author)),
        google_account=said.google_account,
        place=place_of(said),
        operator_namespace=said.operator_namespace,
        output=said.output,
    )
    return grant(options, streams)


def _doctor(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.doctor import doctor  # noqa: PLC0415

    return doctor(_question(said), place_of(said), said.output, streams)


def _whoami(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.whoami import whoami  # noqa: PLC0415

    return whoami(_question(said), place_of(said), said.output, streams)


def _question(said: argparse.Namespace) -> Question:
    from dataflow_operator.cli.whom import Question  # noqa: PLC0415

    return Question(
        pipeline=said.pipeline,
        account=said.service_account,
        operator_namespace=said.operator_namespace,
        overrides=tuple(said.setting),
        author=getattr(said, "author", None),
        project=getattr(said, "project", None),
        region=getattr(said, "region", None),
    )


def _report(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.evidence import Asked  # noqa: PLC0415
    from dataflow_operator.cli.report import Options, report  # noqa: PLC0415

    asked = Asked(
        names=tuple(said.pipeline), everywhere=said.all_namespaces, selector=said.selector, operator_namespace=said.operator_namespace
    )
    options = Options(asked=asked, place=place_of(said), file=said.file, shows_parameters=said.with_parameters)
    return report(options, streams, _now())


def _version(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.version import Options, version  # noqa: PLC0415

    options = Options(place=place_of(said), operator_namespace=said.operator_namespace, output=said.output, plugin_only=said.client)
    return version(options, streams)


def _completion(said: argparse.Namespace, streams: Streams) -> int:
    from dataflow_operator.cli.shells import script_of  # noqa: PLC0415

    streams.out.write(script_of(said.shell))
    return 0


VERBS: Final[Mapping[str, Verb]] = {
    "list": Verb(_list),
    "status": Verb(_status),
    "wait": Verb(_wait),
    "logs": Verb(_logs),
    "open": Verb(_open),
    "run": Verb(_run),
    "rerun": Verb(_rerun),
    "stop": Verb(_stop),
    "suspend": Verb(_switch),
    "resume": Verb(_switch),
    "diff": Verb(_diff, CANNOT_SAY),
    "lint": Verb(_lint, CANNOT_SAY),
    "doctor": Verb(_doctor, CANNOT_SAY),
    "whoami": Verb(_whoami, CANNOT_SAY),
    "grant": Verb(_grant, CANNOT_SAY),
    "report": Verb(_report),
    "version": Verb(_version),
    "completion": Verb(_completion),
}
"""By the command's name."""
