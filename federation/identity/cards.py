"""The recovery kit: one seed from which all update keys follow, split over three cards of which two suffice.

This module is not in the pure half: `split` draws randomness (the SLIP-39 library does). Nothing here is written to
disk or to a database; the kit exists on paper only, and re-splitting the same seed does not disarm old cards, so
when a card holder leaves in anger make a new seed and commit to its keys instead.
"""

from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from hashlib import sha256
from html import escape
from string import Template
from typing import ClassVar, Literal

import segno
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from shamir_mnemonic import MnemonicError, Share, combine_mnemonics, generate_mnemonics  # type: ignore[import-untyped]
from shamir_mnemonic.wordlist import WORDLIST  # type: ignore[import-untyped]

from domain.errors import GotongError
from federation.identity.cards_text import PAGE, TEXTS

SEED_BYTES = 32
CARDS = 3
CARDS_NEEDED = 2
WORDS_PER_CARD = 33
PREFIX_CHARS = 4
"""SLIP-39 words differ within their first four letters."""

Language = Literal["id", "en"]


class CardMistyped(GotongError):
    """A card's words are misspelt, swapped, missing or too many; the details name card and position where known."""

    code: ClassVar[str] = "CARD_MISTYPED"


class CardsDifferentKits(GotongError):
    """The cards come from different kits, or from different splits of one kit."""

    code: ClassVar[str] = "CARDS_DIFFERENT_KITS"


class CardsTooFew(GotongError):
    """Fewer than two different cards were given."""

    code: ClassVar[str] = "CARDS_TOO_FEW"


def update_key(seed: bytes, n: int) -> bytes:
    """Return private update key `n` (from 0) of a kit: 32 bytes; raise ValueError for a bad seed or a negative `n`.

    HKDF-SHA256 (RFC 5869) without salt, info `gotong update key <n>` with `n` in decimal digits.
    """
    _require_seed(seed)
    if n < 0:
        raise ValueError("update keys are numbered from 0")
    return _derived(seed, f"gotong update key {n}")


def backup_key(seed: bytes) -> X25519PrivateKey:
    """Return the key that opens the backups (info `gotong backup key`); raise ValueError for a bad seed."""
    _require_seed(seed)
    return X25519PrivateKey.from_private_bytes(_derived(seed, "gotong backup key"))


def backup_access(seed: bytes) -> tuple[bytes, str]:
    """Return what a node needs to make backups for these cards: the public backup key, the hash of the reader."""
    return backup_key(seed).public_key().public_bytes_raw(), sha256(backup_reader(seed)).hexdigest()


def backup_reader(seed: bytes) -> bytes:
    """Return the 32 bytes that fetch the participant's backups from a keeper (info `gotong backup reader`)."""
    _require_seed(seed)
    return _derived(seed, "gotong backup reader")


def split(seed: bytes, passphrase: bytes = b"") -> tuple[str, str, str]:
    """Return three cards of 33 words, any two of which give back `seed`; draws randomness.

    Raises ValueError for a seed of another length or a passphrase that is not printable ASCII. SLIP-39 cannot tell a
    wrong passphrase from a right one: it gives another seed, whose keys then do not match the DID.
    """
    _require_seed(seed)
    first, second, third = generate_mnemonics(1, [(CARDS_NEEDED, CARDS)], seed, passphrase)[0]
    return first, second, third


def combine(cards: Sequence[str], passphrase: bytes = b"") -> bytes:
    """Return the seed that two cards hold; raise CardMistyped, CardsTooFew or CardsDifferentKits.

    Words may be typed in any case, with any white space and numbering, and cut to their first four letters.
    """
    typed = [_share(card, number) for number, card in enumerate(cards, start=1)]
    if len({(share.identifier, share.iteration_exponent) for share in typed}) > 1:
        raise CardsDifferentKits("these cards do not belong together: they come from different kits or splits")
    shares = {share.index: share for share in typed}
    if len(shares) < CARDS_NEEDED:
        raise CardsTooFew("two different cards are needed", needed=CARDS_NEEDED, given=len(shares))
    chosen = [share.mnemonic() for share in shares.values()][:CARDS_NEEDED]
    try:
        seed: bytes = combine_mnemonics(chosen, passphrase)
    except MnemonicError:
        raise CardsDifferentKits("these cards do not belong together") from None
    if len(seed) != SEED_BYTES:
        raise CardsDifferentKits("these cards hold something else than a Gotong kit")
    return seed


def check(card: str, number: int) -> None:
    """Return if these are the words of a card, else raise CardMistyped, which names the card by `number`."""
    _share(card, number)


def render_html(card: str, name: str, did: str, n: int, made: date, lang: Language = "id") -> str:
    """Return a printable page for card `n` (1 to 3): words, QR code and what to do with it, in both languages.

    The day it was `made` tells later which cards are the newest.

    The page is self-contained (no script, no request) and speaks `lang` first. Raises CardMistyped for words that
    are no card, so that a bad card is never printed.
    """
    words = _share(card, n).mnemonic().split()
    order: tuple[Language, ...] = ("en", "id") if lang == "en" else ("id", "en")
    facts = {"name": escape(name), "n": str(n), "cards": str(CARDS), "needed": str(CARDS_NEEDED)}
    return Template(PAGE).substitute(
        lang=lang,
        title=Template(TEXTS[lang]["title"]).substitute(facts),
        did=escape(did),
        made=made.isoformat(),
        words="".join(f"<li>{escape(word)}</li>" for word in words),
        qr=segno.make(" ".join(words), error="m", micro=False).svg_inline(scale=4, border=4),
        first=_section(order[0], facts),
        second=_section(order[1], facts),
    )


def _section(lang: Language, facts: dict[str, str]) -> str:
    text = {key: Template(value).substitute(facts) for key, value in TEXTS[lang].items()}
    rules = "".join(f"<li>{text[key]}</li>" for key in ("keep", "apart", "never", "lost"))
    return f'<section lang="{lang}"><h2>{text["title"]}</h2><p>{text["what"]}</p><ul>{rules}</ul></section>'


def _share(card: str, number: int) -> Share:
    typed = [word for word in card.lower().replace(",", " ").split() if not word.strip(".)").isdigit()]
    words = [_word(word, number, position) for position, word in enumerate(typed, start=1)]
    if len(words) != WORDS_PER_CARD:
        raise CardMistyped(f"a card has {WORDS_PER_CARD} words", card=number, words=len(words))
    try:
        share = Share.from_mnemonic(" ".join(words))
    except MnemonicError:
        raise CardMistyped("every word exists, but one is wrong or two are swapped", card=number) from None
    if (share.member_threshold, share.group_count) != (CARDS_NEEDED, 1):
        raise CardMistyped("these are words of another kind of backup", card=number)
    return share


def _word(typed: str, card: int, position: int) -> str:
    if typed in _WORDS:
        return typed
    if len(typed) >= PREFIX_CHARS:
        for word in _WORDS:
            if word.startswith(typed):
                return word
    near = get_close_matches(typed, _WORDS, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise CardMistyped(f"word {position} is not on any card{hint}", card=card, position=position)


def _derived(seed: bytes, info: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info.encode()).derive(seed)


def _require_seed(seed: bytes) -> None:
    if len(seed) != SEED_BYTES:
        raise ValueError(f"a kit's seed has {SEED_BYTES} bytes")


_WORDS: frozenset[str] = frozenset(WORDLIST)
