"""`gotong removals`: what people without an account ask this node's operator to have removed."""

from typing import Annotated, ClassVar

import typer

from domain.errors import GotongError
from node.output import AsJson, DataDir, Json, show

app = typer.Typer(help="Requests to have something removed, by people without an account.", no_args_is_help=True)

Number = Annotated[int, typer.Argument(help="The request's number, from `gotong removals list`.")]
Outcome = Annotated[str, typer.Option("--outcome", help="What you did about it; kept with the request.")]


class RemovalNotFound(GotongError):
    """No such request waits: it was settled, or never made."""

    code: ClassVar[str] = "REMOVAL_NOT_FOUND"


@app.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the requests nobody has settled, the oldest first."""
    import asyncio

    from domain.instants import format_instant
    from node.settings import Settings
    from node.wiring import opened
    from store import removals

    async def run() -> list[dict[str, Json]]:
        async with opened(Settings.load(data_dir)) as node, node.database.acquire() as connection:
            return [
                {
                    "number": each.id,
                    "at": format_instant(each.at),
                    "id": each.uri,
                    "reason": each.reason,
                    "contact": each.contact,
                    "told_by": each.told_by,
                    "passed_on": each.is_passed_on,
                }
                for each in await removals.waiting(connection)
            ]

    rows = asyncio.run(run())
    show(rows, "\n".join(map(_told, rows)) or "Nobody asks for anything.", as_json=as_json)


def _told(row: dict[str, Json]) -> str:
    where = f"  asked at {row['told_by']}" if row["told_by"] else ""
    where += "  its home has it" if row["passed_on"] else ""
    return f"{row['number']}  {row['at']}  {row['id']}{where}\n    {row['reason']}  {row['contact'] or ''}"


@app.command()
def settle(number: Number, outcome: Outcome, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Take a request off the list; its reason and contact are deleted, what you did about it is kept."""
    import asyncio

    from node.settings import Settings
    from node.wiring import opened
    from store import removals

    async def run() -> None:
        async with opened(Settings.load(data_dir)) as node, node.database.transaction() as connection:
            if not await removals.settle(connection, number, outcome):
                raise RemovalNotFound("no such request waits", number=number)

    asyncio.run(run())
    show({"number": number}, f"Request {number} is settled.", as_json=as_json)
