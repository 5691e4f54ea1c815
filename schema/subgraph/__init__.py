"""This node as a subgraph of somebody's gateway: Apollo Federation 2."""
