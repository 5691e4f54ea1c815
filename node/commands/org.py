"""`gotong org`: the participants this node hosts."""

from pathlib import Path
from typing import Annotated

import typer

from node.output import AsJson, DataDir, show
from node.people import (
    CardFiles,
    CardsDir,
    Description,
    Kind,
    Name,
    NoCards,
    Organization,
    Region,
    Slug,
    cards_of,
    changed_json,
    told_cards,
)

app = typer.Typer(help="The communities and organizations this node hosts.", no_args_is_help=True)


ForWhom = Annotated[str, typer.Argument(metavar="NOTE", help="For whom it is: your own note, shown to nobody else.")]
Days = Annotated[int, typer.Option("--days", min=1, max=90, help="How long the link works.")]


@app.command()
def create(
    name: Name,
    region: Region,
    kind: Kind = "COMMUNITY",
    slug: Slug = None,
    description: Description = None,
    cards: CardsDir = None,
    no_cards: NoCards = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a participant: identity, log key, recovery cards, and its public organization record."""
    _make(name, region, kind, slug, description, cards, data_dir, no_cards=no_cards, as_json=as_json)


@app.command()
def invite(note: ForWhom, days: Days = 7, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Invite a community to be hosted here: prints a link that works once."""
    import asyncio

    from federation.lifecycle.guests import Invited, invite
    from node.actor import actor
    from node.settings import Settings
    from node.wiring import now, opened

    settings = Settings.load(data_dir)

    async def run() -> Invited:
        async with opened(settings) as node:
            await node.operator()
            return await invite(node.database, settings.origin, note=note, days=days, now=now(), actor=actor())

    made = asyncio.run(run())
    text = (
        f"{made.link}\n\nBerlaku satu kali, sampai {made.expires_at:%Y-%m-%d}. / Works once, until then.\n"
        "On this machine: gotong org accept LINK NAME --region CODE"
    )
    show({"link": made.link, "expiresAt": made.expires_at.isoformat()}, text, as_json=as_json)


@app.command()
def accept(
    link: Annotated[str, typer.Argument(metavar="LINK", help="The invitation, as `gotong org invite` printed it.")],
    name: Name,
    region: Region,
    kind: Kind = "COMMUNITY",
    slug: Slug = None,
    description: Description = None,
    cards: CardsDir = None,
    no_cards: NoCards = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Come to this node by an invitation: makes the participant, with its own cards, as `org create` does."""
    _make(name, region, kind, slug, description, cards, data_dir, no_cards=no_cards, as_json=as_json, invitation=link)


def _make(
    name: str,
    region: str,
    kind: str,
    slug: str | None,
    description: str | None,
    cards: Path | None,
    data_dir: Path | None,
    *,
    no_cards: bool,
    as_json: bool,
    invitation: str | None = None,
) -> None:
    import asyncio

    from node.identity import introduction, make_participant
    from node.mirror import published_at, slug_here
    from node.settings import Settings
    from node.slug import slug_of
    from node.wiring import opened

    settings = Settings.load(data_dir)
    asked = slug or slug_of(name)
    directory = cards_of(cards, asked, no_cards=no_cards, network=settings.network)

    async def run() -> dict[str, str]:
        async with opened(settings) as node:
            short = await slug_here(node, asked)
            who = introduction(node, slug=short, name=name, kind=kind, region=region, description=description)
            made = await make_participant(
                node, who, cards_dir=directory, published_at=await published_at(node), invitation=invitation
            )
        return {"scid": made.scid, "did": made.did, "id": f"gotong:{made.scid}", "slug": short}

    made = asyncio.run(run())
    text = f"{name} is here.\nIdentity  {made['did']}\n{told_cards(directory)}"
    show({**made, "cards": None if directory is None else str(directory)}, text, as_json=as_json)


@app.command()
def deactivate(
    organization: Organization,
    card: CardFiles = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """End a participant for good: its records stay, nothing is added. Asks for two of its recovery cards."""
    import asyncio

    from federation.lifecycle.custody import Changed, end
    from node.cards import read_seed
    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import now, opened

    async def run() -> Changed:
        async with opened(Settings.load(data_dir)) as node:
            scid = (await hosted_participant(node, organization)).scid
            await node.require_nothing_lost(scid)
            return await end(node.database, node.keys, scid, read_seed(card), now=now())

    ended = asyncio.run(run())
    show(changed_json(ended), f"{ended.did} has ended at {ended.size} entries.", as_json=as_json)


@app.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the participants this node hosts."""
    import asyncio

    from node.settings import Settings
    from node.wiring import opened
    from store import participants

    async def run() -> list[dict[str, str]]:
        async with opened(Settings.load(data_dir)) as node, node.database.acquire() as connection:
            return [
                {"slug": row.slug, "id": f"gotong:{row.scid}", "did": row.did}
                for row in await participants.hosted(connection)
            ]

    rows = asyncio.run(run())
    show(rows, "\n".join(f"{row['slug']:<24} {row['id']}" for row in rows), as_json=as_json)
