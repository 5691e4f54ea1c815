"""What becomes of a participant: begun, changed, moved, recovered, succeeded, ended."""
