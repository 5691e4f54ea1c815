"""`gotong migrate`: bring the database to what this version needs."""

from typing import Annotated

import typer

from node.output import AsJson, DataDir, show

DatabaseUrl = Annotated[
    str | None,
    typer.Option("--database-url", help="PostgreSQL to use instead of the embedded one (GOTONG_DATABASE_URL)."),
]


def migrate(data_dir: DataDir = None, database_url: DatabaseUrl = None, as_json: AsJson = False) -> None:
    """Apply the database migrations that are missing; do nothing when there are none."""
    import asyncio

    from node.database import database_dsn
    from node.settings import Settings
    from store.migrate import migrate as apply_missing

    settings = Settings.load(data_dir, database_url=database_url)

    async def run() -> list[str]:
        async with database_dsn(settings) as dsn:
            return [migration.name for migration in await apply_missing(dsn)]

    applied = asyncio.run(run())
    text = "\n".join(f"applied {name}" for name in applied) or "The database is up to date."
    show({"applied": applied}, text, as_json=as_json)
