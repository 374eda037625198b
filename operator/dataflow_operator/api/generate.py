"""Writes `crds/` from the models, or with `--check` says whether what is there is equal."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from .definition import DEFINITIONS, definition_of

FOLDER = Path(__file__).resolve().parents[3] / "crds"
"""Where the definitions are kept: `crds/` of the checkout."""

SIZE_LIMIT = 256 * 1024
"""Bytes that a definition has at most: client-side apply keeps a second copy of it in an annotation of that size."""

HEAD = "# Generated from operator/dataflow_operator/api by `make generate`.\n"


def generated() -> dict[str, str]:
    """Return each file's name and text."""
    texts = {kind.plural: HEAD + yaml.safe_dump(definition_of(kind), sort_keys=True, width=140, allow_unicode=True) for kind in DEFINITIONS}
    for plural, text in texts.items():
        if len(text.encode()) >= SIZE_LIMIT:
            raise ValueError(
                f"{plural}: the definition has {len(text.encode())} bytes, more than the {SIZE_LIMIT} that client-side apply takes"
            )
    return {f"{plural}.yaml": text for plural, text in texts.items()}


def stale(folder: Path = FOLDER) -> list[str]:
    """Return the names of files that are not what the models say."""
    return [name for name, text in generated().items() if not (folder / name).exists() or (folder / name).read_text() != text]


def main(arguments: list[str] | None = None) -> int:
    """Write or compare; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dataflow_operator.api.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a file differs")
    names = stale()
    if parser.parse_args(arguments).check:
        for name in names:
            sys.stderr.write(f"crds/{name} is not what the models say: run `make generate`\n")
        return 1 if names else 0
    texts = generated()
    for name in names:
        (FOLDER / name).write_text(texts[name])
        sys.stdout.write(f"wrote crds/{name}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
