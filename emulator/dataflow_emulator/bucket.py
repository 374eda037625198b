"""The bucket root: `gs://bucket/object` is the file `<root>/bucket/object`; templates are read from it."""

from __future__ import annotations

import json
import re
import shutil
from importlib import resources
from pathlib import Path
from typing import Final, cast

from dataflow_emulator.ids import Ids
from dataflow_emulator.refusals import invalid, template_invalid, template_missing
from dataflow_emulator.template import Template, classic_template, flex_template

_PROVIDED: Final = "dataflow-templates"
"""The bucket of the templates that come with the service; `dataflow-templates-<region>` is the same one."""

_GS: Final = re.compile(r"gs://([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])/(.+)")
_TEMPLATE_BYTES: Final = 10 * 1024 * 1024
"""Size of a template file at most. Source: Dataflow's limit on a job's graph."""


class Bucket:
    """Every bucket there is."""

    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    def lay_out(self) -> None:
        """Put the provided templates where launches expect them; files that are there already are written anew."""
        source = resources.files("dataflow_emulator") / "templates"
        with resources.as_file(source) as folder:
            shutil.copytree(folder, self._root / _PROVIDED, dirs_exist_ok=True)

    def flex(self, path: str, ids: Ids) -> Template:
        """Return the flex template whose container spec is at *path*."""
        return flex_template(canonical(path), self._json(path, ids), template_invalid(path))

    def classic(self, path: str, ids: Ids) -> Template:
        """Return the classic template at *path*; a container spec is none."""
        if "image" in self._object(self._json(path, ids)):
            raise template_invalid(path)
        metadata = self._file(path).with_name(f"{self._file(path).name}_metadata")
        return classic_template(canonical(path), self._parsed(metadata, path) if metadata.is_file() else None, template_invalid(path))

    def any(self, path: str, ids: Ids) -> Template:
        """Return the template at *path*, of whichever kind."""
        is_flex = "image" in self._object(self._json(path, ids))
        return self.flex(path, ids) if is_flex else self.classic(path, ids)

    def _object(self, value: object) -> dict[str, object]:
        return cast("dict[str, object]", value) if isinstance(value, dict) else {}

    def _json(self, path: str, ids: Ids) -> object:
        file = self._file(path)
        if not file.is_file():
            raise template_missing(ids.prefix(), path)
        return self._parsed(file, path)

    def _parsed(self, file: Path, path: str) -> object:
        if file.stat().st_size > _TEMPLATE_BYTES:
            raise template_invalid(path)
        try:
            return json.loads(file.read_bytes())
        except ValueError as error:
            raise template_invalid(path) from error

    def _file(self, path: str) -> Path:
        match = _GS.fullmatch(canonical(path))
        if match is None:
            raise invalid(f"Invalid template path {path!r}: expected gs://bucket/object.")
        file = (self._root / match[1] / match[2]).resolve()
        if not file.is_relative_to(self._root):
            raise invalid(f"Invalid template path {path!r}: it leads out of its bucket.")
        return file


def canonical(path: str) -> str:
    """Return a path with the regional bucket of provided templates replaced by the one that all regions share here."""
    return re.sub(rf"^gs://{_PROVIDED}-[a-z0-9-]+/", f"gs://{_PROVIDED}/", path)
