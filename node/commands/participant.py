"""`gotong participant`: what this node's people decide about who is who."""

from typing import TYPE_CHECKING, Annotated

import typer

from node.output import AsJson, DataDir, Json, show

if TYPE_CHECKING:
    from node.settings import Settings
    from store.vouches import VouchRow

app = typer.Typer(help="Who is who: decisions that nobody can prove and people have to make.", no_args_is_help=True)

Old = Annotated[str, typer.Argument(metavar="OLD", help="Id of the participant whose cards are all lost.")]
New = Annotated[str, typer.Argument(metavar="NEW", help="Id of the one that says to be its successor.")]

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask: for scripts of people who have asked around.")]
WithoutVouch = Annotated[bool, typer.Option("--without-vouch", help="Accept it although no allowed operator vouches.")]
Note = Annotated[str, typer.Option("--note", help="How you know; kept in this node's own records, not published.")]
Withdraw = Annotated[bool, typer.Option("--withdraw", help="Take it back, signed and for everyone to read as well.")]


@app.callback()
def participant() -> None:
    """Who is who: decisions that nobody can prove and people have to make."""


@app.command("accept-successor")
def accept_successor(
    old: Old,
    new: New,
    without_vouch: WithoutVouch = False,
    yes: Yes = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Tell readers of this node that OLD goes on as NEW. Shows who vouches; ask people there too: nothing proves it."""
    import asyncio

    from federation.lifecycle.succession import SuccessorNotVouched
    from federation.log.entry import instant
    from node.settings import Settings

    settings = Settings.load(data_dir)
    found = asyncio.run(_vouchers(settings, old, new))
    if not found and not without_vouch:
        raise SuccessorNotVouched("no operator that is allowed here vouches for it; see --without-vouch", successor=new)
    for each in found:
        who = "this node" if each.is_own else each.host
        typer.echo(f"  {each.name} ({who}) vouches since {instant(each.at)}  gotong:{each.operator_scid}", err=as_json)
    if not found:
        typer.echo("Nobody who is allowed here vouches for it.", err=as_json)
    if not yes and not typer.confirm("Are these the same people?", err=as_json):
        raise typer.Exit(1)
    asyncio.run(_accepted(settings, old, new, without_vouch=without_vouch))
    told: list[Json] = [
        {"operator": f"gotong:{each.operator_scid}", "name": each.name, "host": each.host, "at": instant(each.at)}
        for each in found
    ]
    answer: Json = {"predecessor": old, "successor": new, "vouchers": told}
    show(answer, f"{old} goes on as {new}, this node says.", as_json=as_json)


@app.command()
def vouch(
    old: Old,
    new: New,
    note: Note = "",
    withdraw: Withdraw = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Sign, for everyone to read, that you know the people and that NEW, which says so, is who OLD was."""
    import asyncio

    from federation.lifecycle.vouch import vouch
    from node.actor import actor
    from node.settings import Settings
    from node.wiring import now, opened

    async def run() -> bool:
        async with opened(Settings.load(data_dir)) as node:
            return await vouch(
                node.database, node.keys, old, new, reason=note, actor=actor(), now=now(), withdrawn=withdraw
            )

    is_new = asyncio.run(run())
    verb = "does not vouch any more that" if withdraw else "vouches:"
    text = f"This node's operator {verb} {old} goes on as {new}. Peers hear of it within minutes."
    answer: Json = {"predecessor": old, "successor": new, "vouches": not withdraw, "new": is_new}
    show(answer, text if is_new else "This node's operator vouches for that already.", as_json=as_json)


async def _vouchers(settings: "Settings", old: str, new: str) -> "list[VouchRow]":
    from federation.lifecycle.succession import claimed, vouchers
    from node.wiring import opened

    async with opened(settings) as node, node.database.acquire() as connection:
        return await vouchers(connection, await claimed(connection, old, new))


async def _accepted(settings: "Settings", old: str, new: str, *, without_vouch: bool) -> None:
    from federation.lifecycle.succession import accept_successor
    from node.actor import actor
    from node.wiring import opened

    async with opened(settings) as node:
        await accept_successor(node.database, old, new, actor=actor(), without_vouch=without_vouch)
