"""`gotong contact`: who may have an organization's contacts and exact places, and who was given them."""

from typing import Annotated

import typer

from node.actor import actor
from node.output import AsJson, DataDir, Json, show

RELEASES_SHOWN_DEFAULT = 50
RELEASES_SHOWN_MAX = 1_000

app = typer.Typer(help="Who may ask for contacts and exact places, and who did.", no_args_is_help=True)

Organization = Annotated[str, typer.Argument(metavar="ORG", help="Short name or id of the organization they are of.")]
Asker = Annotated[str, typer.Argument(metavar="PARTICIPANT", help="Who may ask: its id, `gotong:<SCID>`.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=RELEASES_SHOWN_MAX, help="How many, newest first.")]


@app.command()
def allow(organization: Organization, participant: Asker, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Allow another participant to ask for them; every time it does is written down."""
    _decide(organization, participant, data_dir, is_allowed=True, as_json=as_json)


@app.command()
def deny(organization: Organization, participant: Asker, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Allow it no longer; what it was given it has."""
    _decide(organization, participant, data_dir, is_allowed=False, as_json=as_json)


@app.command("list")
def list_(organization: Organization, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List who may ask."""
    import asyncio

    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import opened
    from store import restricted

    async def run() -> list[dict[str, Json]]:
        async with opened(Settings.load(data_dir)) as node:
            owner = await hosted_participant(node, organization)
            async with node.database.acquire() as connection:
                return [
                    {"id": f"gotong:{each.asker_scid}", "since": each.granted_at.isoformat(), "by": each.granted_by}
                    for each in await restricted.grants(connection, owner.id)
                ]

    rows = asyncio.run(run())
    text = "\n".join(f"{row['id']}  since {row['since']}, by {row['by']}" for row in rows)
    show({"allowed": rows}, text or "Nobody may ask.", as_json=as_json)


@app.command()
def log(
    organization: Organization,
    limit: Limit = RELEASES_SHOWN_DEFAULT,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Show every request for them, given or refused, newest first."""
    import asyncio

    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import opened
    from store import restricted

    async def run() -> list[dict[str, Json]]:
        async with opened(Settings.load(data_dir)) as node:
            owner = await hosted_participant(node, organization)
            async with node.database.acquire() as connection:
                found = await restricted.releases(connection, owner.id, before=None, limit=limit)
        return [
            {
                "at": each.at.isoformat(),
                "id": f"gotong:{each.asker_scid}",
                "node": f"gotong:{each.node_scid}",
                "record": each.uri,
                "released": each.is_released,
                "rule": each.rule,
            }
            for each in found
        ]

    rows = asyncio.run(run())
    lines = [
        f"{row['at']}  {'given to' if row['released'] else 'refused'} {row['id']} ({row['rule']})  {row['record']}"
        for row in rows
    ]
    show({"requests": rows}, "\n".join(lines) or "Nobody has asked.", as_json=as_json)


@app.command()
def rekey(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Encrypt all of them anew with a new key and destroy the old one; file backups of the database lose theirs."""
    import asyncio

    from federation.sealing.reseal import rotate
    from node.settings import Settings
    from node.wiring import opened

    async def run() -> int:
        async with opened(Settings.load(data_dir)) as node:
            return await rotate(node.database, node.appender.vault)

    done = asyncio.run(run())
    show({"sealed": done}, f"{done} restricted parts are encrypted with a new key.", as_json=as_json)


def _decide(organization: str, participant: str, data_dir: DataDir, *, is_allowed: bool, as_json: bool) -> None:
    import asyncio

    from federation.restricted.release import allow, deny
    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import opened

    asker = participant.removeprefix("gotong:")

    async def run() -> bool:
        async with opened(Settings.load(data_dir)) as node:
            owner = await hosted_participant(node, organization)
            return await (allow if is_allowed else deny)(node.database, owner.scid, asker, actor=actor())

    changed = asyncio.run(run())
    told = "may ask for" if is_allowed else "may not ask for"
    text = f"gotong:{asker} {told} the contacts of {organization}{'' if changed else ', as before'}."
    show({"id": f"gotong:{asker}", "allowed": is_allowed, "changed": changed}, text, as_json=as_json)
