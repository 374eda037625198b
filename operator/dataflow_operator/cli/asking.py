"""Asking for a run: the DataflowRun that a person creates, and waiting for what comes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from dataflow_operator.adapters.kubernetes.fields import Json
from dataflow_operator.adapters.kubernetes.wire import API_VERSION
from dataflow_operator.cli.changing import Changing, tell_change
from dataflow_operator.cli.goals import Goal, Wait, deadline_of, wait_for
from dataflow_operator.cli.objects import full_name_of, name_of
from dataflow_operator.cli.reading import Kind, path_of
from dataflow_operator.cli.server import Server
from dataflow_operator.cli.terminal import Format, Streams


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """The run that is asked for."""

    pipeline: str
    stem: str
    """What the API server makes a name of."""
    name: str | None = None
    rerun_of: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    account: str | None = None

    def body(self, namespace: str) -> Json:
        """Return the object that is created."""
        spec: dict[str, object] = {"pipelineRef": {"name": self.pipeline}}
        if self.rerun_of:
            spec["rerunOf"] = self.rerun_of
        if self.parameters:
            spec["parameters"] = dict(self.parameters)
        if self.account:
            spec["serviceAccountName"] = self.account
        called = {"name": self.name} if self.name else {"generateName": f"{self.stem}-"}
        return {"apiVersion": API_VERSION, "kind": "DataflowRun", "metadata": {**called, "namespace": namespace}, "spec": spec}


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Whether the end of the run is waited for, and how long."""

    waits: bool = False
    timeout: timedelta | None = None
    """None: without end."""


def asked_for(wish: Wish, goal: Goal, server: Server, changing: Changing, patience: Patience, streams: Streams) -> None:
    """Create the run, and wait for it if that is wanted. UndoneError: refused, or it did not come to its goal."""
    created, warnings = server.created(path_of(Kind.RUN, server.namespace), wish.body(server.namespace), is_tried=changing.is_tried)
    tell_change(created, "created", warnings, changing, streams)
    if changing.is_tried:
        return
    name = name_of(created)
    if not patience.waits:
        if streams.are_watched and changing.output is Format.TEXT:
            streams.err.write(f"  → kubectl dataflow status dfr/{name} -n {server.namespace} --watch\n")
        return
    streams.out.flush()
    wait_for(Wait(kind=Kind.RUN, namespace=server.namespace, name=name, goal=goal), server, deadline_of(patience.timeout), streams)
    if changing.output is Format.TEXT:
        streams.out.write(f"{full_name_of(created)} {goal}\n")
