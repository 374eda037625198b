"""Which Python program a template stands for, and the command line that it gets."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from dataflow_emulator.engine import Order
from dataflow_emulator.engines.script import PREFIX
from dataflow_emulator.template import FOR_THE_SERVICE

PROGRAMS = Path(__file__).parent.parent / "worker" / "programs"

BUILT_IN: Mapping[str, str] = {
    "emulator/yaml-template": "yaml_template.py",
    "emulator/word-count": "word_count.py",
    "emulator/event-counts": "event_counts.py",
    "emulator/message-counts": "message_counts.py",
}
"""Programs of the templates that come with the emulator, by image."""

CLASSIC_WORD_COUNT = re.compile(r"gs://dataflow-templates(-[a-z0-9-]+)?/[^/]+/Word_Count")
"""Google's classic template in any region and version: a classic template has no image, so its path names the program."""


def program_of(image: str, images: Mapping[str, Path]) -> Path | None:
    """The file to run, or None when nobody has registered one; what the user registers comes first."""
    if image in images:
        return images[image]
    if image in BUILT_IN:
        return PROGRAMS / BUILT_IN[image]
    return PROGRAMS / BUILT_IN["emulator/word-count"] if CLASSIC_WORD_COUNT.fullmatch(image) else None


def arguments_of(order: Order) -> list[str]:
    """`--key=value` for every parameter, after the options that Dataflow's launcher adds and parameters may override."""
    options: dict[str, object] = {"project": order.project, "region": order.location, "job_name": order.job_name}
    for key, option in (("tempLocation", "temp_location"), ("stagingLocation", "staging_location")):
        if order.environment.get(key):
            options[option] = order.environment[key]
    asked = {key: value for key, value in order.parameters.items() if key not in FOR_THE_SERVICE and not key.startswith(PREFIX)}
    return [f"--{key}={value}" for key, value in {**options, **asked}.items()]
