"""The two CustomResourceDefinitions: names, columns and selectable fields around the models' schemas."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from . import GROUP, VERSION
from .pipeline import DataflowPipeline
from .run import DataflowRun
from .structural import structural

if TYPE_CHECKING:
    from .wire import Wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One scalar that `kubectl get` shows."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False

    def written(self) -> dict[str, Any]:
        """Return the column as the CRD writes it."""
        column = {"name": self.name, "jsonPath": self.path, "description": self.description, "type": self.type}
        return {**column, "priority": 1} if self.wide else column


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """What makes a model a kind of the API."""

    model: type[Wire]
    short: str
    columns: tuple[Column, ...]
    selectable: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The kind's name, which is the model's."""
        return self.model.__name__

    @property
    def singular(self) -> str:
        """The name of one."""
        return self.kind.lower()

    @property
    def plural(self) -> str:
        """The name of many, as in addresses."""
        return f"{self.singular}s"


def _condition(of: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{of}")].{field}'


AGE = Column(name="Age", path=".metadata.creationTimestamp", type="date", description="Time since the object was made.")

PIPELINE = Definition(
    model=DataflowPipeline,
    short="dfp",
    columns=(
        Column(name="Type", path=".spec.type", description="Batch or Streaming."),
        Column(
            name="Ready", path=_condition("Ready", "status"), description="True: as wanted; Unknown: at work; False: something is wrong."
        ),
        Column(name="Reason", path=_condition("Ready", "reason"), description="Why it is ready or not."),
        Column(name="Job State", path=".status.jobState", description="State of the current job in Dataflow."),
        AGE,
        Column(name="Job ID", path=".status.jobId", wide=True, description="Id of the current job in Dataflow."),
        Column(name="Region", path=".spec.region", wide=True, description="Region that the job runs in."),
        Column(
            name="Revision",
            path=".status.revision",
            type="integer",
            wide=True,
            description="Number of the newest revision that was started.",
        ),
        Column(name="Message", path=_condition("Ready", "message"), wide=True, description="Why it is ready or not, in a sentence."),
    ),
    selectable=(".spec.type", ".spec.project", ".spec.region", ".status.jobState", ".status.jobId", ".status.currentRun"),
)

RUN = Definition(
    model=DataflowRun,
    short="dfr",
    columns=(
        Column(name="Pipeline", path=".spec.pipelineRef.name", description="The pipeline that runs."),
        Column(name="Revision", path=".status.revision", type="integer", description="Number of the revision that runs."),
        Column(name="Result", path=".status.result", description="How the run ended; empty while it goes on."),
        Column(name="Reason", path=_condition("Succeeded", "reason"), description="Why it succeeded or not."),
        Column(name="Job State", path=".status.jobState", description="State of the run's job in Dataflow."),
        AGE,
        Column(name="Job ID", path=".status.jobId", wide=True, description="Id of the run's job in Dataflow."),
        Column(name="Cause", path=".status.cause", wide=True, description="Why the run was started."),
        Column(name="Message", path=_condition("Succeeded", "message"), wide=True, description="Why it succeeded or not, in a sentence."),
    ),
    selectable=(".spec.pipelineRef.name", ".status.result", ".status.jobState", ".status.jobId"),
)

DEFINITIONS = (PIPELINE, RUN)
"""Every kind that this version has."""

_ENVELOPE: dict[str, dict[str, Any]] = {
    "apiVersion": {"type": "string", "description": f"Version of this object's form: '{GROUP}/{VERSION}'."},
    "kind": {"type": "string", "description": "Kind of this object."},
    "metadata": {
        "type": "object",
        "properties": {"name": {"type": "string", "description": "Name of this object, unique among its kind in the namespace."}},
    },
}
"""What every object has, and the API server itself checks."""


def definition_of(kind: Definition) -> dict[str, Any]:
    """Return the CustomResourceDefinition of a kind."""
    schema = structural(kind.model)
    schema["properties"] = {**_ENVELOPE, **schema["properties"]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": ["dataflow"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [column.written() for column in kind.columns],
                    "selectableFields": [{"jsonPath": path} for path in kind.selectable],
                },
            ],
        },
    }
