"""Look up what writing needs to know of a record that may be seen."""

from domain.ids import RecordUri
from domain.records.registry import RECORDS
from schema.compile.read import Source
from schema.compile.visibility import names, visible
from store.database import Database


async def leaf_hash(database: Database, uri: RecordUri) -> str | None:
    """Return the leaf hash, in hex, of a visible record's newest revision; None for participants and for the unseen."""
    record_type = next((known for known in RECORDS if known.name == uri.type), None)
    if uri.id is None or record_type is None:
        return None
    source = Source(record_type.table, record_type.name)
    async with database.acquire() as connection:
        found: bytes | None = await connection.fetchval(
            f"select entry.leaf_hash from {visible(source, 1)} "
            "join entry on entry.log_id = t1.log_id and entry.index = t1.index "
            f"where {names(source, 1)['p']}.scid = $1 and t1.record_id = $2",
            uri.scid,
            uri.id,
        )
    return None if found is None else found.hex()
