"""`gotong participant`: what this node's people decide about who is who."""

from typing import Annotated

import typer

from node.output import AsJson, DataDir, show

app = typer.Typer(help="Who is who: decisions that nobody can prove and people have to make.", no_args_is_help=True)

Old = Annotated[str, typer.Argument(metavar="OLD", help="Id of the participant whose cards are all lost.")]
New = Annotated[str, typer.Argument(metavar="NEW", help="Id of the one that says to be its successor.")]


@app.callback()
def participant() -> None:
    """Who is who: decisions that nobody can prove and people have to make."""


@app.command("accept-successor")
def accept_successor(old: Old, new: New, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Tell readers of this node that OLD goes on as NEW. Ask the people there first: nothing proves it."""
    import asyncio

    from federation.succession import accept_successor
    from node.actor import actor
    from node.settings import Settings
    from node.wiring import opened

    async def run() -> None:
        async with opened(Settings.load(data_dir)) as node:
            await accept_successor(node.database, old, new, actor=actor())

    asyncio.run(run())
    show({"predecessor": old, "successor": new}, f"{old} goes on as {new}, this node says.", as_json=as_json)
