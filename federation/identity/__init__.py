"""Who writes: keys, cards, and the identities that are held."""
