"""The pipeline: what its owner wrote, what is known of it, and what is decided about it."""
