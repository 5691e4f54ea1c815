"""`gotong peer suggest`: whom this node could copy from, as its peers say."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.output import AsJson, DataDir, Json, show

if TYPE_CHECKING:
    import asyncio

    from federation.sync.directory import Listing
    from node.wiring import Node
    from store.peers import PeerRow

ASKED_MAX = 50
"""Peers asked; one hop, so nobody is asked that this node's operator did not add."""
AT_ONCE_MAX = 8

Region = Annotated[str, typer.Option("--region", help="Where: a region code such as 32.03, or a name.")]


def suggest(region: Region, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Ask the peers which nodes they know in a region, and show who says so. Nothing is added."""
    import asyncio

    from node.settings import Settings
    from node.wiring import opened
    from store import peers

    async def run() -> tuple[list[dict[str, Json]], dict[str, Json]]:
        async with opened(Settings.load(data_dir)) as node:
            operator = await node.operator()
            code = node.regions.resolve(region).code
            async with node.database.acquire() as connection:
                known = await peers.every(connection)
            asked = [peer for peer in known if peer.trust != "blocked"][:ASKED_MAX]
            turns = asyncio.Semaphore(AT_ONCE_MAX)
            answers = await asyncio.gather(*(_ask(node, peer, code, turns) for peer in asked))
        ours = {peer.url for peer in known}
        found: dict[str, dict[str, Json]] = {}
        vouching: dict[str, list[str]] = {}
        for peer, listings in zip(asked, answers, strict=True):
            for each in listings if isinstance(listings, list) else []:
                if each.url not in ours and each.operator != operator.scid:
                    found.setdefault(each.url, _json(each))
                    vouching.setdefault(each.url, []).append(peer.url)
        failed: dict[str, Json] = {
            peer.url: answer for peer, answer in zip(asked, answers, strict=True) if isinstance(answer, str)
        }
        return [each | {"saidBy": vouching[url]} for url, each in found.items()], failed

    found, failed = asyncio.run(run())
    lines = [
        f"{each['url']}  {each['name']}, {each['participants']} participants; said by {', '.join(map(str, said))}"
        for each in found
        if isinstance(said := each["saidBy"], list)
    ]
    lines += [f"{url} gave no answer: {code}" for url, code in failed.items()]
    text = "\n".join(lines) or "No peer names a node there that is not a peer already."
    if found:
        text += "\nTo copy from one of them: gotong peer add URL"
    show({"nodes": found, "failed": failed}, text, as_json=as_json)


async def _ask(node: "Node", peer: "PeerRow", region: str, turns: "asyncio.Semaphore") -> "list[Listing] | str":
    """Return what a peer's directory says of a region, or the code of why it did not."""
    from domain.errors import GotongError

    async with turns:
        try:
            async with node.client(peer) as client:
                return await client.directory(region)
        except GotongError as error:
            return error.code


def _json(listing: "Listing") -> dict[str, Json]:
    return {
        "url": listing.url,
        "operator": f"gotong:{listing.operator}",
        "name": listing.name,
        "regions": listing.regions,
        "participants": listing.participants,
    }
