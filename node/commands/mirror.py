"""`gotong mirror`: what this node copies, when it should not copy everything."""

from typing import Annotated

import typer

from node.output import AsJson, DataDir, Json, show

app = typer.Typer(help="What this node copies: everything, or the logs of some regions.", no_args_is_help=True)

What = Annotated[
    list[str] | None,
    typer.Argument(metavar="[CODE|NAME|ID]...", help="Regions (32.03, Cianjur), and participants (`gotong:<SCID>`)."),
]
Everything = Annotated[bool, typer.Option("--everything", help="Copy everything again.")]


@app.command()
def regions(
    what: What = None, everything: Everything = False, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Copy only the logs of these regions and participants, to save data; without any, show what is chosen."""
    import asyncio

    from federation.sync.interest import InterestMalformed, interest_of
    from node.actor import actor
    from node.settings import Settings
    from node.wiring import opened
    from store import audit, choices, peers

    async def run() -> list[str]:
        async with opened(Settings.load(data_dir)) as node:
            await node.operator()
            chosen = [
                each.removeprefix("gotong:") if each.startswith("gotong:") else node.regions.resolve(each).code
                for each in what or []
            ]
            if chosen and interest_of(chosen) is None:
                raise InterestMalformed("name at least one region beside the participants")
            async with node.database.transaction() as connection:
                if chosen or everything:
                    await choices.choose(connection, chosen)
                    await peers.make_due(connection, None)
                    await audit.record(
                        connection, actor=actor(), action="mirror.regions", subject="-", details={"chosen": chosen}
                    )
                return await choices.choices(connection)

    chosen = asyncio.run(run())
    answer: dict[str, Json] = {"mirrored": chosen or None}
    text = f"Copied are logs of: {', '.join(chosen)}." if chosen else "Every log that a peer offers is copied."
    show(answer, text, as_json=as_json)
