"""Sealed backups: made, kept for peers, brought home."""
