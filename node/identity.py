"""Make participants: identity, recovery cards, and their organization record, in this order.

Decides what a DID's host is and where cards go. The kit's seed exists only
between `secrets.token_bytes` and the cards.
"""

import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from domain.errors import GotongError
from domain.records.registry import RECORDS
from federation.did.syntax import compose
from federation.did.webvh import PLACEHOLDER
from federation.identity import cards
from federation.identity.create import Place
from federation.lifecycle.enroll import Enrolled, create_participant, start_node, without_organization
from federation.lifecycle.guests import admitting
from federation.publish.append import Current, Draft, Parts
from node.cards import card_writer
from node.wiring import Node, now

TEST_HOST = "node.gotong.test"


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


async def make_operator(
    node: Node, who: Introduction, *, host: str | None, cards_dir: Path | None, published_at: str | None = None
) -> Enrolled:
    """Return the operator of a node begun in an empty database, its organization published.

    `published_at` is where its identity says that the log is to be found; without it, the base URL.
    """
    _check(node, who)
    if (unfinished := await _finished(node, who)) is not None:
        return unfinished
    seed = secrets.token_bytes(cards.SEED_BYTES)
    enrolled = await start_node(
        node.database,
        node.keys,
        place=did_place(node, who.slug, host),
        base_url=published_at or node.settings.origin,
        network=node.settings.network,
        seed=seed,
        now=now(),
        keep_cards=card_writer(node, who.slug, who.name, seed, cards_dir),
    )
    await _introduce(node, enrolled, who)
    return enrolled


async def make_participant(
    node: Node,
    who: Introduction,
    *,
    cards_dir: Path | None,
    published_at: str | None = None,
    invitation: str | None = None,
) -> Enrolled:
    """Return a new participant hosted on this node, its organization published; `published_at` as above.

    By an `invitation`, its link, or raise what `guests.admitting` does.
    """
    _check(node, who)
    operator = await node.operator()
    if (unfinished := await _finished(node, who)) is not None:
        return unfinished
    seed = secrets.token_bytes(cards.SEED_BYTES)
    enrolled = await create_participant(
        node.database,
        node.keys,
        place=did_place(node, who.slug, operator.host),
        base_url=published_at or node.settings.origin,
        seed=seed,
        now=now(),
        keep_cards=card_writer(node, who.slug, who.name, seed, cards_dir),
        admit=None if invitation is None else admitting(invitation, now()),
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


def _check(node: Node, who: Introduction) -> None:
    """Raise what is wrong with the organization record before anything is made."""
    record_type = RECORDS.named("organization")
    record_type.validate({}, who.body, who.restricted, rev=0, previous=None)
    record_type.check_known(who.body, node.regions)


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
