"""`gotong evidence`: who told two stories, and the proof of it."""

from pathlib import Path
from typing import Annotated, Any

import typer

from node.output import AsJson, DataDir, Json, show

app = typer.Typer(help="Proof that somebody signed two stories; what follows from it.", no_args_is_help=True)

Id = Annotated[str, typer.Argument(help="The evidence's id, or the beginning of it.")]
File = Annotated[Path, typer.Argument(help="A piece of evidence; `-` reads standard input.")]
DidLog = Annotated[
    Path | None,
    typer.Option("--did", metavar="FILE", help="The participant's newest did.jsonl: keys retired there do not count."),
]
LISTED_MAX = 1_000


@app.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List what is known: whose log, and from which size on it is frozen here."""
    rows = _run(_listed(data_dir))
    lines = [f"{row['id'][:16]}  {row['kind']}  {row['log']}  differs at {row['size']}, {row['from']}" for row in rows]
    show(
        {"evidence": rows},
        "\n".join(lines) or "No evidence: nobody is known to have told two stories.",
        as_json=as_json,
    )


@app.command("show")
def show_(evidence_id: Id, data_dir: DataDir = None) -> None:
    """Print one piece of evidence as it is: for a file, a chat, another node's operator."""
    import sys

    sys.stdout.write(_run(_data(evidence_id, data_dir)).decode() + "\n")


@app.command()
def verify(file: File, did_log: DidLog = None, as_json: AsJson = False) -> None:
    """Check a piece of evidence offline, without a node, and say what it proves and what not."""
    import sys

    from federation.did import webvh
    from federation.log.evidence import verify as verified
    from node.files import read_bounded
    from node.wiring import now

    data = sys.stdin.buffer.read() if str(file) == "-" else read_bounded(file)
    known = None if did_log is None else webvh.verify(webvh.split_lines(read_bounded(did_log)), now=now())
    found = verified(data.removesuffix(b"\n"), now(), known)
    answer: dict[str, Json] = {
        "id": found.id.hex(),
        "kind": found.kind,
        "participant": f"gotong:{found.scid}",
        "log": found.origin,
        "size": found.size,
        "told": list(found.told),
        "judgedByVersion": found.judged_by,
    }
    what = "the log's key signed two trees" if found.kind == "fork" else "the identity's keys signed two versions"
    lines = [
        f"proven      gotong:{found.scid}: {what} that differ at {found.size}",
        *(f"            {each}" for each in found.told),
        "not proven  who did it: the owner, a thief of the key, or a backup that was restored and written to",
        f"not proven  that no newer identity than version {found.judged_by} retires the key or begins a new epoch",
    ]
    show(answer, "\n".join(lines), as_json=as_json)


async def _listed(data_dir: Path | None) -> list[dict[str, Any]]:
    from node.settings import Settings
    from node.wiring import opened
    from store import evidence

    async with opened(Settings.load(data_dir)) as node, node.database.acquire() as connection:
        rows = await evidence.listed(connection, 0, LISTED_MAX)
    return [
        {
            "id": row.id.hex(),
            "kind": row.kind,
            "participant": f"gotong:{row.scid}",
            "log": row.origin,
            "size": row.size,
            "foundAt": row.found_at.isoformat(),
            "from": "found here" if row.url is None else f"by way of {row.url}",
        }
        for row in rows
    ]


async def _data(named: str, data_dir: Path | None) -> bytes:
    from api.federation_evidence import EvidenceNotHeld
    from node.settings import Settings
    from node.wiring import opened
    from store import evidence

    async with opened(Settings.load(data_dir)) as node, node.database.acquire() as connection:
        rows = await evidence.listed(connection, 0, LISTED_MAX)
        found = [row.id for row in rows if row.id.hex().startswith(named.lower())]
        data = await evidence.data(connection, found[0]) if len(found) == 1 else None
    if data is None:
        raise EvidenceNotHeld("no such evidence is here, or more than one begins so", id=named[:64])
    return data


def _run(work: Any) -> Any:
    import asyncio

    return asyncio.run(work)
