"""`gotong erasures`: what was erased here, where it is gone, and who else says so."""

from typing import Annotated, cast

import typer

from node.output import AsJson, DataDir, Json, show

LISTED_DEFAULT = 50
LISTED_MAX = 1_000

app = typer.Typer(help="What authors erased: whether it is out of this node's files, who else did it.")

Limit = Annotated[int, typer.Option("--limit", min=1, max=LISTED_MAX, help="How many, newest first.")]


@app.command("list")
def list_(limit: Limit = LISTED_DEFAULT, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List erasures; of those written here, which peers have acknowledged them and which have not in 72 hours."""
    import asyncio

    from federation.erasing.overview import overview
    from node.settings import Settings
    from node.wiring import now, opened

    async def run() -> list[dict[str, Json]]:
        async with opened(Settings.load(data_dir)) as node:
            return [each.told(now()) for each in await overview(node.database, limit)]

    rows = asyncio.run(run())
    show(rows, "\n".join(_line(row) for row in rows) or "Nothing was erased.", as_json=as_json)


@app.command()
def sweep(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Rewrite the tables that held erased parts now, so that their bytes leave the files; a node does so by itself."""
    import asyncio
    from collections.abc import Awaitable

    from node.erasing import sweep_once
    from node.settings import Settings
    from node.wiring import now, opened
    from store.database import Connection, connect
    from store.sweep import Swept

    async def run() -> Swept | None:
        async with opened(Settings.load(data_dir)) as node:

            def own_connection() -> Awaitable[Connection]:
                return connect(node.dsn, statement_timeout_s=None, application_name="gotong sweep")

            return await sweep_once(own_connection, now())

    swept = asyncio.run(run())
    if swept is None:
        show({"erasures": 0}, "Nothing to sweep, or another process is at it.", as_json=as_json)
        return
    answer: dict[str, Json] = {
        "erasures": swept.erasures,
        "tables": list(swept.tables),
        "waitsFor": None if swept.hold is None else swept.hold.value,
        "heldBy": swept.held_by,
    }
    text = f"{swept.erasures} erasures are out of the files."
    if swept.tables:
        text += f" Written anew: {', '.join(swept.tables)}."
    if swept.hold is not None:
        text += f"\nOthers wait. {_HOLDS[swept.hold.value]}" + (f"\nIt is {swept.held_by}." if swept.held_by else "")
    show(answer, text, as_json=as_json)


_HOLDS = {
    "TRANSACTION": "A transaction that began before may still see them; end it, or wait.",
    "TABLE": "A table is in use for too long to be written anew; it is tried again.",
    "STATISTICS": "The statistics of an empty table keep samples; PostgreSQL 18 or a superuser can drop them.",
    "WRITE_AHEAD_LOG": "The server's write-ahead log keeps them, or this user may not look: docs/operate.md, Erasing.",
    "QUIET_HOUR": "A large table waits for the night, a day at most.",
    "DISK": "Writing a table anew needs as much free disk as the table has.",
}


def _line(row: dict[str, Json]) -> str:
    parts, missing, count = row["parts"], row["missing"], row["missingCount"]
    assert isinstance(parts, list)
    assert isinstance(missing, list)
    assert isinstance(count, int)
    more = f" and {count - len(missing)} more" if count > len(missing) else ""
    held = f"  {row['waitsFor']}" if row["waitsFor"] else ""
    late = f"  {row['hoursLeft']} h left, not acknowledged by {', '.join(map(str, missing))}{more}" if missing else ""
    if row["backupsAt"]:
        late += f"  older backup at {', '.join(map(str, cast('list[str]', row['backupsAt'])))}"
    return f"{row['erasedAt']}  {row['id']}  {' and '.join(map(str, parts))}  {row['state']}{held}{late}"
