"""Whoever knows as whom calls are made, put together from what the admin's settings say."""

from __future__ import annotations
