"""Print what a command has to say: text for people, one JSON document with `--json`."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from domain.errors import GotongError

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]

DataDir = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Data directory of the node (GOTONG_DATA_DIR).", show_default=".gotong"),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def show(answer: Json, text: str, *, as_json: bool, compact: bool = False) -> None:
    """Print `answer` as JSON (`compact`: on one line), or `text`."""
    sys.stdout.write(f"{_encoded(answer, compact=compact)}\n" if as_json else f"{text}\n")
    sys.stdout.flush()  # whoever reads a pipe from a command that goes on running waits for this


def show_error(error: GotongError, *, as_json: bool) -> None:
    """Print a refusal: `CODE: message` to standard error, or the one JSON document to standard output."""
    if as_json:
        answer: Json = {"code": error.code, "message": error.message, "details": dict(error.details)}
        sys.stdout.write(f"{_encoded({'error': answer})}\n")
    else:
        details = "".join(f"\n  {name}: {value}" for name, value in error.details.items() if value is not None)
        sys.stderr.write(f"{error}{details}\n")


def _encoded(answer: Json, *, compact: bool = False) -> str:
    import orjson

    return orjson.dumps(answer, option=0 if compact else orjson.OPT_INDENT_2).decode()
