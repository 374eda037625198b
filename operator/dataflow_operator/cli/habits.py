"""What people type who know kubectl and its kin, and what it is here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

SYNONYMS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("get", "ls", "pipelines", "top"), "list"),
    **dict.fromkeys(("describe", "show", "tree", "stats", "get-status"), "status"),
    **dict.fromkeys(("log", "events", "messages", "history"), "logs"),
    **dict.fromkeys(("console", "dashboard", "ui", "url", "browse"), "open"),
    **dict.fromkeys(("start", "trigger", "submit", "create", "launch", "reconcile"), "run"),
    **dict.fromkeys(("retry", "resubmit", "rollback", "undo", "replay"), "rerun"),
    **dict.fromkeys(("cancel", "drain", "terminate", "kill", "delete", "abort"), "stop"),
    **dict.fromkeys(("pause", "disable", "hold"), "suspend"),
    **dict.fromkeys(("unsuspend", "unpause", "enable", "continue"), "resume"),
    **dict.fromkeys(("plan", "preview", "compare"), "diff"),
    **dict.fromkeys(("validate", "check", "verify"), "lint"),
    **dict.fromkeys(("debug", "diagnose", "auth", "can-i"), "doctor"),
    **dict.fromkeys(("bundle", "support", "dump", "support-bundle", "must-gather"), "report"),
}
"""What others call a verb. Source: the commands of kubectl, argo, flux, tkn and argocd."""

KUBECTLS: Final[Mapping[str, str]] = {
    "--sort-by": "kubectl get dfp --sort-by=…",
    "--field-selector": "kubectl get dfp --field-selector=…",
    "--show-labels": "kubectl get dfp --show-labels",
    "-L": "kubectl get dfp -L …",
    "--template": "kubectl get dfp -o go-template=…",
    "--output-watch-events": "kubectl get dfp --watch --output-watch-events",
    "--force": "kubectl delete dfp …",
    "--grace-period": "kubectl delete dfp …",
}
"""Flags that kubectl has and this plugin does not, and what does it: the objects are the cluster's, and kubectl reads them."""

FORMS: Final = (
    "jsonpath",
    "jsonpath-as-json",
    "jsonpath-file",
    "go-template",
    "go-template-file",
    "custom-columns",
    "custom-columns-file",
    "kyaml",
)
"""Forms of output that kubectl has and this plugin does not."""

PLACES: Final = frozenset({"-n", "--namespace", "--context", "--kubeconfig", "--as", "--as-group", "--request-timeout"})
"""Flags with a value that every verb has, and that may stand before it as well."""


def in_order(words: Sequence[str]) -> list[str]:
    """Return the words as the parser reads them: flags of the cluster that stand before the verb after it, and `help VERB` as `VERB --help`."""
    before, rest = list[str](), list(words)
    while rest and rest[0].startswith("-"):
        name, equals, _ = rest[0].partition("=")
        taken = 1 if equals or (name.startswith("-n") and len(name) > 2) else 2  # noqa: PLR2004 # -nteam-a
        if name not in PLACES and not (name.startswith("-n") and not name.startswith("--")):
            return list(words)
        before += rest[:taken]
        rest = rest[taken:]
    if not rest:
        return []
    if rest[0] == "help":
        return [*rest[1:2], "--help"]
    return [rest[0], *before, *rest[1:]]
