"""Extending the logs hosted here: the only road on which this node signs records."""
