"""Put a node's parts together: database, keys, appender, regions. What commands and the server share."""

import contextlib
import functools
import gc
import importlib.metadata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources

from domain.regions import Regions, parse_regions
from federation.backup.backing_up import BackingUp
from federation.erasing.removal_mail import RemovalMail
from federation.identity.keys import KeyRing
from federation.identity.writing import writable_head
from federation.lifecycle.enroll import NodeMissing
from federation.peers.mail import Mail
from federation.publish.append import Appender
from federation.publish.guard import Guard
from federation.requests.addresses import reach_of
from federation.requests.signer import Signer
from federation.restricted.asking import Asking
from federation.restricted.mailbox import Mailbox
from federation.restricted.release import Releases
from federation.sealing.reseal import reseal
from federation.sync.client import PeerClient
from node.database import database_dsn
from node.settings import Settings
from store import migrate, participants
from store.database import Database, connect
from store.participants import ParticipantRow
from store.peers import PeerRow

COLLECT_AFTER = 10_000
"""New objects that can be part of a cycle before the collector looks for one; Python's own number is 700."""
TOKEN_KEY = "token-0"  # noqa: S105 - the name of a key, not the key


@dataclass(frozen=True, slots=True)
class Node:
    """The parts of one process of a node."""

    settings: Settings
    dsn: str
    database: Database
    keys: KeyRing
    guard: Guard
    appender: Appender

    @property
    def regions(self) -> Regions:
        """The code list, read when it is first asked for: most commands need none of it."""
        return load_regions()

    def client(self, peer: PeerRow) -> PeerClient:
        """Return a client for a peer: signs as this node's operator, reaches what was permitted for that peer."""
        return PeerClient(
            peer.url,
            reach=reach_of(self.settings.network, private=peer.private),
            signer=Signer(self.database, self.keys, now),
            skew_ms=peer.skew_ms or 0,
        )

    def client_at(self, url: str) -> PeerClient:
        """Return a client for an address that an identity names, which is no peer's."""
        return PeerClient(
            url, reach=reach_of(self.settings.network, private=False), signer=Signer(self.database, self.keys, now)
        )

    async def require_nothing_lost(self, scid: str, *, frozen_too: bool = False) -> None:
        """Return if an identity may be changed here, or raise PublicationWaits.

        A database put back from a backup may lack the newest entry of an identity; another in its place would be a
        second story. Raises what `writable_head` does, too.
        """
        async with self.database.transaction() as connection:
            await self.guard.check(connection, await writable_head(connection, scid, frozen_too=frozen_too))

    async def require_newest_identity(self, scid: str) -> None:
        """Return if nothing newer of an identity can be lost here, whatever others hold of its log; raises as above."""
        async with self.database.transaction() as connection:
            await self.guard.check_identity(connection, await writable_head(connection, scid, frozen_too=True))

    @property
    def releases(self) -> Releases:
        """What answers requests for restricted parts that are at home here."""
        return Releases(self.database, self.keys, self.appender.vault, now)

    @property
    def mailbox(self) -> Mailbox:
        """What keeps such requests for nodes that deposit here."""
        return Mailbox(self.database, now)

    @property
    def mail(self) -> Mail:
        """What fetches requests that wait for this node elsewhere."""
        return Mail(self.releases, RemovalMail(self.database))

    @property
    def asking(self) -> Asking:
        """What asks other homes for restricted parts."""
        return Asking(self.releases, self.mailbox, self.client, self.client_at)

    @property
    def backing_up(self) -> BackingUp:
        """What deposits this node's backups with peers."""
        kept = self.settings
        settings: dict[str, str | int] = {
            "base_url": kept.origin,
            "network": kept.network,
            "host": kept.host,
            "port": kept.port,
        }
        return BackingUp(self.database, self.keys, self.appender.vault, self.client, now, settings)

    async def operator(self) -> ParticipantRow:
        """Return the operator participant, or raise NodeMissing."""
        async with self.database.acquire() as connection:
            operator = await participants.operator(connection)
        if operator is None:
            raise NodeMissing("there is no node in this data directory yet; run `gotong init` first")
        return operator


@contextlib.asynccontextmanager
async def opened(settings: Settings, *, migrating: bool = False) -> AsyncIterator[Node]:
    """Return the parts, closed afterwards; apply missing migrations, or raise MigrationPending when not `migrating`."""
    async with database_dsn(settings) as dsn:
        if migrating:
            await migrate.migrate(dsn)
        database = Database(
            dsn, connections=settings.database_connections, statement_timeout_s=settings.statement_timeout_s
        )
        async with database:
            if not migrating:
                async with database.acquire() as connection:
                    await migrate.check(connection)
            keys = KeyRing(settings.data_dir / "keys")
            guard = Guard(lambda: connect(dsn, application_name="gotong guard"), settings.data_dir)
            appender = Appender(database, keys, now, guard.check)
            if migrating:
                await reseal(database, appender.vault)
            try:
                yield Node(settings, dsn, database, keys, guard, appender)
            finally:
                await guard.close()


def settle_memory() -> None:
    """Take what start-up made out of the collector's sight, and have it look less often.

    What start-up made stays for good and is much to look through. What comes and goes with requests and batches has
    no cycles: it goes by itself.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)


@functools.cache
def load_regions() -> Regions:
    """Return the packaged code list of regions; it is read once."""
    text = resources.files("domain.data").joinpath("regions.csv").read_text(encoding="utf-8")
    return Regions(parse_regions(text.splitlines()))


def now() -> datetime:
    """Return the present instant: the node's only clock."""
    return datetime.now(UTC)


def version() -> str:
    """Return the version of Gotong that runs."""
    return importlib.metadata.version("gotong")
