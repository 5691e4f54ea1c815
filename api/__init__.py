"""The HTTP edge and nothing else."""
