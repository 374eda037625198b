"""Objects and texts without what only their owner should read: values of parameters, programs, people, and whatever looks like a secret."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, cast

from dataflow_operator.adapters.kubernetes.fields import Json, items, mapping, text
from dataflow_operator.cli.installation import PREFIX
from dataflow_operator.cli.quoted import Quoted
from dataflow_operator.cli.secrets import REDACTED, assigned_in, is_secret_by_name, without_assigned, without_random, without_secrets

CLOSED: Final = frozenset({"parameters", "jinjaVariables", "launchOptions", "additionalPipelineOptions"})
"""Members, wherever they are, whose values are not shown: what an owner puts into them can be anything."""

PROGRAM: Final = ("beamYaml", "pipeline")
"""The member that is a whole program."""

DROPPED: Final = frozenset({"managedFields", "kubectl.kubernetes.io/last-applied-configuration"})
"""Members that say again what was redacted elsewhere."""

KNOWN_ANNOTATIONS: Final = (
    "dataflow-operator.io/",
    "iam.gke.io/",
    "argocd.argoproj.io/",
    "kustomize.toolkit.fluxcd.io/",
    "helm.toolkit.fluxcd.io/",
    "meta.helm.sh/",
    "config.k8s.io/",
    "deployment.kubernetes.io/",
    "kubectl.kubernetes.io/restartedAt",
    "controller-gen.kubebuilder.io/",
    "api-approved.kubernetes.io",
)
"""How annotations begin that are shown: of the operator, of Google's identities, of what applies and rolls out. Any other can hold anything."""

SHOWN: Final = frozenset(
    {
        "name",
        "namespace",
        "project",
        "region",
        "zone",
        "type",
        "kind",
        "serviceAccountName",
        "containerSpecPath",
        "path",
        "jobName",
        "jobId",
    }
)
"""Members that are shown: where a parameter says the same, it is no secret."""

_MAIL: Final = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_MACHINES: Final = (".gserviceaccount.com",)
"""How addresses end that are nobody's."""

_USER: Final = re.compile(r'(?<=User ")(?!system:)[^"]+(?=")')
"""Who asked, as the API server says whom it refused."""


class Redaction:
    """What was found to be closed in some objects, and what is left of objects and texts without it."""

    def __init__(self, objects: Iterable[Json], *, shows_parameters: bool = False) -> None:
        self._shows = shows_parameters
        found = list(objects)
        leaves = [leaf for each in found for leaf in _leaves(each)]
        closed = [(path, value) for path, value in leaves if self._is_closed(path, value)]
        secrets = {value for path, value in leaves if _is_secret(path, value)}
        secrets |= {secret for _, value in closed for secret in assigned_in(value)}
        open_words = {value for path, value in leaves if path[-1:] and path[-1] in SHOWN and not CLOSED & set(path)}
        self._quoted = Quoted((value for _, value in closed), open_words=open_words - secrets, secrets=secrets)
        self._people: dict[str, str] = {}

    def text(self, text: str) -> str:
        """Return *text* without the values, without people, and without what looks like a secret."""
        left = without_random(without_assigned(without_secrets(self._quoted.without(text, REDACTED))))
        return _USER.sub(REDACTED, _MAIL.sub(self._person, left))

    def left_of(self, raw: Json) -> dict[str, object]:
        """Return an object without the values, with how long each was."""
        return cast("dict[str, object]", self._within(raw, ()))

    def _person(self, found: re.Match[str]) -> str:
        """Return a name for a person's address, the same for the same one."""
        if found[0].endswith(_MACHINES):
            return found[0]
        return self._people.setdefault(found[0].lower(), f"<person {len(self._people) + 1}>")

    def _within(self, value: object, path: tuple[str, ...]) -> object:
        if isinstance(value, dict):
            inside = mapping(cast("object", value))
            return {
                key: self._within(item, _below(inside, path, key, isinstance(item, str)))
                for key, item in inside.items()
                if key not in DROPPED
            }
        if isinstance(value, list):
            return [self._within(item, where) for where, item in _in_list(items(cast("object", value)), path)]
        if value is None or isinstance(value, bool):
            return value
        if self._is_closed(path, str(value)):
            return f"{REDACTED} ({len(str(value))} characters)"
        return self.text(value) if isinstance(value, str) else value

    def _is_closed(self, path: tuple[str, ...], value: str) -> bool:
        if _is_secret(path, value):
            return True
        if CLOSED & set(path) or path[-2:] == PROGRAM:
            return not self._shows
        return _is_foreign(path)


def _is_secret(path: tuple[str, ...], value: str) -> bool:
    """Whether a value is a secret by the name of its member."""
    return bool(path) and is_secret_by_name(path[-1], value)


def _is_foreign(path: tuple[str, ...]) -> bool:
    """Whether nobody knows what is there: annotations, variables and settings that are not ours."""
    if len(path) < 2:  # noqa: PLR2004 # a member of a member
        return False
    match path[-2]:
        case "annotations":
            return not path[-1].startswith(KNOWN_ANNOTATIONS)
        case "env" | "data" | "binaryData" | "stringData":
            return not path[-1].startswith(PREFIX)
        case _:
            return False


def _leaves(value: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield every value with where it is."""
    if isinstance(value, Mapping):
        inside = mapping(cast("object", value))
        for key, item in inside.items():
            if key not in DROPPED:
                yield from _leaves(item, _below(inside, path, key, isinstance(item, str)))
    elif isinstance(value, list):
        for where, item in _in_list(items(cast("object", value)), path):
            yield from _leaves(item, where)
    elif value is not None and not isinstance(value, bool):
        yield path, str(value)


def _below(inside: Json, path: tuple[str, ...], key: str, is_text: bool) -> tuple[str, ...]:  # noqa: FBT001 # what is there, no switch
    """Return where a member is; the value of an environment variable is under the variable's name."""
    name = text(inside.get("name"))
    return (*path, name) if key == "value" and name is not None and is_text else (*path, key)


def _in_list(found: list[object], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], object]]:
    """Yield what is in a list; what follows a flag in a command line is under the flag's name."""
    before = ""
    for item in found:
        is_flag = before.startswith("--") and "=" not in before
        yield (*path, before.removeprefix("--")) if is_flag and isinstance(item, str) and not item.startswith("--") else path, item
        before = item if isinstance(item, str) else ""
