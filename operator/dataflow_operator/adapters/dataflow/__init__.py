"""Dataflow: the shared job lists, single calls, and what its errors mean."""
