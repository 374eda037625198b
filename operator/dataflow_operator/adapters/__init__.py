"""Where the outside begins: each package here speaks to one service and raises the errors of ``domain.errors``, nothing else."""
