"""One log: its entries, its tree, its tiles, its notes, and whether what came may extend it."""
