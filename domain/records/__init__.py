"""Record types: one module each, named in registry.py and nowhere else."""
