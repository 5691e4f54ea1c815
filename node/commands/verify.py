"""`gotong verify` and `gotong verify-proof`: believe nothing, recompute it."""

from pathlib import Path
from typing import Annotated

import typer

from node.output import AsJson, DataDir, Json, show

Deep = Annotated[
    bool, typer.Option("--deep", help="Also compute every row again from the logs and compare: minutes for a million.")
]
ProofFile = Annotated[
    Path, typer.Argument(help="A proof from an answer's `provenance { proof }`; `-` reads standard input.")
]


def verify(deep: Deep = False, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Check every log this node holds from its first byte: tree, signatures, tiles, payloads."""
    import asyncio

    from federation.projection.check import check_log
    from federation.projection.rebuild import compare
    from node.background import sweep_once
    from node.settings import Settings
    from node.wiring import now, opened
    from store import logs

    settings = Settings.load(data_dir)

    async def run() -> tuple[list[dict[str, Json]], list[dict[str, Json]]]:
        async with opened(settings) as node:
            async with node.database.transaction(isolation="repeatable_read") as connection:
                rows = await logs.heads(connection, trust=["allowed", "quarantined", "blocked"])
                checked = [await check_log(connection, row, network=settings.network) for row in rows]
            found = []
            if deep:
                as_of = now()
                await sweep_once(node.database, as_of)
                found = await compare(node.database, as_of=as_of)
        ok: list[dict[str, Json]] = [
            {
                "log": each.origin,
                "size": each.size,
                "signedSize": each.signed_size,
                "withheld": each.withheld,
                "erased": each.erased,
            }
            for each in checked
        ]
        return ok, [{"table": each.table, "publisher": each.publisher, "record": each.record_id} for each in found]

    checked, differences = asyncio.run(run())
    lines = [
        f"ok  {each['log']}  {each['size']} entries, {each['withheld']} payloads withheld, {each['erased']} erased"
        for each in checked
    ]
    lines += [f"DIFFERS  {each['table']}  {each['publisher']}  {each['record']}" for each in differences]
    if deep and not differences:
        lines.append("ok  every row is what its log says")
    show({"logs": checked, "differences": differences}, "\n".join(lines) or "No log is held here.", as_json=as_json)
    if differences:
        raise typer.Exit(1)


def verify_proof(proof: ProofFile, as_json: AsJson = False) -> None:
    """Check one record's proof offline, without a node or a database, and say what it proves and what not."""
    import sys

    import orjson

    from federation.log.proof import check
    from node.files import read_bounded
    from node.wiring import now

    data = sys.stdin.buffer.read() if str(proof) == "-" else read_bounded(proof)
    proven = check(data.decode(errors="replace"), now())
    answer: dict[str, Json] = {
        "id": proven.uri,
        "did": proven.did,
        "network": proven.network,
        "log": proven.checkpoint.origin,
        "index": proven.index,
        "treeSize": proven.checkpoint.size,
        "entryHash": proven.leaf.hex(),
        "body": None if proven.body is None else orjson.loads(orjson.dumps(proven.body)),
        "proven": list(proven.proven),
        "notProven": list(proven.not_proven),
    }
    lines = [f"{proven.uri}", *(f"proven      {each}" for each in proven.proven)]
    lines += [f"not proven  {each}" for each in proven.not_proven]
    show(answer, "\n".join(lines), as_json=as_json)
