"""The arguments of the verbs that change something: run, rerun, stop, suspend, resume."""

from __future__ import annotations

import argparse
from typing import Final

from dataflow_operator.cli.argument_parts import CHANGED, Commands, add_operator, add_patience, add_place, add_tried, command
from dataflow_operator.cli.arguments_seeing import THING

MODES: Final = ("Drain", "Cancel")
"""How a job is ended: the words of the API."""

MODE: Final = "Drain: finish what was read (streams); Cancel: end at once"

RUN: Final = """\
Run a pipeline once more: a DataflowRun is created, and the operator does the rest.

A batch pipeline runs again as it is, or with --param for parameters of its own, beside what runs. A stream that has stalled is tried again; one
whose job runs is not run twice. A run with parameters must name the ServiceAccount that it runs as: that of the pipeline is filled in."""

RUN_EXIT: Final = """\
exit code:
  0   created; with --wait: it has succeeded (Batch), or runs (Streaming)
  1   refused, or with --wait: it did not come to that

examples:
  kubectl dataflow run orders -n team-a
  kubectl dataflow run daily --param day=2026-01-31 --wait --timeout 2h
  kubectl dataflow run daily --param day=2026-01-31 --dry-run=server -o yaml"""

RERUN: Final = """\
Run again what an earlier run ran, whatever the pipeline says by now; of a stream, go back to it.

A stream's job is replaced by the pipeline's own strategy, and what is gone back to holds until the next change of what the spec runs."""

RERUN_EXIT: Final = """\
exit code:
  0   created; with --wait: it has succeeded (Batch), or runs (Streaming)
  1   refused, or with --wait: it did not come to that

examples:
  kubectl dataflow rerun orders-4 -n team-a
  kubectl dataflow rerun orders-4 --wait"""

STOP: Final = """\
Stop a run, or what runs of a pipeline.

A run is told to stop: a batch run is cancelled, a stream drained, unless --mode says otherwise; from Drain it can be raised to Cancel, and never
lowered. A pipeline of type Streaming is suspended, for it would start again; of one of type Batch every run that is not over is told to stop."""

STOP_EXIT: Final = """\
exit code:
  0   told to stop
  1   one could not be; the reason is on stderr

examples:
  kubectl dataflow stop orders-7 -n team-a
  kubectl dataflow stop dfp/orders --mode Cancel
  kubectl dataflow stop daily && kubectl dataflow wait daily --for=ready"""

SUSPEND: Final = """\
Suspend pipelines: a stream's job is stopped and stays stopped, of a batch pipeline no new run starts and what runs goes on.

What Git keeps is to be changed there, too, or it is set back: that is said where it can be seen."""

RESUME: Final = """\
Resume pipelines that are suspended: a stream starts again with a new run; a batch pipeline starts one if it changed meanwhile.

What Git keeps is to be changed there, too, or it is set back: that is said where it can be seen."""

SWITCH_EXIT: Final = """\
exit code:
  0   done, or it was so already
  1   one could not be; the reason is on stderr

examples:
  kubectl dataflow {} orders -n team-a
  kubectl dataflow {} orders payments --dry-run=server
  kubectl dataflow {} -l team=orders"""


def add_changing(commands: Commands) -> None:
    """Add these verbs."""
    _run(commands)
    _rerun(commands)
    _stop(commands)
    verb = _switch(commands, "suspend", "stop pipelines and keep them stopped", SUSPEND)
    verb.add_argument("--mode", choices=MODES, help=f"{MODE}; sets spec.stopPolicy; default: as it is")
    _switch(commands, "resume", "let suspended pipelines go on", RESUME)


def _run(commands: Commands) -> None:
    verb = command(commands, "run", "run a pipeline once more", RUN, RUN_EXIT)
    verb.add_argument("pipeline", metavar="PIPELINE", help="name of a DataflowPipeline")
    verb.add_argument("--param", action="append", default=[], metavar="KEY=VALUE", help="a parameter of this run's own; may be repeated")
    verb.add_argument("--service-account", metavar="NAME", help="as whom it runs; default with --param: the pipeline's")
    _named(verb)
    add_operator(verb)


def _rerun(commands: Commands) -> None:
    verb = command(commands, "rerun", "run again what an earlier run ran", RERUN, RERUN_EXIT)
    verb.add_argument("run", metavar="RUN", help="name of a DataflowRun")
    _named(verb)


def _named(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--name", help="of the new run; default: made of the pipeline's")
    add_patience(verb, "wait until it has succeeded (Batch) or runs (Streaming)")
    add_tried(verb)
    add_place(verb, forms=CHANGED)


def _stop(commands: Commands) -> None:
    verb = command(commands, "stop", "stop a run, or what runs of a pipeline", STOP, STOP_EXIT)
    verb.add_argument("name", nargs="+", metavar="NAME", help=THING)
    verb.add_argument("--mode", choices=MODES, help=f"{MODE}; default: Drain for a stream, else Cancel")
    add_tried(verb)
    add_place(verb, forms=CHANGED)


def _switch(commands: Commands, name: str, short: str, long: str) -> argparse.ArgumentParser:
    verb = command(commands, name, short, long, SWITCH_EXIT.format(name, name, name))
    verb.add_argument("pipeline", nargs="*", metavar="PIPELINE", help="name of a DataflowPipeline")
    verb.add_argument("--all", action="store_true", help="every pipeline of the namespace")
    verb.add_argument("-l", "--selector", metavar="LABELS", help="every pipeline with these labels")
    add_tried(verb)
    add_place(verb, forms=CHANGED)
    return verb
