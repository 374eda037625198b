"""A Kubernetes operator that turns DataflowPipeline objects into running Dataflow jobs."""
