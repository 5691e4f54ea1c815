"""`gotong org move`: a participant leaves one host and is taken in by another, with its history."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.output import AsJson, DataDir, show
from node.people import CardFiles, Organization, changed_json

if TYPE_CHECKING:
    from federation.lifecycle.custody import Changed
    from federation.lifecycle.moving import Package

app = typer.Typer(help="Move a participant with its history to another host.", no_args_is_help=True)

NewFile = Annotated[Path, typer.Argument(metavar="FILE", help="Where to write what the new host needs. Secret.")]
Source = Annotated[
    str,
    typer.Argument(
        metavar="FILE|ID",
        help="What the old host wrote; or, when there is none any more, `gotong:<SCID>`: contacts are lost then.",
    ),
]
Slug = Annotated[str | None, typer.Option("--slug", help="Short name on this node; the one it had by default.")]

DidHost = Annotated[
    str | None, typer.Option("--did-host", help="Name[:port] that the identity carries, if that is another one now.")
]


@app.command()
def out(organization: Organization, file: NewFile, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Let a participant go: nothing is published for it here any more; write what its new host needs.

    The file has its name once that is so: with one from before, two hosts could write for the participant.
    """
    import asyncio

    from domain.errors import GotongError
    from federation.lifecycle.moving import let_go
    from node.files import finish, forget_unfinished, write_unfinished
    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import opened

    async def run() -> "Package":
        async with opened(Settings.load(data_dir)) as node:
            scid = (await hosted_participant(node, organization)).scid
            await node.require_nothing_lost(scid)  # a log that is handed over too short is taken in by nobody
            return await let_go(node.database, node.appender.vault, scid, lambda data: write_unfinished(file, data))

    try:
        package = asyncio.run(run())
    except GotongError:
        forget_unfinished(file)
        raise
    finish(file)
    text = (
        f"{package.origin} ends here at {package.size} entries. Carry {file} to the new host; it holds contacts: "
        f"delete it afterwards.\nThere: gotong sync, then gotong org move in {file.name}"
    )
    show({"log": package.origin, "size": package.size, "root": package.root, "file": str(file)}, text, as_json=as_json)


@app.command("in")
def in_(
    source: Source,
    slug: Slug = None,
    card: CardFiles = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Take a participant in: its log has to be copied here already. Asks for two of its recovery cards."""
    import asyncio

    from federation.lifecycle.moving import read_package, take_in
    from federation.log.names import parse_origin
    from node.cards import read_seed
    from node.files import read_bounded
    from node.identity import did_place
    from node.mirror import published_at, slug_here
    from node.participants import known_participant
    from node.settings import Settings
    from node.wiring import now, opened

    package = None if source.startswith("gotong:") else read_package(read_bounded(Path(source)))

    async def run() -> "Changed":
        async with opened(Settings.load(data_dir)) as node:
            operator = await node.operator()
            named = source if package is None else parse_origin(package.origin).scid
            found = await known_participant(node, named)
            return await take_in(
                node.database,
                node.keys,
                node.appender.vault,
                found.scid,
                read_seed(card),
                place=did_place(node, await slug_here(node, slug or found.slug), operator.host),
                base_url=await published_at(node),
                now=now(),
                package=package,
            )

    changed = asyncio.run(run())
    text = (
        f"{changed.did} is hosted here now; key {changed.signing_key} signs from entry {changed.size} on.\n"
        "Make a backup of the keys directory, and tell those who copied from the old host this node's address."
    )
    show(changed_json(changed), text, as_json=as_json)


@app.command()
def stay(organization: Organization, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Write again for a participant that was let go or is older in a restored database, if its log's key is here."""
    import asyncio

    from federation.lifecycle.moving import take_back
    from node.participants import known_participant
    from node.settings import Settings
    from node.wiring import opened

    async def run() -> str:
        async with opened(Settings.load(data_dir)) as node:
            found = await known_participant(node, organization)
            await take_back(node.database, node.keys, found.scid)
        return found.did

    did = asyncio.run(run())
    show({"did": did}, f"{did} is published here again.", as_json=as_json)


@app.command()
def here(
    organization: Organization,
    did_host: DidHost = None,
    card: CardFiles = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """After this node went to another address: state it in an identity that is hosted here. Asks for two cards.

    The operator first, then each guest, whose name follows the operator's.
    """
    import asyncio

    from federation.lifecycle.moving import state_address
    from node.cards import read_seed
    from node.identity import did_place
    from node.mirror import published_at
    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import now, opened

    async def run() -> tuple["Changed", str]:
        async with opened(Settings.load(data_dir)) as node:
            participant = await hosted_participant(node, organization)
            place = did_place(node, participant.slug, did_host or (await node.operator()).host)
            base_url = await published_at(node)
            seed = read_seed(card)
            await node.require_nothing_lost(participant.scid, frozen_too=True)
            changed = await state_address(
                node.database, node.keys, participant.scid, seed, place=place, base_url=base_url, now=now()
            )
        return changed, base_url

    changed, base_url = asyncio.run(run())
    text = f"{changed.did} says that it is at {base_url} now. Tell those who copy from this node to add that address."
    show({**changed_json(changed), "address": base_url}, text, as_json=as_json)
