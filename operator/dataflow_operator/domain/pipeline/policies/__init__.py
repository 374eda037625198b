"""The policies: each right alone, on any observation."""
