"""Take recovery cards from people or files, and write new ones where people will find them.

The words are read, put together to the kit's seed and forgotten. They are never an argument of a command: arguments
can be read by everybody on the machine and stay in the shell's history.
"""

import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import typer

from domain.errors import GotongError
from federation.identity import cards
from federation.lifecycle.enroll import KeepCards, no_cards
from node.wiring import Node, now

FILE_BYTES_MAX = 1024 * 1024
_PAGE_WORDS = re.compile(r"<li>([a-z]+)</li>")


class CardsInsideData(GotongError):
    """Recovery cards may not be written into the data directory: whoever takes that would take them too."""

    code: ClassVar[str] = "CARDS_INSIDE_DATA"


class CardExists(GotongError):
    """A recovery card would be written over another one; nothing was made."""

    code: ClassVar[str] = "CARD_EXISTS"


class CardUnreadable(GotongError):
    """A file that should hold a card's words cannot be read."""

    code: ClassVar[str] = "CARD_UNREADABLE"


def read_seed(files: Sequence[Path] | None) -> bytes:
    """Return the seed of two cards from files, from a person, or from the lines of standard input.

    Raises CardUnreadable, CardMistyped, CardsTooFew or CardsDifferentKits.
    """
    if files:
        return cards.combine([_words(path) for path in files])
    if sys.stdin.isatty():
        return cards.combine([_asked(number) for number in range(1, cards.CARDS_NEEDED + 1)])
    return cards.combine([line for line in sys.stdin.read(FILE_BYTES_MAX).splitlines() if line.strip()])


def cards_place(node: Node, cards_dir: Path) -> Path:
    """Return the directory for cards, or raise CardsInsideData."""
    directory = cards_dir.resolve()
    if directory.is_relative_to(node.settings.data_dir.resolve()):
        raise CardsInsideData("choose a directory outside the data directory", directory=str(cards_dir))
    return directory


def card_writer(node: Node, slug: str, name: str, seed: bytes, cards_dir: Path | None) -> KeepCards:
    """Return what writes the three cards of `seed`; raise CardsInsideData now rather than halfway."""
    if cards_dir is None:
        return no_cards
    directory = cards_place(node, cards_dir)

    def write(did: str) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number, card in enumerate(cards.split(seed), start=1):
            page = cards.render_html(card, name, did, number, now().date()).encode()
            path = directory / f"{slug}-{number}.html"
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                raise CardExists("a card of that name is there already; move it first", file=str(path)) from None
            with os.fdopen(descriptor, "wb") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())

    return write


def _words(path: Path) -> str:
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX).decode()
    except (OSError, UnicodeDecodeError):
        raise CardUnreadable("this file cannot be read", file=str(path)) from None
    return " ".join(_PAGE_WORDS.findall(text)) or text


def _asked(number: int) -> str:
    """Return the words of one card as typed or scanned; what is mistyped is said at once and asked again."""
    while True:
        typed: str = typer.prompt(f"Kartu / card {number}: {cards.WORDS_PER_CARD} kata / words", err=True)
        try:
            cards.check(typed, number)
        except cards.CardMistyped as error:
            typer.echo(f"{error}", err=True)
        else:
            return typed
