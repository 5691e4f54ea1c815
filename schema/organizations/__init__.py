"""Organizations: who they are."""
