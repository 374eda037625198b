"""The custom resources: the models here are the source of the CRDs, and nothing else writes those."""

GROUP = "dataflow-operator.io"
"""The API group of every kind."""

VERSION = "v1beta1"
"""The one version that is served; within it there are only additions."""
