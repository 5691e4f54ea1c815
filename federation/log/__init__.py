"""One log: its entries, tree, tiles and notes, what a DID document says of it, and whether what came may extend it."""
