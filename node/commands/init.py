"""`gotong init`: begin a node."""

from typing import Annotated

import typer

from node.commands.migrate import DatabaseUrl
from node.output import AsJson, DataDir, Json, show
from node.people import CardsDir, Description, Kind, Name, NoCards, Region, Slug, cards_of, told_cards

BaseUrl = Annotated[
    str | None, typer.Option("--base-url", help="Address under which others reach this node (GOTONG_BASE_URL).")
]
Network = Annotated[str | None, typer.Option("--network", help="`live` or `test`: the two never mix.")]
Port = Annotated[int | None, typer.Option("--port", help="TCP port that `gotong up` will listen on.")]
DidHost = Annotated[
    str | None,
    typer.Option("--did-host", help="Name[:port] that identities carry, when it is not the base URL's."),
]
Mirror = Annotated[
    str | None,
    typer.Option(
        "--mirror", metavar="LINK", help="An invitation (gotong peer invite): for a node that nobody can connect to."
    ),
]
Private = Annotated[bool, typer.Option("--private", help="The mirror may be in a private network, or on this machine.")]


def init(
    name: Name,
    region: Region,
    kind: Kind = "NGO",
    slug: Slug = None,
    description: Description = None,
    base_url: BaseUrl = None,
    did_host: DidHost = None,
    network: Network = None,
    port: Port = None,
    mirror: Mirror = None,
    private: Private = False,
    cards: CardsDir = None,
    no_cards: NoCards = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Begin a node in an empty data directory: its database, its operator's identity and recovery cards."""
    import asyncio

    from domain.errors import GotongError
    from federation.mirror.link import parse_link
    from node.actor import actor
    from node.identity import introduction, make_operator
    from node.mirror import invited_slug, join, require_network
    from node.settings import Settings, write_file
    from node.slug import slug_of
    from node.wiring import opened

    if base_url is None and port is not None:
        base_url = f"http://localhost:{port}"
    told = {"base_url": base_url, "network": network, "port": port, "database_url": database_url}
    settings = Settings.load(data_dir, **told)
    invitation = None if mirror is None else parse_link(mirror)
    if invitation is not None:
        require_network(invitation, settings.network)
        slug, did_host = invited_slug(invitation, slug), invitation.host
    short = slug or slug_of(name)
    directory = cards_of(cards, short, no_cards=no_cards, network=settings.network)

    async def run() -> tuple[dict[str, str], GotongError | None]:
        failed: GotongError | None = None
        async with opened(settings, migrating=True) as node:
            who = introduction(node, slug=short, name=name, kind=kind, region=region, description=description)
            published_at = None if invitation is None else invitation.url
            operator = await make_operator(node, who, host=did_host, cards_dir=directory, published_at=published_at)
            if invitation is not None:
                try:
                    await join(node, invitation, trust="quarantined", private=private, actor=actor())
                except GotongError as error:
                    failed = error
        return {"scid": operator.scid, "did": operator.did, "id": f"gotong:{operator.scid}"}, failed

    made, failed = asyncio.run(run())
    stored = ["base_url", "network", "port", "host"]
    write_file(settings, stored if database_url is None else [*stored, "database_url"])
    text = f"The node of {name} is ready.\nIdentity  {made['did']}\n{told_cards(directory)}\nStart it with: gotong up"
    if failed is not None:
        text += f"\nThe mirror was not joined yet: {failed}. Later: gotong peer join LINK"
    elif invitation is not None:
        text += f"\nWhat is published here is deposited at {invitation.url}."
    answer: dict[str, Json] = {**made, "cards": None if directory is None else str(directory)}
    if invitation is not None:
        answer["mirror"] = {"url": invitation.url, "error": None if failed is None else failed.code}
    show(answer, text, as_json=as_json)
