"""Second opinions: cosignatures, gossip, and evidence of two tellings."""
