"""Packaged reference data; read through importlib.resources by whoever wires a node, never at import."""
