"""Needs: what communities ask for."""
