"""The API server: objects as JSON, and the calls that read and write them."""
