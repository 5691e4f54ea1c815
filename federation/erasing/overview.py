"""Tell operators what was erased, where it is gone, and who has said so within the 72 hours that the law gives. Shell.

An acknowledgement proves that an operator said it, not that no copy exists.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from domain.records.registry import RECORDS
from federation.log.entry import instant
from federation.projection.withdraw import PARTS
from store import erasures
from store.database import Connection, Database
from store.erasures import DEADLINE, Listed


@dataclass(frozen=True, slots=True)
class Told:
    """One erasure, as an operator needs to know it."""

    listed: Listed

    @property
    def uri(self) -> str:
        """The record's id."""
        one_per_log = any(known.one_per_log for known in RECORDS if known.name == self.listed.type)
        scid = self.listed.scid
        return f"gotong:{scid}" if one_per_log else f"gotong:{scid}/{self.listed.type}/{self.listed.record_id}"

    def hours_left(self, now: datetime) -> int:
        """Return the hours until all copies must be gone, negative when that is past."""
        return (self.listed.at + DEADLINE - now) // timedelta(hours=1)

    def state(self, now: datetime) -> str:
        """Return in a word where it stands: IN_FILES, DONE, WAITING or OVERDUE."""
        if self.listed.swept_at is None:
            return "IN_FILES"
        if not self.listed.missing_count and not self.listed.backups_at:
            return "DONE"
        return "OVERDUE" if self.hours_left(now) < 0 else "WAITING"

    def told(self, now: datetime) -> dict[str, Any]:
        """Return everything as plain values."""
        parts = [name for name, number in PARTS.items() if number in self.listed.parts]
        return {
            "id": self.uri,
            "parts": parts,
            "erasedAt": instant(self.listed.at),
            "executedAt": instant(self.listed.executed_at),
            "outOfFilesAt": None if self.listed.swept_at is None else instant(self.listed.swept_at),
            "acknowledgedBy": self.listed.acknowledged,
            "missing": self.listed.missing,
            "backupsAt": self.listed.backups_at,
            "missingCount": self.listed.missing_count,
            "hoursLeft": self.hours_left(now),
            "state": self.state(now),
            "waitsFor": self.listed.waits_for,
        }


async def overview(database: Database, limit: int) -> list[Told]:
    """Return the newest erasures, newest first."""
    async with database.acquire() as connection:
        return await page(connection, before=None, count=limit)


async def page(connection: Connection, *, before: int | None, count: int, scid: str | None = None) -> list[Told]:
    """Return erasures, of all or of one author, newest first, from those numbered below `before` on."""
    return [Told(each) for each in await erasures.listed(connection, count, before=before, scid=scid)]
