"""This node: what it is and what it holds, and who asks it."""
