"""Requests between nodes: who signed them, where they may go, why they were refused."""
