"""The loop: what is due, one pass over it, and the ports to the outside."""
