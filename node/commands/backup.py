"""`gotong backup` and `gotong restore`: what is at home only, kept for you by a peer, readable with two cards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from domain.errors import GotongError
from node.output import AsJson, DataDir, Json, show

if TYPE_CHECKING:
    from node.restore import Restored

To = Annotated[str, typer.Option("--to", metavar="URL", help="A peer that keeps backups for this node.")]
Stop = Annotated[bool, typer.Option("--stop", help="Deposit none there any more; what is there stays there.")]
From = Annotated[
    list[str],
    typer.Option("--from", metavar="URL", help="A node that has copies, such as the mirror; give more if there are."),
]
Cards = Annotated[
    list[Path] | None,
    typer.Option("--cards", metavar="FILE", help="A file with the words of one card, or its page; give it twice."),
]
Id = Annotated[
    str | None,
    typer.Option("--id", help="The identity printed on the cards: did:webvh:... or gotong:<SCID>."),
]
BaseUrl = Annotated[
    str | None, typer.Option("--base-url", help="Address under which others reach this node, if it is another now.")
]
Port = Annotated[int | None, typer.Option("--port", help="TCP port that `gotong up` will listen on.")]
Private = Annotated[bool, typer.Option("--private", help="That node may be in a private network or on this machine.")]

Anyway = Annotated[
    bool, typer.Option("--anyway", help="Go on although some who may have more of the log did not answer.")
]


def backup(to: To, stop: Stop = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Deposit a sealed backup with a peer, now and from then on by itself; only two recovery cards open it."""
    import asyncio

    from federation.backup.backing_up import OF_ONE, Deposited
    from federation.moderation.trust import PeerNotFound
    from federation.sync.client import checked_url
    from node.settings import Settings
    from node.wiring import opened
    from store import backups, peers

    async def run() -> list[dict[str, Json]]:
        async with opened(Settings.load(data_dir)) as node:
            await node.operator()
            async with node.database.acquire() as connection:
                peer = await peers.find(connection, checked_url(to))
                if peer is None:
                    raise PeerNotFound("no peer was added under this address", url=to)
                if stop:
                    await backups.remove_target(connection, peer.id)
                    return []
            failure: GotongError | None = None
            done: list[Deposited] = []
            try:
                done = await node.backing_up.to(peer)
            except OF_ONE as error:  # the others are there, and this one is tried again by itself
                failure = error
            async with node.database.acquire() as connection:
                await backups.add_target(connection, peer.id)
        if failure is not None:
            raise failure
        return [{"id": f"gotong:{each.scid}", "version": each.version, "bytes": each.bytes} for each in done]

    done = asyncio.run(run())
    lines = [f"{each['id']}  {each['bytes'] or 'no new'} bytes, version {each['version']}" for each in done]
    text = "No more backups go there." if stop else "\n".join(lines) + "\nFrom now on this happens by itself."
    show({"to": to, "backups": done}, text, as_json=as_json)


def restore(
    from_: From,
    cards: Cards = None,
    id_: Id = None,
    base_url: BaseUrl = None,
    port: Port = None,
    private: Private = False,
    anyway: Anyway = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Bring a lost participant back with two of its cards: identity, log, records, contacts.

    In an empty data directory it is the node's operator, and the node begins anew; otherwise a guest of this node.
    From here on a new key signs. The peers named in the backup are asked as well: the longest log counts.
    """
    import asyncio

    from node.cards import read_seed
    from node.restore import restore_participant

    async def run() -> "Restored":
        return await restore_participant(
            data_dir,
            read_seed(cards),
            from_,
            wanted=id_,
            base_url=base_url,
            port=port,
            private=private,
            anyway=anyway,
        )

    done = asyncio.run(run())
    answer: dict[str, Json] = {
        "id": f"gotong:{done.scid}",
        "did": done.did,
        "log": done.origin,
        "size": done.size,
        "operator": done.is_operator,
        "backupOf": done.backup_at,
        "parts": done.parts,
        "missing": done.missing,
        "refused": done.refused,
        "asked": done.asked,
        "notAsked": done.not_asked,
        "hostedBefore": [f"gotong:{scid}" for scid in done.hosted_before],
    }
    show(answer, _told(done), as_json=as_json)


def _told(done: "Restored") -> str:
    lines = [f"{done.did} is here again: {done.size} entries, signed by a new key from here on."]
    if done.backup_at is None:
        lines.append("No backup was found: contacts and exact places are lost, decisions about who may have them too.")
    else:
        lines.append(f"Backup of {done.backup_at}: {done.parts} restricted parts.")
    if done.missing:
        lines.append(
            f"{len(done.missing)} restricted parts are newer than the backup, or were held back; "
            f"enter them again: entries {', '.join(map(str, done.missing[:20]))}"
        )
    lines.append(f"Asked: {', '.join(done.asked)}.")
    lines += [f"NOT ASKED  {url}: {code}" for url, code in done.not_asked.items()]
    if done.not_asked:
        lines.append("If one of these has more of the log than this, it will refuse what you publish from here on.")
    lines += [f"PASSED BY  backup {place}: {code}" for place, code in done.refused.items()]
    if done.hosted_before:
        lines.append("Hosted here before; restore each with two of its own cards:")
        lines += [f"  gotong:{scid}" for scid in done.hosted_before]
    return "\n".join(lines)
