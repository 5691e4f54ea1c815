"""Regions: the code list places are named by."""
