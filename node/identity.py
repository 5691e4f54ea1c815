"""Make participants: identity, recovery cards, and their organization record, in this order.

Decides what a DID's host is and where cards go. The kit's seed exists only
between `secrets.token_bytes` and the cards.
"""

import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from domain.errors import GotongError
from domain.records.registry import RECORDS
from federation import cards
from federation.append import Current, Draft, Parts
from federation.did import PLACEHOLDER
from federation.did_create import Place
from federation.did_syntax import compose
from federation.enroll import Enrolled, KeepCards, create_participant, no_cards, start_node, without_organization
from node.wiring import Node, now

TEST_HOST = "node.gotong.test"


class CardsInsideData(GotongError):
    """Recovery cards may not be written into the data directory: whoever takes that would take them too."""

    code: ClassVar[str] = "CARDS_INSIDE_DATA"


class CardExists(GotongError):
    """A recovery card would be written over another one; nothing was made."""

    code: ClassVar[str] = "CARD_EXISTS"


class HostNeeded(GotongError):
    """The node's address is no name that an identity can carry: it needs two labels and may not be an IP address."""

    code: ClassVar[str] = "HOST_NEEDED"


@dataclass(frozen=True, slots=True)
class Introduction:
    """How a new participant introduces itself: short name on this node, name, and its organization record's parts."""

    slug: str
    name: str
    body: dict[str, Any]
    restricted: dict[str, Any] | None = None


async def make_operator(node: Node, who: Introduction, *, host: str | None, cards_dir: Path | None) -> Enrolled:
    """Return the operator of a node begun in an empty database, its organization published."""
    _check(node, who)
    if (unfinished := await _finished(node, who)) is not None:
        return unfinished
    seed = secrets.token_bytes(cards.SEED_BYTES)
    enrolled = await start_node(
        node.database,
        node.keys,
        place=did_place(node, who.slug, host),
        base_url=node.settings.origin,
        network=node.settings.network,
        seed=seed,
        now=now(),
        keep_cards=_card_writer(node, who, seed, cards_dir),
    )
    await _introduce(node, enrolled, who)
    return enrolled


async def make_participant(node: Node, who: Introduction, *, cards_dir: Path | None) -> Enrolled:
    """Return a new participant hosted on this node, its organization published."""
    _check(node, who)
    operator = await node.operator()
    if (unfinished := await _finished(node, who)) is not None:
        return unfinished
    seed = secrets.token_bytes(cards.SEED_BYTES)
    enrolled = await create_participant(
        node.database,
        node.keys,
        place=did_place(node, who.slug, operator.host),
        base_url=node.settings.origin,
        seed=seed,
        now=now(),
        keep_cards=_card_writer(node, who, seed, cards_dir),
    )
    await _introduce(node, enrolled, who)
    return enrolled


def introduction(
    node: Node, *, slug: str, name: str, kind: str, region: str, description: str | None, lang: str = "id"
) -> Introduction:
    """Return the introduction that a few words on the command line make; raise RegionUnknown or RegionAmbiguous."""
    place = node.regions.place(node.regions.resolve(region).code)
    body: dict[str, Any] = {
        "slug": slug,
        "name": [{"lang": lang, "text": name}],
        "kind": kind,
        "place": msgspec.to_builtins(place),
        "languages": [lang],
    }
    if description is not None:
        body["description"] = [{"lang": lang, "text": description}]
    return Introduction(slug, name, body)


def did_place(node: Node, slug: str, host: str | None) -> Place:
    """Return where a DID made here lives, or raise HostNeeded, or the DidError of a malformed one.

    `host` is a name with an optional port; without it, the base URL's. A test node without a name gets TEST_HOST.
    """
    url = urlsplit(node.settings.origin)
    if host is None and node.settings.network == "test" and not _is_gotong_host(url.hostname or "", url.port, slug):
        host = f"{TEST_HOST}:{url.port}" if url.port else TEST_HOST
    name, _, port = (host or url.netloc).partition(":")
    if not _is_gotong_host(name, int(port) if port else None, slug):
        raise HostNeeded(
            "set the base URL to a name such as https://desa.example.org, or give --did-host", host=name, slug=slug
        )
    return Place(name, int(port) if port else None, slug)


def cards_place(node: Node, cards_dir: Path) -> Path:
    """Return the directory for cards, or raise CardsInsideData."""
    directory = cards_dir.resolve()
    if directory.is_relative_to(node.settings.data_dir.resolve()):
        raise CardsInsideData("choose a directory outside the data directory", directory=str(cards_dir))
    return directory


def _check(node: Node, who: Introduction) -> None:
    """Raise what is wrong with the organization record before anything is made."""
    record_type = RECORDS.named("organization")
    record_type.validate({}, who.body, who.restricted, rev=0, previous=None)
    record_type.check_known(who.body, node.regions)


def _card_writer(node: Node, who: Introduction, seed: bytes, cards_dir: Path | None) -> KeepCards:
    """Return what writes the three cards of `seed`; raise CardsInsideData now rather than halfway."""
    if cards_dir is None:
        return no_cards
    directory = cards_place(node, cards_dir)

    def write(did: str) -> None:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number, card in enumerate(cards.split(seed), start=1):
            page = cards.render_html(card, who.name, did, number).encode()
            path = directory / f"{who.slug}-{number}.html"
            try:
                descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            except FileExistsError:
                raise CardExists("a card of that name is there already; move it first", file=str(path)) from None
            with os.fdopen(descriptor, "wb") as file:
                file.write(page)
                file.flush()
                os.fsync(file.fileno())

    return write


async def _finished(node: Node, who: Introduction) -> Enrolled | None:
    """Return the participant whose making was cut off after its cards and its log, introduced now; else None."""
    async with node.database.acquire() as connection:
        unfinished = await without_organization(connection, who.slug)
    if unfinished is not None:
        await _introduce(node, unfinished, who)
    return unfinished


async def _introduce(node: Node, enrolled: Enrolled, who: Introduction) -> None:
    def change(_current: Current | None) -> Parts:
        return Parts({}, who.body, who.restricted)

    await node.appender.append(enrolled.scid, [Draft("organization", None, change)])


def _is_gotong_host(name: str, port: int | None, slug: str) -> bool:
    try:
        compose(PLACEHOLDER, name, port, slug)
    except GotongError:
        return False
    return True
