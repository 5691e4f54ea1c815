"""Erasing on the author's word, and who has said that it is done."""
