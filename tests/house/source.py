"""What the house tests look at: the files of this repository and what they import."""

import ast
import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
ROOMS = ("domain", "store", "auth", "federation", "schema", "api", "web", "node")
NOT_OURS = {".git", ".venv", ".gotong", "node_modules", "build", "dist", "results", ".make"}
NOT_OURS_ENDINGS = ("__pycache__", "_cache", ".egg-info", ".hypothesis")


def files() -> Iterator[Path]:
    """Return every file of the checkout that somebody wrote."""
    for directory, below, names in os.walk(ROOT):
        below[:] = [name for name in below if name not in NOT_OURS and not name.endswith(NOT_OURS_ENDINGS)]
        for name in names:
            yield Path(directory) / name


def modules(*rooms: str) -> Iterator[tuple[str, Path]]:
    """Return (dotted name, path) of every module of these rooms, of all by default."""
    for room in rooms or ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(source: str) -> Iterator[str]:
    """Return the dotted name of every import anywhere in `source`: inside functions and for the type checker too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which road is taken"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def names_used(source: str) -> Iterator[str]:
    """Return the dotted name of every attribute that is looked up, such as `datetime.now`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{node.value.id}.{node.attr}"
