"""`gotong demo`: a small federation to look at."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.output import AsJson, show

if TYPE_CHECKING:
    from node.demo import DemoNode

DemoDir = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="Directory for the demo's nodes; what an earlier demo left is removed."),
]
Once = Annotated[
    bool, typer.Option("--once", help="Publish one more need, wait until another node has it, check its proof, end.")
]
QUESTION_ROWS = 8


def demo(data_dir: DemoDir = Path(".gotong/demo"), once: Once = False, as_json: AsJson = False) -> None:
    """Start four communities' nodes with sample data, federate them, and ask one question about all of them."""
    import asyncio
    import contextlib
    import dataclasses
    import signal
    import sys

    from node.demo import DemoFailed, federation, publish_one_more, run_until_one_ends

    def tell(line: str) -> None:
        sys.stderr.write(f"… {line}\n")

    async def run() -> None:
        async with federation(data_dir, tell) as nodes:
            if once:
                outcome = await publish_one_more(nodes)
                text = (
                    f"{outcome.needs} needs on {outcome.nodes} nodes; one more was answered by another node after "
                    f"{outcome.propagation_ms:.0f} ms, its proof {'holds' if outcome.proof_ok else 'DOES NOT HOLD'}"
                )
                show(dataclasses.asdict(outcome), text, as_json=as_json, compact=True)
                if not outcome.proof_ok:
                    raise DemoFailed("the proof does not hold")
                return
            await _present(nodes, as_json=as_json)
            await run_until_one_ends(nodes)

    async def stoppable() -> None:
        """Run; a SIGTERM ends it as Ctrl-C does, so that no node is left behind."""
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        await run()

    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(stoppable())


async def _present(nodes: "Sequence[DemoNode]", *, as_json: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    from node.demo import QUESTION, ask

    asked = nodes[-1]
    answer = (await ask(asked, QUESTION, {"first": QUESTION_ROWS}))["needs"]
    if as_json:
        rows = [{key: row[key] for key in ("id", "title", "urgency")} for row in answer["nodes"]]
        urls = {node.sample.name: node.url for node in nodes}
        show(
            {"nodes": urls, "question": QUESTION, "totalCount": answer["totalCount"], "answer": rows}, "", as_json=True
        )
        return
    console = Console(width=110)
    for node in nodes:
        console.print(f"[bold]{node.sample.title:<40}[/bold] {node.url}/graphql   {', '.join(node.organizations)}")
    console.print(f"\nAsked {asked.sample.title} alone, answered from its own verified copies:\n")
    console.print(QUESTION, highlight=False, markup=False)
    table = Table(title=f"{answer['totalCount']} urgent needs across all communities")
    for column in ("Kebutuhan", "Urgensi", "Tempat", "Komunitas"):
        table.add_column(column)
    for row in answer["nodes"]:
        table.add_row(row["title"], row["urgency"], _place(row), row["publisher"]["name"])
    console.print(table)
    console.print("Every row carries its proof: provenance { proof }, checked offline by `gotong verify-proof`.")
    console.print("The nodes keep running. Stop them with Ctrl-C.")


def _place(row: dict[str, Any]) -> str:
    region = row["place"]["region"]
    return "" if region is None else str(region["name"])
