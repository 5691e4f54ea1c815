"""From verified entries to rows, and back again."""
