"""What is decided, without I/O: pipelines, runs, attempts, jobs, and the one function that chooses the next step."""
