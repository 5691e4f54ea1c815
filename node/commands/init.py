"""`gotong init`: begin a node."""

from typing import Annotated

import typer

from node.commands.migrate import DatabaseUrl
from node.commands.org import CardsDir, Description, Kind, Name, NoCards, Region, Slug, cards_of, told_cards
from node.output import AsJson, DataDir, show

BaseUrl = Annotated[
    str | None, typer.Option("--base-url", help="Address under which others reach this node (GOTONG_BASE_URL).")
]
Network = Annotated[str | None, typer.Option("--network", help="`live` or `test`: the two never mix.")]
Port = Annotated[int | None, typer.Option("--port", help="TCP port that `gotong up` will listen on.")]
DidHost = Annotated[
    str | None,
    typer.Option("--did-host", help="Name[:port] that identities carry, when it is not the base URL's."),
]


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
    cards: CardsDir = None,
    no_cards: NoCards = False,
    data_dir: DataDir = None,
    database_url: DatabaseUrl = None,
    as_json: AsJson = False,
) -> None:
    """Begin a node in an empty data directory: its database, its operator's identity and recovery cards."""
    import asyncio

    from node.identity import introduction, make_operator
    from node.settings import Settings, write_file
    from node.slug import slug_of
    from node.wiring import opened

    if base_url is None and port is not None:
        base_url = f"http://localhost:{port}"
    told = {"base_url": base_url, "network": network, "port": port, "database_url": database_url}
    settings = Settings.load(data_dir, **told)
    short = slug or slug_of(name)
    directory = cards_of(cards, short, no_cards=no_cards, network=settings.network)

    async def run() -> dict[str, str]:
        async with opened(settings, migrating=True) as node:
            who = introduction(node, slug=short, name=name, kind=kind, region=region, description=description)
            operator = await make_operator(node, who, host=did_host, cards_dir=directory)
        return {"scid": operator.scid, "did": operator.did, "id": f"gotong:{operator.scid}"}

    made = asyncio.run(run())
    stored = ["base_url", "network", "port", "host"]
    write_file(settings, stored if database_url is None else [*stored, "database_url"])
    text = f"The node of {name} is ready.\nIdentity  {made['did']}\n{told_cards(directory)}\nStart it with: gotong up"
    show({**made, "cards": None if directory is None else str(directory)}, text, as_json=as_json)
