"""What every feature shares: scalars, connections, records, text, places, provenance."""
