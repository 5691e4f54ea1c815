"""`gotong keys`: what a participant's people do with two of their three recovery cards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.output import AsJson, DataDir, Json, show
from node.people import CardFiles, Organization, changed_json, told_cards

if TYPE_CHECKING:
    from federation.lifecycle.custody import Changed

app = typer.Typer(help="New keys, new cards, and what to do after a theft.", no_args_is_help=True)

NewCards = Annotated[
    Path | None,
    typer.Option("--cards", metavar="DIR", help="Where the three new cards are written, outside --data."),
]
Rotate = Annotated[
    bool, typer.Option("--rotate", help="Also change the keys on this machine, which the one who left may have had.")
]

Size = Annotated[int, typer.Option("--size", min=1, help="How many entries count: those before the theft.")]
Keep = Annotated[
    int | None,
    typer.Option("--keep", min=1, help="Go on with this node's own entries up to here; the thief signed elsewhere."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list the entries that would be left behind.")]


@app.command()
def rotate(
    organization: Organization, card: CardFiles = None, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Change the keys on this machine: from here on a new one signs. Asks for two recovery cards."""
    import asyncio

    from federation.lifecycle.custody import rotate
    from node.cards import read_seed
    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import now, opened

    async def run() -> "Changed":
        async with opened(Settings.load(data_dir)) as node:
            participant = await hosted_participant(node, organization)
            seed = read_seed(card)
            await node.require_nothing_lost(participant.scid)
            return await rotate(node.database, node.keys, participant.scid, seed, now=now())

    changed = asyncio.run(run())
    show(changed_json(changed), _signs(changed), as_json=as_json)


@app.command()
def kit(
    organization: Organization,
    card: CardFiles = None,
    cards: NewCards = None,
    rotate: Rotate = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Make three new recovery cards; the old ones open nothing any more. Asks for two of the old cards."""
    import asyncio
    import secrets

    from federation.identity.cards import SEED_BYTES
    from federation.lifecycle.custody import renew_kit
    from node.cards import card_writer, read_seed
    from node.participants import hosted_participant, name_of
    from node.settings import Settings
    from node.wiring import now, opened

    async def run() -> tuple["Changed", Path]:
        async with opened(Settings.load(data_dir)) as node:
            participant = await hosted_participant(node, organization)
            directory = cards or Path(f"gotong-cards-{participant.slug}-{now():%Y%m%d}")
            new_seed = secrets.token_bytes(SEED_BYTES)
            name = await name_of(node, participant)
            keep_cards = card_writer(node, participant.slug, name, new_seed, directory)
            seed = read_seed(card)
            await node.require_nothing_lost(participant.scid, frozen_too=not rotate)
            changed = await renew_kit(
                node.database,
                node.keys,
                participant.scid,
                seed,
                new_seed=new_seed,
                now=now(),
                keep_cards=keep_cards,
                rotating=rotate,
            )
        return changed, directory

    changed, directory = asyncio.run(run())
    text = f"The old cards open nothing any more.\n{_signs(changed)}\n{told_cards(directory)}"
    show({**changed_json(changed), "cards": str(directory)}, text, as_json=as_json)


@app.command()
def recover(
    organization: Organization,
    size: Size,
    keep: Keep = None,
    dry_run: DryRun = False,
    card: CardFiles = None,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """After a theft: go on with a new log under a new key, from the last entry that counts. Asks for two cards."""
    import asyncio

    from federation.lifecycle.recover import ENTRIES_SHOWN_MAX, left_behind, recover
    from node.cards import read_seed
    from node.catching_up import require_newest_identity
    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import now, opened

    async def run() -> tuple[list[dict[str, Json]], "Changed | None"]:
        async with opened(Settings.load(data_dir)) as node:
            scid = (await hosted_participant(node, organization)).scid
            if not dry_run:
                await require_newest_identity(node, scid)
            left = await left_behind(node.database, scid, size, keep)
            changed = None
            if not dry_run:
                seed = read_seed(card)
                changed = await recover(node.database, node.keys, scid, seed, size=size, keep=keep, now=now())
        rows: list[dict[str, Json]] = [
            {"index": each.index, "type": each.type, "record": each.record_id, "revision": each.revision}
            for each in left
        ]
        return rows, changed

    left, changed = asyncio.run(run())
    lines = [f"{each['index']:>8}  {each['type']} {each['record']} revision {each['revision']}" for each in left]
    verb = "would be" if changed is None else "are"
    count = f"{ENTRIES_SHOWN_MAX} or more" if len(left) == ENTRIES_SHOWN_MAX else str(len(left) or "No")
    lines.insert(0, f"{count} entries {verb} left behind.")
    lines += [] if changed is None else [_signs(changed)]
    answer: dict[str, Json] = {"leftBehind": left, **({} if changed is None else changed_json(changed))}
    show(answer, "\n".join(lines), as_json=as_json)


def _signs(changed: "Changed") -> str:
    return (
        f"Version {changed.version} of {changed.did}.\n"
        f"Key {changed.signing_key} signs {changed.origin} from entry {changed.size} on."
    )
