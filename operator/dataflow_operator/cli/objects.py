"""Objects of the API server as programs read them: JSON, YAML, and names."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from dataflow_operator.adapters.kubernetes.fields import Json, mapping, text
from dataflow_operator.cli.terminal import Format

NOISE: Final = frozenset({"managedFields"})
"""Members of metadata that kubectl shows nobody who does not ask."""


def data_of(value: object, output: Format) -> str:
    """Return a value as JSON, or as YAML."""
    if output is Format.JSON:
        return json.dumps(value, indent=4, ensure_ascii=False) + "\n"
    import yaml  # noqa: PLC0415 # JSON does without

    # By the C library where there is one: of some hundred objects that is seconds.
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    written: str = yaml.dump(json.loads(json.dumps(value)), Dumper=dumper, sort_keys=False, allow_unicode=True, width=2**20)
    return written


def objects_as(found: Sequence[Json], output: Format, *, is_list: bool) -> str:
    """Return objects as data, or their names; one object alone stands for itself unless *is_list*."""
    if output is Format.NAME:
        return "".join(f"{full_name_of(each)}\n" for each in found)
    shown = [quiet(each) for each in found]
    whole: object = {"apiVersion": "v1", "kind": "List", "items": shown} if is_list else shown[0]
    return data_of(whole, output)


def quiet(raw: Json) -> dict[str, object]:
    """Return an object without what only the API server's bookkeeping is about."""
    metadata = {key: value for key, value in mapping(raw.get("metadata")).items() if key not in NOISE}
    return {**raw, "metadata": metadata}


def name_of(raw: Json) -> str:
    """Return the object's own name."""
    return text(mapping(raw.get("metadata")).get("name")) or "?"


def full_name_of(raw: Json) -> str:
    """Return what `kubectl -o name` calls an object of ours."""
    group = (text(raw.get("apiVersion")) or "").partition("/")[0]
    return f"{(text(raw.get('kind')) or '?').lower()}.{group}/{name_of(raw)}"
