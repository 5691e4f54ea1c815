"""Take bodies that were missing when their entries came. Shell.

A body that is missing without an erasure is withheld: the one who sent the entry did not have it, or did not give it.
Another peer may. A body counts if the entry commits to it, whoever sends it; one that was erased is dropped, not
stored: its entry is not withheld any more.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import ClassVar

from domain.errors import GotongError
from federation.log.entry import SALT_BYTES, check_payload
from federation.log.entry import parse as parse_entry
from federation.log.static import LENGTH_BYTES
from federation.projection.fold import Arrival
from federation.projection.project import project
from store import erasures, logs
from store.database import Database

Given = Mapping[int, tuple[bytes, bytes]]
"""(salt, body) by index."""


class PayloadsMalformed(GotongError):
    """An answer to a request for payloads is not made of whole ones."""

    code: ClassVar[str] = "PAYLOADS_MALFORMED"


def read_payloads(data: bytes, start: int) -> dict[int, tuple[bytes, bytes]]:
    """Return (salt, body) by index of an answer that begins at `start`, or raise PayloadsMalformed."""
    found: dict[int, tuple[bytes, bytes]] = {}
    at, index = 0, start
    while at < len(data):
        begin = at + LENGTH_BYTES
        end = begin + int.from_bytes(data[at:begin], "big")
        if end > len(data) or begin < end < begin + SALT_BYTES:
            raise PayloadsMalformed("a payload is a length, a salt and a body", index=index)
        if end > begin:
            found[index] = (data[begin : begin + SALT_BYTES], data[begin + SALT_BYTES : end])
        at, index = end, index + 1
    return found


async def take_bodies(database: Database, origin: str, given: Given, *, now: datetime) -> int:
    """Store those of these bodies that are withheld here, and return how many.

    Raises what `check_payload` raises for one that its entry does not commit to; then nothing is stored.
    """
    async with database.transaction() as connection:
        log = await logs.lock_head(connection, origin)
        if log is None:
            return 0
        arrivals = []
        wanted = await erasures.withheld(connection, log.id, list(given))
        for index, data in sorted(wanted.items()):
            entry = parse_entry(data)
            arrivals.append(Arrival(index, entry, check_payload(entry, "body", *given[index])))
        if arrivals:
            bodies = [(arrival.index, *given[arrival.index]) for arrival in arrivals]
            await erasures.give_bodies(connection, log.id, bodies)
            await project(connection, log, arrivals, as_of=now, retried=True)
    return len(arrivals)
