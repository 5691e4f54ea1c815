"""One task a peer: exchanges, and what is asked from time to time."""
