"""A validated GraphQL operation becomes one SQL statement a root field, and its rows become the answer's bytes."""
