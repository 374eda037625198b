"""What runs in the Beam environment: a zygote, and one forked child per job. Imports Beam and the standard library only."""
