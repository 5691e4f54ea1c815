"""Second opinions: cosignatures, gossip, and what to do with two tellings."""
