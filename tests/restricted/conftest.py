"""The served node of the API's tests, for those who read and ask through GraphQL."""

from tests.api.conftest import node, regions, served, services

__all__ = ["node", "regions", "served", "services"]
