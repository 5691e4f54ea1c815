"""The one base of everything Gotong refuses: a broken rule with a stable code.

This module knows no HTTP status and no GraphQL: `api/errors.py` and
`schema/errors.py` translate. An error class is defined beside the rule it
guards; its docstring is the documentation of its code.
"""

from typing import ClassVar

Detail = str | int | bool | None


class GotongError(Exception):
    """A rule was broken."""

    code: ClassVar[str] = "INTERNAL"

    def __init__(self, message: str, **details: Detail) -> None:
        super().__init__(message)
        self.message = message
        self.details = details

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


def error_classes(base: type[GotongError] = GotongError) -> list[type[GotongError]]:
    """Return every loaded error class below `base`, depth first: what docs/errors.md must list."""
    found: list[type[GotongError]] = []
    for child in base.__subclasses__():
        found += [child, *error_classes(child)]
    return found
