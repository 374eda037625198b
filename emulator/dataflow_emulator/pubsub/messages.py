"""What Pub/Sub keeps and hands out, and what it refuses. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from dataflow_emulator.refusals import Code, RefusedError, invalid

PUBLISHED_AT_ONCE: Final = 1_000
"""Messages of one publish call at most. Source: Pub/Sub's page on quotas and limits, as all numbers below."""

PUBLISHED_BYTES: Final = 10_000_000
"""Bytes of one publish call at most."""

ACK_SECONDS: Final = range(10, 601)
"""What a subscription's ack deadline may be."""

EXTENSION_SECONDS: Final = range(601)
"""To what a message's ack deadline may be modified; 0 gives the message back."""

RETENTION: Final = timedelta(days=7)
"""How long a message is kept when a subscription says nothing else, and at most here."""

SHORTEST_RETENTION: Final = timedelta(minutes=10)

_ATTRIBUTES: Final = 100
_KEY_BYTES: Final = 256
_VALUE_BYTES: Final = 1024

_ID: Final = re.compile(r"[A-Za-z][A-Za-z0-9._~+%-]{2,254}")
"""A topic's or a subscription's id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A message as a publisher gives it."""

    data: bytes = b""
    attributes: Mapping[str, str] = field(default_factory=dict[str, str])
    ordering_key: str = ""

    @property
    def size(self) -> int:
        """What it weighs, in bytes."""
        return len(self.data) + len(self.ordering_key) + sum(len(key) + len(value) for key, value in self.attributes.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that was published."""

    id: str
    publish_time: datetime
    """Unlike in life no two messages of an emulator have the same one, and it is never before the previous one's."""
    draft: Draft


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A message as a subscriber gets it; the ack id names this delivery of it."""

    ack_id: str
    message: Message


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a subscription was created with."""

    name: str
    topic: str
    ack_seconds: int = ACK_SECONDS.start
    retention: timedelta = RETENTION
    retain_acked: bool = False
    labels: Mapping[str, str] = field(default_factory=dict[str, str])


def check_name(kind: str, name: str) -> None:
    """Refuse a name that Pub/Sub does not take."""
    id_ = name.rsplit("/", 1)[-1]
    if not _ID.fullmatch(id_) or id_.lower().startswith("goog"):
        raise invalid(f"Invalid [{kind}] name: (name={name})")


def check_terms(terms: Terms) -> None:
    """Refuse a subscription that Pub/Sub does not take."""
    check_name("subscriptions", terms.name)
    if terms.ack_seconds not in ACK_SECONDS:
        raise invalid(f"Invalid ack deadline given: (ack_deadline_seconds={terms.ack_seconds}). It must be from 10 to 600 seconds.")
    if not SHORTEST_RETENTION <= terms.retention <= RETENTION:
        raise invalid(f"Invalid message retention duration: {terms.retention}. It must be from 10 minutes to 7 days.")


def check_drafts(drafts: list[Draft]) -> None:
    """Refuse a publish call that Pub/Sub does not take."""
    if not drafts:
        raise invalid("The value for message_count is too small. You passed 0 in the request, but the minimum value is 1.")
    if len(drafts) > PUBLISHED_AT_ONCE or sum(draft.size for draft in drafts) > PUBLISHED_BYTES:
        raise invalid(f"A publish call takes at most {PUBLISHED_AT_ONCE} messages and {PUBLISHED_BYTES} bytes.")
    for draft in drafts:
        _check_draft(draft)


def _check_draft(draft: Draft) -> None:
    if not draft.data and not draft.attributes:
        raise invalid(
            "Some messages in your publish request are invalid: each must have data that is not empty, or at least one attribute."
        )
    if len(draft.attributes) > _ATTRIBUTES:
        raise invalid(f"A message can have at most {_ATTRIBUTES} attributes, not {len(draft.attributes)}.")
    for key, value in draft.attributes.items():
        if not key or key.startswith("goog") or len(key.encode()) > _KEY_BYTES or len(value.encode()) > _VALUE_BYTES:
            raise invalid(
                f"The attribute {key!r} is invalid: keys have 1 to 256 bytes and do not begin with goog, values at most 1024 bytes."
            )


def missing(name: str) -> RefusedError:
    """Return the answer to a call about something that is not there."""
    return RefusedError(Code.NOT_FOUND, f"Resource not found (resource={name.rsplit('/', 1)[-1]}).")


def taken(name: str) -> RefusedError:
    """Return the answer to the creation of something that is there already."""
    return RefusedError(Code.ALREADY_EXISTS, f"Resource already exists in the project (resource={name.rsplit('/', 1)[-1]}).")


def full(name: str) -> RefusedError:
    """Return the answer to a message for which there is no room; Pub/Sub itself would take it."""
    return RefusedError(
        Code.RESOURCE_EXHAUSTED, f"The backlog of {name} is full: this emulator keeps it in memory. Pull from it, or delete it."
    )
