"""Dataflow's messages. They are made at run time and tell type checkers nothing, so they are `Any`, and go no further than this package."""

from __future__ import annotations

from typing import Any, Final

from google.cloud.dataflow_v1beta3 import types

messages: Final[Any] = types
"""The messages and enums of the official client."""
