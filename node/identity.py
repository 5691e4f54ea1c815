"""Make participants: identity, recovery cards, and their organization record, in this order.

Decides what a DID's host is and where cards go. The kit's seed exists only
between `secrets.token_bytes` and the cards.
"""

import secrets
from collections.abc import Mapping
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
from federation.enroll import Enrolled, create_participant, start_node
from node.wiring import Node, now

TEST_HOST = "node.gotong.test"


class CardsInsideData(GotongError):
    """Recovery cards may not be written into the data directory: whoever takes that would take them too."""

    code: ClassVar[str] = "CARDS_INSIDE_DATA"


class HostNeeded(GotongError):
    """The node's address is no name that an identity can carry: it needs two labels and may not be an IP address."""

    code: ClassVar[str] = "HOST_NEEDED"


@dataclass(frozen=True, slots=True)
class Profile:
    """What a new participant says of itself at first; `slug` is its short name on this node."""

    slug: str
    name: str
    kind: str
    region: str
    description: str | None = None
    languages: tuple[str, ...] = ("id",)
    extra: Mapping[str, Any] | None = None


async def make_operator(node: Node, profile: Profile, *, host: str | None, cards_dir: Path | None) -> Enrolled:
    """Return the operator of a node begun in an empty database, its organization published."""
    body = organization_body(node, profile)
    seed, place = secrets.token_bytes(cards.SEED_BYTES), did_place(node, profile.slug, host)
    enrolled = await start_node(
        node.database,
        node.keys,
        place=place,
        base_url=node.settings.origin,
        network=node.settings.network,
        seed=seed,
        now=now(),
    )
    await _introduce(node, enrolled, profile, body, seed, cards_dir)
    return enrolled


async def make_participant(node: Node, profile: Profile, *, cards_dir: Path | None) -> Enrolled:
    """Return a new participant hosted on this node, its organization published."""
    body = organization_body(node, profile)
    operator = await node.operator()
    seed = secrets.token_bytes(cards.SEED_BYTES)
    enrolled = await create_participant(
        node.database,
        node.keys,
        place=did_place(node, profile.slug, operator.host),
        base_url=node.settings.origin,
        seed=seed,
        now=now(),
    )
    await _introduce(node, enrolled, profile, body, seed, cards_dir)
    return enrolled


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


def organization_body(node: Node, profile: Profile) -> dict[str, Any]:
    """Return the organization record of a profile, checked, or raise what is wrong with it."""
    region = node.regions.resolve(profile.region)
    body: dict[str, Any] = {
        "slug": profile.slug,
        "name": [{"lang": profile.languages[0], "text": profile.name}],
        "kind": profile.kind,
        "place": msgspec.to_builtins(node.regions.place(region.code)),
        "languages": list(profile.languages),
        **(profile.extra or {}),
    }
    if profile.description is not None:
        body["description"] = [{"lang": profile.languages[0], "text": profile.description}]
    record_type = RECORDS.named("organization")
    record_type.validate({}, body, None, rev=0, previous=None)
    record_type.check_known(body, node.regions)
    return body


def cards_place(node: Node, cards_dir: Path) -> Path:
    """Return the directory for cards, made, or raise CardsInsideData."""
    directory = cards_dir.resolve()
    if directory.is_relative_to(node.settings.data_dir.resolve()):
        raise CardsInsideData("choose a directory outside the data directory", directory=str(cards_dir))
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


async def _introduce(
    node: Node, enrolled: Enrolled, profile: Profile, body: dict[str, Any], seed: bytes, cards_dir: Path | None
) -> None:
    if cards_dir is not None:
        directory = cards_place(node, cards_dir)
        for number, card in enumerate(cards.split(seed), start=1):
            page = cards.render_html(card, profile.name, enrolled.did, number)
            path = directory / f"{profile.slug}-{number}.html"
            path.touch(mode=0o600)
            path.write_text(page, encoding="utf-8")

    def change(_current: Current | None) -> Parts:
        return Parts({}, body)

    await node.appender.append(enrolled.scid, [Draft("organization", None, change)])


def _is_gotong_host(name: str, port: int | None, slug: str) -> bool:
    try:
        compose(PLACEHOLDER, name, port, slug)
    except GotongError:
        return False
    return True
