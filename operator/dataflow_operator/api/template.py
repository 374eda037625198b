"""What a pipeline runs: exactly one kind of template."""

from typing import Annotated

from pydantic import Field

from .rules import NO_RELAUNCHING_TEXT
from .wire import Rule, Wire, ruled

GcsPath = Annotated[
    str,
    Field(max_length=2048),
    Rule(
        rule="self.matches('^gs://[a-z0-9][-_.a-z0-9]+/.+')", message="must be the address of an object, such as 'gs://bucket/folder/name'"
    ),
]
"""The address of one object in Cloud Storage."""

QUOTED_KEYS = Rule(
    rule="!('true' in self || 'false' in self)",
    message="must not have the keys 'true' and 'false': quote y, n, yes, no, on, off: YAML reads them as booleans",
)
"""A key that YAML took for a boolean is refused: `n: "3", y: "4"` would quietly lose one of them."""

SHORT_KEYS = Rule(rule="self.all(key, key.size() >= 1 && key.size() <= 256)", message="must have keys of 1 to 256 characters")
"""Keys are bounded like everything else; a schema alone cannot say it."""


class FlexTemplate(Wire):
    """A flex template: a container image and its metadata, described by one JSON file."""

    container_spec_path: GcsPath = Field(
        description="Address of the template's JSON file. Required. Example: 'gs://acme-templates/orders.json'."
    )
    launch_options: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], QUOTED_KEYS, SHORT_KEYS] | None = Field(
        None,
        max_length=64,
        description="Options of the launcher itself, not of the pipeline, as text. Default: none. Example: {enableImageStreaming: 'true'}.",
    )


class ClassicTemplate(Wire):
    """A classic template: a job graph that was staged when the template was made."""

    path: GcsPath = Field(
        description="Address of the staged template. Required. Example: 'gs://dataflow-templates-europe-west1/latest/Word_Count'.",
    )


class BeamYaml(Wire):
    """A pipeline written in Beam YAML, launched through Google's Yaml_Template."""

    pipeline: Annotated[str, Field(min_length=1, max_length=131072), NO_RELAUNCHING_TEXT] = Field(
        description="The pipeline in Beam YAML, as text; write it as a YAML block with '|'. Required. Example: 'pipeline: {type: chain, transforms: […]}'.",
    )
    jinja_variables: Annotated[dict[str, Annotated[str, Field(max_length=4096)]], QUOTED_KEYS, SHORT_KEYS] | None = Field(
        None,
        max_length=64,
        description="Variables that the pipeline's Jinja expressions may use, as text. Default: none. Example: {day: '2026-01-31'}.",
    )


class Template(Wire):
    """What the pipeline runs, as exactly one of its members."""

    model_config = ruled(
        Rule(
            rule="[has(self.flex), has(self.classic), has(self.beamYaml)].filter(is_set, is_set).size() == 1",
            message="`template` must have exactly one of `flex`, `classic` and `beamYaml`",
        ),
    )

    flex: FlexTemplate | None = Field(
        None,
        description="A flex template: a container image and its metadata, described by one JSON file. Default: none. Exactly one of flex, classic and beamYaml is set.",
    )
    classic: ClassicTemplate | None = Field(
        None,
        description="A classic template: a job graph that was staged before. Default: none. Exactly one of flex, classic and beamYaml is set.",
    )
    beam_yaml: BeamYaml | None = Field(
        None,
        description="A pipeline in Beam YAML, written here. Default: none. Exactly one of flex, classic and beamYaml is set.",
    )
