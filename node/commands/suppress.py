"""`gotong suppress`: hide one record on this node, or show it again."""

from typing import Annotated

import typer

from node.actor import actor
from node.output import AsJson, DataDir, Json, show

Record = Annotated[str, typer.Argument(metavar="ID", help="The record: gotong:<SCID>/<type>/<uuid>.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept with the decision.")]
Undo = Annotated[bool, typer.Option("--undo", help="Show it again.")]


def suppress(
    record: Record, reason: Reason = None, undo: Undo = False, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Hide one record on this node; its log is kept and handed on as it is. `--undo` shows it again."""
    import asyncio

    from domain.ids import parse_uri
    from federation.moderation.suppress import set_suppressed
    from node.settings import Settings
    from node.wiring import now, opened

    uri = parse_uri(record)

    async def run() -> bool:
        async with opened(Settings.load(data_dir)) as node:
            return await set_suppressed(
                node.database, uri, suppressed=not undo, actor=actor(), now=now(), reason=reason
            )

    changed = asyncio.run(run())
    answer: dict[str, Json] = {"id": str(uri), "suppressed": not undo, "changed": changed}
    text = f"{uri} is {'shown' if undo else 'hidden'} on this node{'' if changed else ', as before'}."
    show(answer, text, as_json=as_json)
