"""Restore a participant on this machine: the node's operator in an empty data directory, else a guest of the node.

Decides where the restored participant lives: an operator where it lived before unless told otherwise, a guest with the
node. What its own people decided comes back from the backup; so do, for an operator, settings and peers. It goes on
when everybody was asked who may have more of the log: those named on the command line, and the peers in the backup.
"""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from federation.backup import restore
from federation.backup.contents import NodeBackup
from federation.backup.restore import Hosting
from federation.identity.create import Place
from federation.log.entry import Network, NetworkMismatch
from federation.moderation.trust import add_peer
from federation.sync.client import checked_url
from node.actor import actor
from node.copies import Copies, PeersNotAsked, own_peers
from node.identity import did_place
from node.settings import Settings, write_file
from node.wiring import Node, now, opened
from store import audit, backups, depositors, participants
from store.participants import ParticipantRow


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored; `missing` are indexes of entries whose restricted part is lost, `refused` backups passed.

    `asked` answered; `not_asked` did not, and why.
    """

    scid: str
    did: str
    origin: str
    size: int
    is_operator: bool
    backup_at: str | None
    parts: int
    missing: list[int]
    refused: dict[str, str]
    hosted_before: list[str]
    asked: list[str]
    not_asked: dict[str, str]


async def restore_participant(
    data_dir: Path | None,
    seed: bytes,
    urls: Sequence[str],
    *,
    wanted: str | None,
    base_url: str | None,
    port: int | None,
    private: bool,
    anyway: bool = False,
) -> Restored:
    """Return what was restored from these nodes with the seed of two cards.

    Raises the Peer errors when none of the nodes answers, PeersNotAsked unless `anyway` when some do not,
    IdentityNotFound, LogNotFound, CardsDoNotFit, AlreadyHosted, NetworkMismatch.
    """
    settings = Settings.load(data_dir, base_url=base_url, port=port)
    async with contextlib.AsyncExitStack() as stack:
        copies = Copies(stack, seed)
        named = dict.fromkeys(map(checked_url, urls), private)
        await copies.ask(named)
        network = copies.network
        node = await stack.enter_async_context(opened(settings, migrating=True))
        operator = await _operator(node)
        if operator is not None:
            if settings.network != network:
                raise NetworkMismatch("the copies are of another network", expected=settings.network, found=network)
            await copies.ask(await own_peers(node.database))
        while True:
            scid = restore.identity(copies.sources, wanted)
            origin = await restore.take_log(node.database, copies.sources, scid, network=network, clock=now)
            await restore.check_cards(node.database, scid, seed)
            found = await restore.fetch_backup(node.database, copies.sources, scid, seed)
            of_node = None if found.contents is None or operator is not None else found.contents.node
            named |= _peers_of(of_node, private=private)
            if not await copies.ask(named):  # else they may have more of the log, or a newer backup with more peers
                break
        silent = {url: error.code for url, error in copies.failed.items() if url in named}
        if silent and not anyway:
            told = ", ".join(f"{url} {code}" for url, code in silent.items())
            raise PeersNotAsked(f"who may have more of the log did not answer: {told}; try later, or --anyway")
        hosting = await _hosting(node, operator, scid, base_url, of_node)
        if operator is None:  # before the participant is at home here: whoever dies in between restores once more
            await _add_peers(node, of_node, urls, private=private)
        changed, missing = await restore.begin_again(
            node.database,
            node.keys,
            node.appender.vault,
            origin,
            seed,
            hosting,
            found.contents,
            operator_of=network if operator is None else None,
            now=now(),
            before_commit=lambda: (
                _write_settings(settings, network, hosting, of_node, given_port=port) if operator is None else None
            ),
        )
        await _note(node, scid, urls)
    contents = found.contents
    return Restored(
        scid,
        changed.did,
        changed.origin,
        changed.size,
        operator is None,
        None if contents is None else contents.at.isoformat(),
        0 if contents is None else len(contents.parts),
        missing,
        found.refused,
        [] if of_node is None else [each for each in of_node.hosted if each != scid],
        [source.url for source in copies.sources],
        {url: error.code for url, error in copies.failed.items()},
    )


def _peers_of(of_node: NodeBackup | None, *, private: bool) -> dict[str, bool]:
    known = [] if of_node is None else of_node.peers
    return {peer.url: private or peer.private for peer in known if peer.trust != "blocked"}


async def _operator(node: Node) -> ParticipantRow | None:
    async with node.database.acquire() as connection:
        return await participants.operator(connection)


async def _hosting(
    node: Node, operator: ParticipantRow | None, scid: str, base_url: str | None, of_node: NodeBackup | None
) -> Hosting:
    if operator is None:
        before = None if of_node is None else str(of_node.settings.get("base_url") or "") or None
        return Hosting(base_url or before)
    async with node.database.acquire() as connection:
        known = await participants.find(connection, scid)
    assert known is not None
    place: Place | None = None
    if known.host != operator.host:
        place = did_place(node, known.slug, operator.host)
    return Hosting(node.settings.origin, place)


def _write_settings(
    settings: Settings, network: Network, hosting: Hosting, of_node: NodeBackup | None, *, given_port: int | None
) -> None:
    before: dict[str, Any] = {} if of_node is None else dict(of_node.settings)
    told = {
        "network": network,
        "base_url": hosting.base_url,
        "port": given_port or before.get("port"),
        "host": before.get("host"),
    }
    chosen = Settings.load(settings.data_dir, **told)
    names = [name for name, value in told.items() if value is not None]
    write_file(chosen, names if settings.database_url is None else [*names, "database_url"])


async def _add_peers(node: Node, of_node: NodeBackup | None, urls: Sequence[str], *, private: bool) -> None:
    """Have the peers be peers again, with what was decided about them, and the nodes that had the copies too."""
    known: dict[str, Any] = {} if of_node is None else {peer.url: peer for peer in of_node.peers}
    for url, peer in known.items():
        added = await add_peer(node.database, url, trust=peer.trust, actor=actor(), private=peer.private)
        async with node.database.acquire() as connection:
            if peer.mirrors_us:
                await depositors.add_mirror(connection, added.id)
            if peer.keeps_backups:
                await backups.add_target(connection, added.id)
    for url in map(checked_url, urls):
        if url not in known:
            await add_peer(node.database, url, trust="quarantined", actor=actor(), private=private)


async def _note(node: Node, scid: str, urls: Sequence[str]) -> None:
    async with node.database.acquire() as connection:
        await audit.record(connection, actor=actor(), action="restore", subject=scid, details={"from": list(urls)})
