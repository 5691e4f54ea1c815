"""The protocol: what nodes sign, exchange and check."""
