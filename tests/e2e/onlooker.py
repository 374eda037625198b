"""Somebody who watches a namespace from the first moment, and keeps every version of every pipeline and run that was to be seen."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPSConnection
from itertools import groupby
from typing import Any, Self

from tests.e2e.conftest import Owner
from tests.e2e.direct import connected, path_of, watched
from tests.tools.answers import SUMMARY, answers_of
from tests.tools.argocd import Health
from tests.tools.flux import broken_rules
from tests.tools.kstatus import conditions_of
from tests.tools.rows import row_of
from tests.tools.states import EXPECTED, Row
from tests.waiting import eventually

from dataflow_local.kubectl import KubectlError
from dataflow_operator.domain.errors import Reason
from dataflow_operator.domain.meanings import Kind, appears_on


def is_rolled_back(document: dict[str, Any]) -> bool:
    """Whether a pipeline says that it runs something else than its spec says, because a person asked for that."""
    return any(condition["reason"] == Reason.ROLLED_BACK for condition in conditions_of(document))


KINDS = ("dataflowpipelines", "dataflowruns")
STOP_SECONDS = 20


@dataclass(slots=True)
class Onlooker:
    """Watches until the block ends; what the API server tells is kept in its order."""

    owner: Owner
    seen: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    _gone: set[str] = field(default_factory=set[str])
    _watches: list[HTTPSConnection] = field(default_factory=list[HTTPSConnection])
    _readers: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def __enter__(self) -> Self:
        for kind in KINDS:
            watch = connected(self.owner.platform, None)
            watch.connect()
            reader = threading.Thread(target=self._read, args=(watch, path_of(self.owner.namespace, kind)), daemon=True)
            reader.start()
            self._watches.append(watch)
            self._readers.append(reader)
        return self

    def __exit__(self, error: type[BaseException] | None = None, *_: object) -> None:
        try:
            if error is None:
                eventually(self._unheard, until=lambda unheard: not unheard, seconds=STOP_SECONDS)
        finally:
            self._close()

    def _unheard(self) -> set[str]:
        """Return what there is, or is no more, and the watches have not told yet: they are behind what a look shows."""
        there = [each["metadata"] for each in (*self.owner.pipelines().values(), *self.owner.runs().values())]
        told = [each["metadata"] for each in self.seen]
        news = {each["resourceVersion"] for each in there} - {each["resourceVersion"] for each in told}
        return news | ({each["uid"] for each in told} - {each["uid"] for each in there} - self._gone)

    def _close(self) -> None:
        for watch in self._watches:
            watch.sock.shutdown(socket.SHUT_RDWR)
        for reader in self._readers:
            reader.join(STOP_SECONDS)
            assert not reader.is_alive()
        for watch in self._watches:
            watch.close()

    def _read(self, watch: HTTPSConnection, path: str) -> None:
        for event in watched(self.owner.platform, watch, path):
            if event["type"] == "DELETED":
                self._gone.add(event["object"]["metadata"]["uid"])
            elif event["type"] != "BOOKMARK":
                self.seen.append(event["object"])

    def of(self, name: str) -> list[dict[str, Any]]:
        """Return every version of an object, oldest first."""
        return [each for each in self.seen if each["metadata"]["name"] == name]

    def health(self, name: str) -> list[Health]:
        """Return what Argo CD said of an object, one after the other, without repeats."""
        return [said for said, _ in groupby(answers_of(each).argo for each in self.of(name))]

    def rows(self) -> set[Row]:
        """Return the rows of the state tables that were to be seen."""
        return {row_of(each) for each in self.seen}

    def lies(self) -> Iterator[str]:
        """Yield what any tool was told that is not so."""
        runs = {each["metadata"]["name"]: each for each in self.seen if each["kind"] == "DataflowRun"}
        for each in self.seen:
            row, metadata = row_of(each), each["metadata"]
            told = f"{metadata['name']}, generation {metadata['generation']}, {row}"
            if answers_of(each) != EXPECTED[row]:
                yield f"{told}: {answers_of(each)}"
            if row not in {Row.NOT_SEEN, Row.RUN_NOT_SEEN, Row.CHANGED}:
                yield from (f"{told}: {broken}" for broken in broken_rules(each))
            kind = Kind(each["kind"])
            for condition in conditions_of(each):
                if not appears_on(kind, condition["type"], Reason(condition["reason"])):
                    yield f"{told}: {condition['type']} has the reason {condition['reason']}, which is not documented there"
            if row in {Row.STREAMING, Row.DONE, Row.IN_FLIGHT} and not is_rolled_back(each):
                run = runs[each["status"]["currentRun"]]
                if run["status"]["resolvedSpec"]["parameters"] != each["spec"]["parameters"]:
                    yield f"{told}: run {run['metadata']['name']} runs something else"

    def wait_agrees(self, kind: str, name: str) -> bool:
        """Whether `kubectl wait` says what its rules say of the version that it saw: the same before and after."""

        def asked() -> tuple[dict[str, Any], bool, dict[str, Any]]:
            before, met = self._read_one(kind, name), False
            with suppress(KubectlError):
                self.owner.kubectl("wait", f"--for=condition={SUMMARY[kind]}", "--timeout=0s", f"{kind.lower()}/{name}")
                met = True
            return before, met, self._read_one(kind, name)

        before, met, _ = eventually(asked, until=lambda seen: seen[0] == seen[2], seconds=30)
        return met is answers_of(before).wait

    def _read_one(self, kind: str, name: str) -> dict[str, Any]:
        return dict(json.loads(self.owner.kubectl("get", kind.lower(), name, "--output=json")))
