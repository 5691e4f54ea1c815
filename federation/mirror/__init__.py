"""Nodes that nobody can connect to, and the mirrors that hold their logs."""
