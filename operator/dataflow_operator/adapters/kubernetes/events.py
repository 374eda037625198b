"""Events about pipelines: one for each notice, repeats counted in the event itself."""

from __future__ import annotations

import logging
import os
import socket
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.adapters.kubernetes.fields import mapping, text
from dataflow_operator.adapters.kubernetes.wire import API_VERSION
from dataflow_operator.domain.errors import OutsideError, Reason, UnavailableError
from dataflow_operator.domain.pipeline.model import Pipeline
from dataflow_operator.domain.pipeline.notices import Notice

logger = logging.getLogger(__name__)

CONTROLLER: Final = "dataflow-operator.io/operator"
"""Who reports; the API asks for a qualified name."""

NOTE_LIMIT: Final = 1024
"""Longest note of an event, in bytes of UTF-8: one that is longer is refused. Source: validation of events.k8s.io/v1, tried."""

REMEMBERED: Final = 1000
"""Events whose repeats are counted; the longest unused are forgotten first, and then begin a series anew. Source: chosen."""

QUIET_SECONDS: Final = 1800.0
"""After so long without a repeat a series is over, and the next notice is an event of its own. Source: chosen: attempts that fail again and
again are ten minutes apart by default, and the API server keeps an event for an hour."""

_Same = tuple[str, Notice]


@dataclass(slots=True)
class _Series:
    name: str
    count: int
    last: float


class Events:
    """Writes events, best effort: one that cannot be written is dropped and counted."""

    def __init__(self, api: Api, *, monotonic: Callable[[], float], dropped: Callable[[], None]) -> None:
        self._api = api
        self._monotonic = monotonic
        self._dropped = dropped
        self._series: OrderedDict[_Same, _Series] = OrderedDict()
        self._instance = os.environ.get("POD_NAME") or socket.gethostname()

    async def publish(self, subject: Pipeline, notices: Iterable[Notice]) -> None:
        """Write *notices* about *subject*; raises nothing."""
        for notice in notices:
            try:
                await self._write(subject, notice)
            except OutsideError as error:
                self._dropped()
                logger.debug("event dropped", extra={"key": f"{subject.namespace}/{subject.name}", "error": str(error)})
                return

    async def _write(self, subject: Pipeline, notice: Notice) -> None:
        same = (subject.uid, notice)
        path = f"/apis/events.k8s.io/v1/namespaces/{subject.namespace}/events"
        known = self._series.pop(same, None)
        now = self._monotonic()
        if known is not None and now - known.last < QUIET_SECONDS:
            self._series[same] = _Series(known.name, known.count + 1, now)
            series = {"count": known.count + 1, "lastObservedTime": _micro_time()}
            await self._api.merge(f"{path}/{known.name}", {"series": series})
            return
        made = await self._api.create(path, self._body(subject, notice))
        if made is None:
            raise UnavailableError(Reason.ALREADY_EXISTS, "the API server found no free name for the event")
        name = text(mapping(made.get("metadata")).get("name"))
        if name is not None:
            self._series[same] = _Series(name, 1, now)
            while len(self._series) > REMEMBERED:
                self._series.popitem(last=False)

    def _body(self, subject: Pipeline, notice: Notice) -> Mapping[str, object]:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            # A generateName that ends in a dot is refused.
            "metadata": {"generateName": f"{subject.name}-", "namespace": subject.namespace},
            "eventTime": _micro_time(),
            "type": "Warning" if notice.is_warning else "Normal",
            "reason": str(notice.reason),
            "action": notice.action or "Reconcile",
            "note": notice.note.encode()[:NOTE_LIMIT].decode(errors="ignore"),
            "regarding": {
                "apiVersion": API_VERSION,
                "kind": "DataflowPipeline",
                "namespace": subject.namespace,
                "name": subject.name,
                "uid": subject.uid,
            },
            "reportingController": CONTROLLER,
            "reportingInstance": self._instance[:128],
        }


def _micro_time() -> str:
    """Return now as the API's MicroTime: with microseconds, or it is refused."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
