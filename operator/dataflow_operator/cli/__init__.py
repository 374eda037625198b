"""The kubectl plugin: `kubectl dataflow …`, for people who write pipelines."""
