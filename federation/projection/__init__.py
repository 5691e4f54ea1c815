"""From verified entries to rows."""
