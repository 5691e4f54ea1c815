"""Measurements: each a command that prints a table and writes JSON to bench/results."""
