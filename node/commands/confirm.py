"""`gotong confirm`: an operator says that nothing was lost, so that what waits is published."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.actor import actor
from node.output import AsJson, DataDir, show

if TYPE_CHECKING:
    from node.settings import Settings

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask: for scripts of people who have looked.")]


def confirm(yes: Yes = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say that this node lost nothing of its logs and that its clock is right; then what waits is published."""
    import asyncio

    from node.settings import Settings

    settings = Settings.load(data_dir)
    state = asyncio.run(_state(settings))
    typer.echo(f"This machine's clock says {state['time']} (UTC). Its logs:", err=as_json)
    for log in state["logs"]:
        line = f"  {log['name']}  {log['size']} entries, the newest of {log['newestAt']}  {log['log']}"
        typer.echo(line, err=as_json)
    typer.echo("If anything was published after that, stop here and let the node reach a peer.", err=as_json)
    if not yes and not typer.confirm("Is this all that was ever published here, and the time right?", err=as_json):
        raise typer.Exit(1)
    asyncio.run(_confirmed(settings))
    show({**state, "confirmed": True}, "Confirmed. A running node goes on within moments.", as_json=as_json)


async def _state(settings: "Settings") -> dict[str, Any]:
    from federation.log.entry import instant, parse
    from node.wiring import now, opened
    from store import logs, participants

    found: list[dict[str, Any]] = []
    async with opened(settings) as node:
        await node.operator()
        async with node.database.acquire() as connection:
            for who in await participants.hosted(connection):
                log = await logs.newest_log(connection, who.scid)
                if log is None or log.size == 0:
                    continue
                data = await logs.entry_data(connection, log.id, [log.size - 1])
                newest_at = instant(parse(data[log.size - 1]).at)
                found.append({"name": who.slug, "log": log.origin, "size": log.size, "newestAt": newest_at})
    return {"time": instant(now()), "logs": found}


async def _confirmed(settings: "Settings") -> None:
    from node.wiring import opened
    from store import audit

    async with opened(settings) as node:
        await node.guard.confirm()
        async with node.database.acquire() as connection:
            await audit.record(connection, actor=actor(), action="guard.confirm", subject="node", details={})
