"""Nodes that speak over real sockets."""

from tests.sync.conftest import make_node

__all__ = ["make_node"]
