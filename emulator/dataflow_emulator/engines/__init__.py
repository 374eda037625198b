"""Engines: what makes a job happen."""
