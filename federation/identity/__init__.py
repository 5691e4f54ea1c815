"""Who writes: keys, cards, and what a participant and its community do with them."""
