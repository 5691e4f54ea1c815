"""`gotong up`: serve."""

from typing import Annotated

import typer

from node.commands.migrate import DatabaseUrl
from node.output import DataDir

Host = Annotated[str | None, typer.Option("--host", help="Address to listen on (GOTONG_HOST).")]
Port = Annotated[int | None, typer.Option("--port", help="TCP port to listen on (GOTONG_PORT).")]
Workers = Annotated[int | None, typer.Option("--workers", help="Processes that serve requests (GOTONG_WORKERS).")]


def up(
    host: Host = None,
    port: Port = None,
    workers: Workers = None,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = None,
) -> None:
    """Migrate the database, then serve GraphQL and the federation until stopped."""
    from node.server import serve
    from node.settings import Settings

    serve(Settings.load(data_dir, host=host, port=port, workers=workers, database_url=database_url))
