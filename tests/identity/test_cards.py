"""The recovery kit: two cards give back the seed, one gives nothing, and mistakes are named."""

import hashlib
import hmac
from datetime import date
from html.parser import HTMLParser
from itertools import combinations, permutations

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st
from shamir_mnemonic import generate_mnemonics  # type: ignore[import-untyped]

from federation.identity.cards import (
    CARDS,
    WORDS_PER_CARD,
    CardMistyped,
    CardsDifferentKits,
    CardsTooFew,
    combine,
    render_html,
    split,
    update_key,
)
from federation.identity.create import public_key

SEED = bytes(range(32))
KIT = split(SEED)
MADE = date(2026, 11, 22)
DID = "did:webvh:QmTX1H6jy9coPB5T5cJnKkTSLPwRSZmD9sDgnPzoxLxR69:mawar.gotong.test:o:rt05"


@settings(max_examples=5, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.text("abc XYZ!", max_size=8))
def test_any_two_cards_in_any_order_give_back_the_seed(seed: bytes, passphrase: str) -> None:
    cards = split(seed, passphrase.encode())
    assert len(cards) == CARDS
    for pair in permutations(cards, 2):
        assert combine(pair, passphrase.encode()) == seed


def test_all_three_cards_give_back_the_seed_too() -> None:
    assert combine(KIT) == SEED


def test_a_split_is_never_the_same_twice() -> None:
    assert not set(split(SEED)) & set(KIT)


def test_every_card_has_as_many_words_as_the_page_says() -> None:
    assert {len(card.split()) for card in KIT} == {WORDS_PER_CARD}


def test_update_keys_follow_from_the_seed_alone() -> None:
    """RFC 5869 with an empty salt; computed here with the standard library only."""
    prk = hmac.new(bytes(32), SEED, hashlib.sha256).digest()
    for n in (0, 1, 10):
        assert (
            update_key(SEED, n) == hmac.new(prk, f"gotong update key {n}".encode() + b"\x01", hashlib.sha256).digest()
        )
    assert len({update_key(SEED, n) for n in range(50)}) == 50
    assert len(public_key(update_key(SEED, 0))) == 32


def test_a_seed_of_another_length_is_refused() -> None:
    for wrong in (b"", bytes(16), bytes(33)):
        with pytest.raises(ValueError, match="32 bytes"):
            split(wrong)
        with pytest.raises(ValueError, match="32 bytes"):
            update_key(wrong, 0)
    with pytest.raises(ValueError, match="from 0"):
        update_key(SEED, -1)


def test_words_may_be_typed_carelessly() -> None:
    first = "\n".join(f"{n}. {word.upper()}" for n, word in enumerate(KIT[0].split(), start=1))
    second = "  ".join(word[:4] for word in KIT[1].split())
    assert combine([first, second]) == SEED


def test_a_word_that_is_on_no_card_is_named() -> None:
    words = KIT[1].split()
    words[6] = "academik"
    with pytest.raises(CardMistyped) as refusal:
        combine([KIT[0], " ".join(words)])
    assert refusal.value.details == {"card": 2, "position": 7}
    assert "academic" in refusal.value.message


@pytest.mark.parametrize(
    "spoil",
    [
        lambda words: words[:-1],
        lambda words: [*words, "acid"],
        lambda words: [],
        lambda words: [*words[:10], words[11], words[10], *words[12:]],
        lambda words: [*words[:-1], "zero" if words[-1] != "zero" else "acid"],
    ],
    ids=["too few", "too many", "none", "two swapped", "another word"],
)
def test_a_card_with_wrong_words_is_refused(spoil: object) -> None:
    words = KIT[0].split()
    if words[10] == words[11]:  # one kit in a thousand; swapping equals would spoil nothing
        words[10] = "acid" if words[10] != "acid" else "zero"
    with pytest.raises(CardMistyped):
        combine([" ".join(spoil(words)), KIT[1]])  # type: ignore[operator]


def test_a_backup_of_another_kind_is_refused() -> None:
    """A SLIP-39 1-of-1 share of the same size, as wallets make them."""
    alone = generate_mnemonics(1, [(1, 1)], SEED)[0][0]
    with pytest.raises(CardMistyped):
        combine([alone, KIT[0]])


def test_cards_of_two_kits_do_not_mix() -> None:
    for other in (split(SEED), split(bytes(32))):
        for second in other:  # also the card of the same number
            with pytest.raises(CardsDifferentKits):
                combine([KIT[0], second])


def test_one_card_is_too_few_however_often_it_is_given() -> None:
    for cards in ([], [KIT[0]], [KIT[0], KIT[0]]):
        with pytest.raises(CardsTooFew):
            combine(cards)


class _Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.languages: list[str | None] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "section":
            self.languages.append(dict(attrs)["lang"])

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_holds_the_words_in_order_and_their_code() -> None:
    html = render_html(KIT[0], "Kampung Mawar", DID, 1, MADE)
    words = KIT[0].split()
    assert "".join(f"<li>{word}</li>" for word in words) in html
    assert segno.make(" ".join(words), error="m", micro=False).svg_inline(scale=4, border=4) in html
    assert DID in html
    assert MADE.isoformat() in html
    assert all(other not in html for card in KIT[1:] for other in [" ".join(card.split()[4:8])])


@pytest.mark.parametrize(("lang", "order"), [("id", ["id", "en"]), ("en", ["en", "id"])])
def test_the_page_speaks_both_languages_one_first(lang: str, order: list[str]) -> None:
    page = _Page(render_html(KIT[0], "Kampung Mawar", DID, 2, MADE, lang))  # type: ignore[arg-type]
    assert page.languages == order
    text = " ".join(page.text)
    assert "Kartu pemulihan 2 dari 3: Kampung Mawar" in text
    assert "Recovery card 2 of 3: Kampung Mawar" in text
    assert text.count("WhatsApp") == 2


def test_the_page_asks_nobody_and_runs_nothing() -> None:
    page = _Page(render_html(KIT[0], "<script>alert(1)</script> $words", DID, 1, MADE))
    assert not {"script", "img", "link", "iframe", "form"} & set(page.tags)
    assert not {"src", "href", "onload"} & {name for name, _ in page.attributes}
    assert "<script>alert(1)</script> $words" in " ".join(page.text)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes


def test_a_bad_card_is_never_printed() -> None:
    with pytest.raises(CardMistyped):
        render_html(" ".join(KIT[0].split()[::-1]), "Kampung Mawar", DID, 1, MADE)


def test_no_two_cards_share_their_secret_words() -> None:
    """The first four words name kit and card number; from the fifth on nothing is common by construction."""
    for one, other in combinations(KIT, 2):
        assert one.split()[:2] == other.split()[:2]
        assert one.split()[4:] != other.split()[4:]
