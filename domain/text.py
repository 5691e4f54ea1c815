"""Decide what text people may put into records: `[{lang, text}]`, bounded, without hidden characters.

Refused: control characters (line breaks are allowed in long text), bidirectional
overrides and isolates (they can make a page read the reverse of what was signed), line
and paragraph separators, byte-order marks, and text of white space only. Not done:
Unicode normalisation. Signed bytes stay as the author typed them.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, ClassVar, Final, Protocol

from msgspec import Meta, Struct

from domain.errors import GotongError

LANG_DEFAULT: Final = "id"
SHORT_TEXT_CHARS_MAX = 200
LONG_TEXT_CHARS_MAX = 10_000
LANGUAGES_MAX = 8

# BCP 47 without variants and extensions: language, optional script, optional region.
LANG_PATTERN: Final = r"^[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?\Z"

_HIDDEN = r"\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff"
LINE_PATTERN: Final = rf"^(?=.*\S)[^\u0000-\u001f{_HIDDEN}]*\Z"
PASSAGE_PATTERN: Final = rf"^(?=[\s\S]*\S)[^\u0000-\u0008\u000b-\u001f{_HIDDEN}]*\Z"

Lang = Annotated[str, Meta(pattern=LANG_PATTERN)]
Line = Annotated[str, Meta(pattern=LINE_PATTERN, max_length=SHORT_TEXT_CHARS_MAX)]
Passage = Annotated[str, Meta(pattern=PASSAGE_PATTERN, max_length=LONG_TEXT_CHARS_MAX)]

_LANG = re.compile(LANG_PATTERN)
_LINE = re.compile(LINE_PATTERN)
_PASSAGE = re.compile(PASSAGE_PATTERN)


class TextInvalid(GotongError):
    """A text is empty, too long, names no language, or hides characters from its reader."""

    code: ClassVar[str] = "TEXT_INVALID"


class ShortText(Struct, frozen=True, gc=False):
    """One line in one language."""

    lang: Lang
    text: Line


class LongText(Struct, frozen=True, gc=False):
    """A passage, line breaks allowed, in one language."""

    lang: Lang
    text: Passage


class Localized(Protocol):
    """What ShortText and LongText have in common."""

    @property
    def lang(self) -> str:
        """A BCP 47 tag."""

    @property
    def text(self) -> str:
        """The words."""


ShortTexts = Annotated[tuple[ShortText, ...], Meta(min_length=1, max_length=LANGUAGES_MAX)]
LongTexts = Annotated[tuple[LongText, ...], Meta(min_length=1, max_length=LANGUAGES_MAX)]


def short_text(text: str, lang: str = LANG_DEFAULT) -> dict[str, str]:
    """Return `{lang, text}` for a title someone typed: trimmed, on one line. Raises TextInvalid."""
    return _entry(" ".join(text.split()), lang, _LINE, SHORT_TEXT_CHARS_MAX)


def long_text(text: str, lang: str = LANG_DEFAULT) -> dict[str, str]:
    """Return `{lang, text}` for a passage someone typed: trimmed, line breaks as \\n. Raises TextInvalid."""
    return _entry(text.replace("\r\n", "\n").replace("\r", "\n").strip(), lang, _PASSAGE, LONG_TEXT_CHARS_MAX)


def _entry(text: str, lang: str, pattern: re.Pattern[str], chars_max: int) -> dict[str, str]:
    if not _LANG.match(lang):
        raise TextInvalid("a language is a tag such as id, en or su-ID", lang=lang[:32])
    if not text:
        raise TextInvalid("a text may not be empty", lang=lang)
    if len(text) > chars_max:
        raise TextInvalid(f"a text has at most {chars_max} characters here", chars=len(text), lang=lang)
    if not pattern.match(text):
        raise TextInvalid("a text may not contain control characters or hidden direction marks", lang=lang)
    return {"lang": lang, "text": text}


def repeated_lang(texts: Iterable[Localized]) -> str | None:
    """Return a language that occurs twice, or None. One language, one text: else readers would see different ones."""
    seen: set[str] = set()
    for entry in texts:
        if entry.lang in seen:
            return entry.lang
        seen.add(entry.lang)
    return None


def pick(texts: Sequence[Mapping[str, str]], langs: Sequence[str]) -> Mapping[str, str]:
    """Return the entry that fits the wanted languages best, else the first (the author's own).

    `langs` is in order of preference; the exact tag wins, then the bare language, then any other form of it.
    `texts` may not be empty.
    """
    for lang in langs:
        related = [entry for entry in texts if _base(entry["lang"]) == _base(lang)]
        if related:
            return min(related, key=lambda entry: (entry["lang"] != lang, entry["lang"] != _base(lang)))
    return texts[0]


def _base(lang: str) -> str:
    return lang.partition("-")[0].lower()


def shorten(text: str, chars_max: int) -> str:
    """Return `text` on one line, cut at a word with an ellipsis if it is longer than `chars_max` characters."""
    line = " ".join(text.split())
    if len(line) <= chars_max:
        return line
    head = line[: chars_max - 1]
    cut = head.rfind(" ")
    return (head[:cut] if cut > chars_max // 2 else head).rstrip(" ,;:.") + "…"
