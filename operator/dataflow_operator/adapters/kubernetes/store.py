"""The store: pipelines and runs in the API server, each write under what was read."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from dataflow_operator.adapters.kubernetes.api import Api
from dataflow_operator.adapters.kubernetes.events import Events
from dataflow_operator.adapters.kubernetes.fields import Json, mapping, objects, text
from dataflow_operator.adapters.kubernetes.status import (
    RUN_STATUS_FIELDS,
    patch_between,
    pipeline_status_json,
    run_status_json,
    unkept,
)
from dataflow_operator.adapters.kubernetes.wire import API_VERSION, PIPELINES, RUNS, finalizers_of, pipeline_of, run_of
from dataflow_operator.controller.ports import Key, Version
from dataflow_operator.domain.errors import OutsideError, Reason, RefusedError, StaleError, UnavailableError
from dataflow_operator.domain.ledger import Cause
from dataflow_operator.domain.names import FINALIZER
from dataflow_operator.domain.pipeline.model import Pipeline, PipelineStatus
from dataflow_operator.domain.pipeline.notices import Notice
from dataflow_operator.domain.pipeline.plan import DeleteRun, DrawRun
from dataflow_operator.domain.run import Run

LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
LABEL_PIPELINE: Final = "dataflow-operator.io/pipeline"

PAGE: Final = 500
"""Objects that one page of a re-list holds: metadata only, some 0.5 KB each. Source: kubectl's own page."""

PAGES: Final = 1000
"""Pages of one re-list at most: half a million objects, beyond which something is wrong with the list."""

RESTARTS: Final = 5
"""How often one re-list is begun anew when its continue token expires in between. Source: chosen."""

METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Asks for a list without spec and status: a re-list wants to know only what is there."""

LOST_NAMED: Final = 3
"""Fields that are named where a status was not kept as it was written. Source: chosen; one would do to know what to do."""

REMEMBERED_RUNS: Final = 4096
"""Runs whose last answer is remembered, so that the next drawing sends only what changed; some 2 KB each. Source: chosen."""


class Store:
    """Fulfils ``controller.ports.Store`` on a real API server."""

    def __init__(self, api: Api, events: Events, *, namespaces: Sequence[str] = ()) -> None:
        """Prepare to ask for nothing outside *namespaces*; none named: the whole cluster is ours."""
        self._scopes: Sequence[str | None] = tuple(namespaces) or (None,)
        self._api = api
        self._events = events
        self._drawn: OrderedDict[str, Run] = OrderedDict()
        """By uid: runs as the API server last answered."""
        self._outdated: set[str] = set()
        """Kinds whose CRD did not keep a status, by their plurals."""

    # pipelines

    async def write_status(self, pipeline: Pipeline, status: PipelineStatus) -> Pipeline:
        """Write the fields of the status that changed, under the pipeline's resourceVersion; return the object as stored.

        One that is not kept as it was written is taken back: an entry may be what is missing, and its number be given out.
        """
        path = _path(PIPELINES, pipeline.namespace, pipeline.name)
        before, wanted = pipeline_status_json(pipeline.status), pipeline_status_json(status)
        raw = await self._put_status(PIPELINES, path, pipeline.resource_version, patch_between(before, wanted), wanted)
        stored = pipeline_of(raw)
        try:
            self._check_kept(PIPELINES, wanted, raw)
        except RefusedError:
            back = patch_between(pipeline_status_json(stored.status), before)
            with suppress(OutsideError):
                await self._api.merge(f"{path}/status", _under(stored.resource_version, back))
            raise
        return stored

    async def read_pipeline(self, key: Key) -> Pipeline | None:
        """Read a pipeline afresh."""
        raw = await self._api.read(_path(PIPELINES, key.namespace, key.name))
        return None if raw is None else pipeline_of(raw)

    async def add_finalizer(self, pipeline: Pipeline) -> Pipeline:
        """Add our finalizer under the resourceVersion, keeping all others."""
        raw = await self._as_seen(pipeline)
        if raw is None:
            raise StaleError(Reason.NOT_FOUND, "the pipeline is gone")
        return pipeline_of(await self._write_finalizers(pipeline, [*finalizers_of(raw), FINALIZER]))

    async def remove_finalizer(self, pipeline: Pipeline) -> None:
        """Remove our finalizer under the resourceVersion, keeping all others; an absent object is no error."""
        raw = await self._as_seen(pipeline)
        if raw is not None:
            await self._write_finalizers(pipeline, [name for name in finalizers_of(raw) if name != FINALIZER])

    async def _as_seen(self, pipeline: Pipeline) -> Json | None:
        """Return the object that *pipeline* is the row of; None: it is gone. A merge patch replaces the list, so all of it must be known."""
        raw = await self._api.read(_path(PIPELINES, pipeline.namespace, pipeline.name))
        if raw is None or mapping(raw.get("metadata")).get("uid") != pipeline.uid:
            return None
        if mapping(raw.get("metadata")).get("resourceVersion") != pipeline.resource_version:
            raise StaleError(Reason.CONFLICT, "the pipeline has changed since it was seen")
        return raw

    async def _write_finalizers(self, pipeline: Pipeline, names: list[str]) -> Json:
        body = {"metadata": {"resourceVersion": pipeline.resource_version, "finalizers": names}}
        return await self._api.merge(_path(PIPELINES, pipeline.namespace, pipeline.name), body)

    # runs

    async def create_run(self, pipeline: Pipeline, name: str, cause: Cause) -> Run:  # noqa: ARG002 # the cause is status: a person who creates runs cannot forge it
        """Create the run object of that name with the pipeline as controller owner; where the name exists, return what has it."""
        owner = {
            "apiVersion": API_VERSION,
            "kind": "DataflowPipeline",
            "name": pipeline.name,
            "uid": pipeline.uid,
            "controller": True,
            "blockOwnerDeletion": False,
        }
        body = {
            "apiVersion": API_VERSION,
            "kind": "DataflowRun",
            "metadata": {
                "name": name,
                "labels": {LABEL_MANAGED_BY: "dataflow-operator", LABEL_PIPELINE: pipeline.name},
                "ownerReferences": [owner],
            },
            "spec": {"pipelineRef": {"name": pipeline.name}},
        }
        if (made := await self._api.create(_path(RUNS, pipeline.namespace), body)) is not None:
            return self._remembered(made)
        if (holder := await self.read_run(pipeline.namespace, name)) is None:
            raise UnavailableError(Reason.CONFLICT, f"the run {name} is being deleted")
        return holder

    async def read_run(self, namespace: str, name: str) -> Run | None:
        """Read a run afresh."""
        raw = await self._api.read(_path(RUNS, namespace, name))
        return None if raw is None else self._remembered(raw)

    async def draw_run(self, namespace: str, drawing: DrawRun) -> Run:
        """Write a run's status under the resourceVersion that was seen, which is of one uid only."""
        seen, drawn = self._drawn.get(drawing.uid), run_status_json(drawing.status)
        if seen is not None and seen.resource_version == drawing.resource_version:
            patch = patch_between(run_status_json(seen.status), drawn)
        else:
            patch = dict.fromkeys(RUN_STATUS_FIELDS) | drawn
        raw = await self._put_status(RUNS, _path(RUNS, namespace, drawing.name), drawing.resource_version, patch, drawn)
        run = self._remembered(raw)
        self._check_kept(RUNS, drawn, raw)
        return run

    def _remembered(self, raw: Json) -> Run:
        run = run_of(raw)
        self._drawn.pop(run.uid, None)
        self._drawn[run.uid] = run
        if len(self._drawn) > REMEMBERED_RUNS:
            self._drawn.popitem(last=False)
        return run

    async def delete_run(self, namespace: str, doomed: DeleteRun) -> None:
        """Delete a run if it is still as it was seen, in the background; an absent one is no error."""
        preconditions = {"uid": doomed.uid, "resourceVersion": doomed.resource_version}
        options = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": "Background", "preconditions": preconditions}
        await self._api.delete(_path(RUNS, namespace, doomed.name), options)

    # statuses

    async def _put_status(self, kind: str, path: str, version: str, patch: Json, wanted: Json) -> Json:
        """Write a status and return the object as stored; while a CRD is known to be old, ask first whether all of it would be kept."""
        body = _under(version, patch)
        if kind in self._outdated:
            self._check_kept(kind, wanted, await self._api.merge(f"{path}/status", body, is_dry_run=True))
            self._outdated.discard(kind)
        return await self._api.merge(f"{path}/status", body)

    def _check_kept(self, kind: str, wrote: Json, raw: Json) -> None:
        """Raise RefusedError where an object's status is not as it was written: then nothing may follow from the write."""
        lost = list(islice(unkept(wrote, mapping(raw.get("status"))), LOST_NAMED))
        if lost:
            self._outdated.add(kind)
            raise RefusedError(
                Reason.CRD_OUTDATED,
                f"the API server did not keep status.{', status.'.join(lost)}: apply the CRDs of the operator's version, "
                "or find the admission webhook that changes what is written",
            )

    # the rest

    async def publish(self, subject: Pipeline, notices: Sequence[Notice]) -> None:
        """Write Events about a pipeline, best effort."""
        await self._events.publish(subject, notices)

    async def is_served(self, kind: str) -> bool:
        """Return whether the API server serves a kind of ours, by its plural; of several namespaces, the first that we may ask about says it."""
        *others, last = self._scopes
        for scope in others:
            try:
                return await self._api.page(_collection(kind, scope), limit="1") is not None
            except RefusedError:
                continue
        return await self._api.page(_collection(kind, last), limit="1") is not None

    async def pipelines_in(self, namespace: str | None) -> Mapping[Key, Version]:
        """Return which pipelines there are in a namespace; None: in all of them."""
        return await self.listed(PIPELINES, namespace)

    async def listed(self, kind: str, namespace: str | None = None) -> Mapping[Key, Version]:
        """Return which objects of a kind there are in a namespace, or in all, page by page; a list whose continue token expires is begun anew."""
        for _ in range(RESTARTS):
            try:
                return await self._listed(kind, _collection(kind, namespace))
            except StaleError:
                continue
        raise UnavailableError(Reason.UNAVAILABLE, f"the list of {kind} changed faster than it could be read")

    async def _listed(self, kind: str, path: str) -> Mapping[Key, Version]:
        found: dict[Key, Version] = {}
        query = {"limit": str(PAGE)}
        for _ in range(PAGES):
            raw = await self._api.page(path, accept=METADATA_ONLY, **query)
            if raw is None:
                raise UnavailableError(Reason.NOT_FOUND, f"the API server does not serve {kind}")
            for item in objects(raw.get("items")):
                metadata = mapping(item.get("metadata"))
                key = Key(str(metadata.get("namespace")), str(metadata.get("name")))
                found[key] = Version(uid=str(metadata.get("uid")), resource_version=str(metadata.get("resourceVersion")))
            token = text(mapping(raw.get("metadata")).get("continue"))
            if token is None:
                return found
            query["continue"] = token
        raise RefusedError(Reason.UNKNOWN, f"the list of {kind} does not end after {PAGES} pages")


def _under(version: str, patch: Json) -> Json:
    """Return the patch of a status that applies to one version of its object only."""
    return {"metadata": {"resourceVersion": version}, "status": patch}


def _collection(kind: str, namespace: str | None) -> str:
    return f"/apis/{API_VERSION}/{kind}" if namespace is None else _path(kind, namespace)


def _path(kind: str, namespace: str, name: str = "") -> str:
    return f"/apis/{API_VERSION}/namespaces/{namespace}/{kind}" + (f"/{name}" if name else "")
