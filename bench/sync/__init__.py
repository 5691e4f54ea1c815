"""How fast, how cheaply and in how much memory nodes copy each other's logs: `make bench-sync`."""
