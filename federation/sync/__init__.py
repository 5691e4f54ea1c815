"""Copying logs between nodes: what is asked, what is answered, what is taken in."""
