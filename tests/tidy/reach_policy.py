"""`manifests/policies/reach-warnings.yaml`, made from the table: `python -m tests.tidy.reach_policy` writes it anew."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from dataflow_local.cache import ROOT
from dataflow_operator.domain.job import JobState
from dataflow_operator.domain.pipeline.reach import ENVIRONMENT, TABLE, Reach

PAGE = ROOT / "manifests" / "policies" / "reach-warnings.yaml"

NAME = "dataflow-change-reaches"
"""Name of the policy, which kubectl shows before each warning."""


def _fields(reach: Reach) -> list[str]:
    return [row.field for row in TABLE if row.streaming is reach]


def _of_the_environment(reach: Reach) -> list[str]:
    return [field.removeprefix(ENVIRONMENT) for field in _fields(reach) if field.startswith(ENVIRONMENT)]


def _whole() -> list[str]:
    """Return the parts of the spec that are compared as one: parameters are not looped over, which would cost too much."""
    return list(dict.fromkeys(field.partition(".")[0] for field in _fields(Reach.REPLACE) if not field.startswith(ENVIRONMENT)))


def _words(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _replacing() -> str:
    """Return the expression, in CEL, for the names of the fields whose change replaces the job."""
    parts = [f"(oldObject.spec.?{name}.orValue({{}}) != object.spec.?{name}.orValue({{}}) ? ['{name}'] : [])" for name in _whole()]
    environment = (
        f"[{_words(_of_the_environment(Reach.REPLACE))}]\n"
        "      .filter(name, variables.old[?name] != variables.new[?name]).map(name, 'environment.' + name)"
    )
    elsewhere = "(variables.engine ? [] : variables.resized.map(name, 'environment.' + name))"
    return "\n      + ".join([*parts, environment, elsewhere])


def rendered() -> str:
    """Return the manifest."""
    return TEXT.format(
        name=NAME,
        over=_words(state.value for state in JobState if state.is_terminal),
        resizing=_words(_of_the_environment(Reach.IN_PLACE)),
        replacing=_replacing(),
    )


TEXT = """\
# Made from operator/dataflow_operator/domain/pipeline/reach.py by `make generate`; docs/changes.md has the same as a table.
# What a change of a running stream brings about is said when it is applied, and before, by `kubectl apply --dry-run=server`. Nothing is refused.
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: dataflow-operator
spec:
  # What only warns must not stand in the way when it fails.
  failurePolicy: Ignore
  matchConstraints:
    resourceRules:
    - apiGroups: [dataflow-operator.io]
      apiVersions: ["*"]
      resources: [dataflowpipelines]
      operations: [UPDATE]
  matchConditions:
  - name: a-stream-changes
    expression: object.spec.type == 'Streaming' && object.spec != oldObject.spec && !has(object.metadata.deletionTimestamp)
  - name: its-job-runs
    expression: >-
      !oldObject.spec.?suspend.orValue(false) && oldObject.?status.?jobId.hasValue()
      && !(oldObject.?status.?jobState.orValue('') in [{over}])
  variables:
  - name: old
    expression: oldObject.spec.?environment.orValue({{}})
  - name: new
    expression: object.spec.?environment.orValue({{}})
  - name: engine
    expression: >-
      [variables.old, variables.new].all(each,
      each[?'enableStreamingEngine'].orValue(false) || each[?'streamingMode'].orValue('') == 'AtLeastOnce')
  - name: resized
    expression: "[{resizing}].filter(name, variables.old[?name] != variables.new[?name])"
  # What is left out of the spec is left as it is in the job.
  - name: moving
    expression: "variables.engine ? variables.resized.filter(name, name in variables.new).map(name, 'environment.' + name) : []"
  - name: replacing
    expression: >-
      {replacing}
  - name: suspended
    expression: object.spec.?suspend.orValue(false)
  validations:
  - expression: "!variables.suspended"
    messageExpression: >-
      'stops the running job ' + oldObject.status.jobId + ' (stopPolicy ' + object.spec.?stopPolicy.orValue('Drain') + '): suspend'
  - expression: variables.suspended || variables.replacing.size() == 0
    messageExpression: >-
      'replaces the running job ' + oldObject.status.jobId
      + ' (strategy ' + object.spec.?updatePolicy.?strategy.orValue('Update') + '): ' + variables.replacing.join(', ')
  - expression: variables.suspended || variables.replacing.size() > 0 || variables.moving.size() == 0
    messageExpression: >-
      'changes the running job ' + oldObject.status.jobId + ' in place: ' + variables.moving.join(', ')
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata:
  name: {name}
  labels:
    app.kubernetes.io/name: dataflow-operator
spec:
  policyName: {name}
  validationActions: [Warn]
"""


def write(page: Path = PAGE) -> None:
    """Write the manifest anew."""
    page.write_text(rendered())


if __name__ == "__main__":
    write()
