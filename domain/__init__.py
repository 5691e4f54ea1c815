"""What Gotong's words mean: record types, places, amounts, states. Pure: no I/O, no clock, no randomness."""
