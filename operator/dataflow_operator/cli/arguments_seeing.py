"""The arguments of the verbs that show something: list, status, wait, logs, open, version, completion."""

from __future__ import annotations

from typing import Final

from dataflow_operator.cli.argument_parts import CHANGED, NAMESPACE, Commands, add_all, add_operator, add_place, command
from dataflow_operator.cli.terminal import Format

GOALS: Final = ("ready", "running", "succeeded", "suspended", "deleted")
"""What can be waited for: the words of `goals.Goal`, which costs a server's import."""

SHELLS: Final = ("bash", "zsh", "fish", "kubectl")

THING: Final = "name of a DataflowPipeline, else of a DataflowRun; dfp/NAME or dfr/NAME where both are called so"

LIST: Final = """\
List pipelines, one a line: how each is, since when and why, what runs, and what the operator says about it.

States: Running, Succeeded, Suspended, Stopped: as wanted. Working: something is under way. Waiting: something is wrong and may heal or is tried
again. Stalled: nothing will happen until somebody acts. Drifted: it runs, but not as it should. Deleting. Unseen: the operator has not
looked yet."""

LIST_EXIT: Final = """\
exit code:
  0   listed
  1   it cannot be; the reason is on stderr

examples:
  kubectl dataflow list
  kubectl dataflow list -A -o wide
  kubectl dataflow list --watch
  kubectl dataflow list -n team-a -l team=orders -o name"""

STATUS: Final = """\
Show a pipeline as a tree: its runs, their attempts and jobs, with the last errors, and what helps on.

Of a run's name only that run is drawn. Without a name: every pipeline of the namespace. Five runs and three attempts of each are drawn, and of
an error what it says, without its stack: --all, or -o wide, draws all there is."""

STATUS_EXIT: Final = """\
exit code:
  0   shown; with --watch: what was watched is gone
  1   it cannot be; the reason is on stderr
  130 --watch was ended by Ctrl-C

examples:
  kubectl dataflow status orders -n team-a
  kubectl dataflow status orders --watch
  kubectl dataflow status dfr/orders-7 -o json"""

WAIT: Final = """\
Wait until pipelines or runs are as wanted.

ready      the condition Ready is True, for the spec as it is now
running    the job runs
succeeded  the run of the spec as it is now, or the run that is named, has succeeded (Batch)
suspended  nothing runs any more, as was asked
deleted    it is gone

Unlike `kubectl wait` it ends at once when it can no longer come: the pipeline has stalled, the run has failed."""

WAIT_EXIT: Final = """\
exit code:
  0   all came to it
  1   one did not: it timed out, will not come to it, or is not there; how it is, is on stderr

examples:
  kubectl dataflow wait orders --for=ready --timeout=10m
  kubectl dataflow wait dfr/orders-7 --for=succeeded --timeout=2h
  kubectl dataflow wait --all --for=suspended"""

LOGS: Final = """\
Show what was told about a pipeline or a run, in the order of time: the operator's events and every attempt with how it ended.

The job's own messages and its workers' logs are with Google, who wants a credential: the gcloud commands that read them are printed on stderr."""

LOGS_EXIT: Final = """\
exit code:
  0   shown
  1   it cannot be; the reason is on stderr

examples:
  kubectl dataflow logs orders -n team-a
  kubectl dataflow logs dfr/orders-7 --tail 20
  kubectl dataflow logs orders --follow"""

OPEN: Final = """\
Print where the Google Cloud console shows the job of a pipeline or a run, and open it where a person looks on and a browser is."""

OPEN_EXIT: Final = """\
exit code:
  0   printed
  1   there is no job, or it cannot be asked

examples:
  kubectl dataflow open orders -n team-a
  kubectl dataflow open dfr/orders-7 --print"""

VERSION: Final = """\
Print the versions of the plugin, the operator, the API and the cluster, how many of the operator's pods are ready, and which of them acts."""

VERSION_EXIT: Final = """\
exit code:
  0   printed; what cannot be asked is said in its place
  1   there is no cluster

examples:
  kubectl dataflow version
  kubectl dataflow version --client -o json"""

COMPLETION: Final = """\
Print a script that completes commands, flags and names in a shell.

bash, zsh and fish are for `kubectl-dataflow` and whatever name you gave it. `kubectl dataflow` is completed by kubectl itself, which looks
for a program `kubectl_complete-dataflow` on PATH: it comes with the package, and `kubectl` prints it."""

COMPLETION_EXIT: Final = """\
exit code:
  0   printed

examples:
  source <(kubectl dataflow completion bash)
  kubectl dataflow completion zsh > "${fpath[1]}/_kubectl-dataflow"
  kubectl dataflow completion fish > ~/.config/fish/completions/kubectl-dataflow.fish
  kubectl dataflow completion kubectl > ~/bin/kubectl_complete-dataflow; chmod +x ~/bin/kubectl_complete-dataflow"""


def goal_of(word: str) -> str:
    """Return a goal by its own word or kubectl's: `delete`, `condition=Ready`."""
    name = word.lower().removeprefix("condition=").removesuffix("=true")
    return {"delete": "deleted"}.get(name, name)


def add_seeing(commands: Commands) -> None:
    """Add these verbs, the most used first."""
    _list(commands)
    _status(commands)
    _wait(commands)
    _logs(commands)
    _open(commands)


def add_own(commands: Commands) -> None:
    """Add what is about the plugin itself."""
    verb = command(commands, "version", "print the versions of plugin, operator and API", VERSION, VERSION_EXIT)
    verb.add_argument("--client", action="store_true", help="only that of the plugin; asks nobody")
    add_operator(verb)
    add_place(verb)
    verb = command(commands, "completion", "print a script that completes commands and names", COMPLETION, COMPLETION_EXIT)
    verb.add_argument("shell", choices=SHELLS, metavar="|".join(SHELLS), help="for which shell")


def _list(commands: Commands) -> None:
    verb = command(commands, "list", "list pipelines with what matters", LIST, LIST_EXIT)
    add_all(verb)
    verb.add_argument("-w", "--watch", action="store_true", help="show it anew whenever it changes")
    verb.add_argument("--no-headers", action="store_true", help="leave the titles of the columns out")
    add_place(verb, forms=tuple(Format))


def _status(commands: Commands) -> None:
    verb = command(commands, "status", "show a pipeline as a tree of runs, attempts and jobs", STATUS, STATUS_EXIT)
    verb.add_argument("name", nargs="*", metavar="NAME", help=THING)
    verb.add_argument("-w", "--watch", action="store_true", help="show it anew whenever it changes")
    verb.add_argument("--all", action="store_true", help="draw every run and attempt")
    add_all(verb)
    add_place(verb, forms=tuple(Format))


def _wait(commands: Commands) -> None:
    verb = command(commands, "wait", "wait until pipelines or runs are as wanted", WAIT, WAIT_EXIT)
    verb.add_argument("name", nargs="*", metavar="NAME", help=THING)
    verb.add_argument("--for", dest="goal", required=True, type=goal_of, choices=GOALS, help="what to wait for")
    verb.add_argument(
        "--timeout",
        default="30s",
        metavar="DURATION",
        help="such as 90s or 1h30m; 0 looks once, a negative one is without end; default: 30s",
    )
    verb.add_argument("--all", action="store_true", help="every pipeline of the namespace")
    verb.add_argument("-l", "--selector", metavar="LABELS", help="every pipeline with these labels")
    add_place(verb, forms=CHANGED)


def _logs(commands: Commands) -> None:
    verb = command(commands, "logs", "show what was told about a pipeline or a run", LOGS, LOGS_EXIT)
    verb.add_argument("name", metavar="NAME", help=THING)
    verb.add_argument("-f", "--follow", action="store_true", help="go on with what is told from now on")
    verb.add_argument("--tail", type=int, metavar="N", help="only what was told the last N times; default: all")
    add_place(verb, NAMESPACE)


def _open(commands: Commands) -> None:
    verb = command(commands, "open", "open the job in the Google Cloud console", OPEN, OPEN_EXIT)
    verb.add_argument("name", metavar="NAME", help=THING)
    verb.add_argument("--print", dest="prints_only", action="store_true", help="only print the address")
    add_place(verb, forms=())
