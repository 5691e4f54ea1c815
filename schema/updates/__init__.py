"""Updates: news about a record or a community."""
