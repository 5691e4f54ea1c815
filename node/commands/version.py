"""`gotong version`: which Gotong this is."""

from node.output import AsJson, show


def version(as_json: AsJson = False) -> None:
    """Print the version of Gotong and of Python."""
    import importlib.metadata
    import platform

    ours = importlib.metadata.version("gotong")
    python = platform.python_version()
    show({"gotong": ours, "python": python}, f"gotong {ours} (Python {python})", as_json=as_json)
