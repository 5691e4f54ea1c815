"""`gotong waiting`: what was to be published while nothing may be signed."""

from typing import Any

from node.output import AsJson, DataDir, show

LISTED_MAX = 1_000


def waiting(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List what waits to be published, and what broke a rule when its turn came."""
    import asyncio

    from node.settings import Settings
    from node.wiring import opened
    from store import waiting as store

    async def run() -> list[dict[str, Any]]:
        async with opened(Settings.load(data_dir)) as node, node.database.acquire() as connection:
            rows = await store.listed(connection, LISTED_MAX)
        return [
            {
                "id": row.id,
                "organization": row.slug,
                "type": row.type,
                "askedAt": row.asked_at.isoformat(),
                "refused": None
                if row.refused_code is None
                else {"code": row.refused_code, "message": row.refused_text},
            }
            for row in rows
        ]

    rows = asyncio.run(run())
    lines = [
        f"{row['askedAt']}  {row['type']} of {row['organization']}  "
        + (f"refused: {row['refused']['code']}: {row['refused']['message']}" if row["refused"] else "waits")
        for row in rows
    ]
    show({"waiting": rows}, "\n".join(lines) or "Nothing waits.", as_json=as_json)
