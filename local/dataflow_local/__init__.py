"""A local platform for people and tests: an API server, an emulator and the operator as processes on one machine."""
