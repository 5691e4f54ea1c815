"""Activities: what communities do."""
