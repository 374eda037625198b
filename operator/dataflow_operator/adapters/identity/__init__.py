"""Who calls Dataflow."""
