"""Erasure: what an author takes back."""
