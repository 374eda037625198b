"""Manifests: from files, a folder or standard input to documents, read as kubectl reads them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TextIO, cast

import yaml

from dataflow_operator.adapters.kubernetes.fields import Json, items, mapping, text
from dataflow_operator.adapters.kubernetes.wire import GROUP

SUFFIXES: Final = frozenset({".yaml", ".yml", ".json"})
"""What is read of a folder, as kubectl does."""

STDIN: Final = "-"


class InputError(Exception):
    """The input cannot be read; the message says where and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One object of the input."""

    source: str
    raw: Json

    @property
    def kind(self) -> str:
        """The object's kind."""
        return text(self.raw.get("kind")) or "?"

    @property
    def name(self) -> str:
        """The object's name."""
        return text(mapping(self.raw.get("metadata")).get("name")) or "?"

    @property
    def namespace(self) -> str | None:
        """The namespace that the object names itself."""
        return text(mapping(self.raw.get("metadata")).get("namespace"))

    @property
    def version(self) -> str:
        """The object's apiVersion."""
        return text(self.raw.get("apiVersion")) or ""

    @property
    def is_a_pipeline(self) -> bool:
        """Whether it is ours, of whatever version."""
        return self.kind == "DataflowPipeline" and self.version.partition("/")[0] == GROUP


def manifests_of(filenames: Sequence[str], stdin: TextIO) -> list[Manifest]:
    """Return every object of the input in its order."""
    found = [manifest for name in filenames for source, content in _contents(name, stdin) for manifest in _objects(source, content)]
    if not found:
        raise InputError(f"no object found in {', '.join(filenames)}")
    return found


def _contents(name: str, stdin: TextIO) -> Iterator[tuple[str, str]]:
    if name == STDIN:
        yield "stdin", stdin.read()
        return
    path = Path(name)
    try:
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES and file.is_file()) if path.is_dir() else [path]
        for file in files:
            yield str(file), file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name} cannot be read: {error}") from error


def _objects(source: str, content: str) -> Iterator[Manifest]:
    try:
        documents: list[object] = [_plain(document) for document in yaml.load_all(content, Loader=_Loader)]
    except yaml.YAMLError as error:
        raise InputError(f"{source} is no YAML: {error}") from error
    for number, document in enumerate(documents, start=1):
        if document is None:
            continue
        raw = mapping(document)
        if not text(raw.get("kind")):
            raise InputError(f"{source}: document {number} is no object of Kubernetes: it has no kind")
        inner = items(raw.get("items")) if raw.get("kind") == "List" else [raw]
        yield from (Manifest(source=source, raw=mapping(each)) for each in inner)


def _plain(value: object) -> object:
    """Return a value of YAML as JSON has it: keys are texts."""
    if isinstance(value, dict):
        pairs = cast("dict[object, object]", value).items()
        return {key if isinstance(key, str) else json.dumps(key, default=str): _plain(item) for key, item in pairs}
    if isinstance(value, list):
        return [_plain(item) for item in items(cast("object", value))]
    return value


class _Loader(yaml.SafeLoader):
    """Reads YAML as kubectl does: y and n are booleans, a date and a time of day are texts."""


_SCALARS: Final = (
    ("bool", r"y|Y|yes|Yes|YES|n|N|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF", "yYnNtTfFoO"),
    ("int", r"[-+]?(0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|0|[1-9][0-9_]*)", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+0123456789."),
    ("merge", r"<<", "<"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
)
"""What a text without quotes may be instead, with the characters that it may begin with. Source: gopkg.in/yaml.v2, which kubectl uses."""


def _resolve_as_kubectl() -> None:
    loader: Any = _Loader  # its methods are not annotated
    loader.yaml_implicit_resolvers = {}
    for kind, pattern, first in _SCALARS:
        # An empty text begins with nothing, which the loader looks up as ''.
        begins = [char if char != "\0" else "" for char in first]
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{kind}", re.compile(f"^(?:{pattern})$"), begins)


_resolve_as_kubectl()
_Loader.bool_values = yaml.SafeLoader.bool_values | {"y": True, "n": False}
