"""Logs that nobody asked for: files, and the way in that deposits share with them."""
