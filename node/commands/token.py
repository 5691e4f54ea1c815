"""`gotong token`: an access token for whoever sits at this node's own machine."""

from typing import Annotated

import typer

from node.output import AsJson, DataDir, show

Organization = Annotated[str, typer.Option("--as", help="Short name or id of the organization to write for.")]
Scopes = Annotated[list[str] | None, typer.Option("--scope", help="What it allows; repeat for more than one.")]
Lifetime = Annotated[int, typer.Option("--lifetime", help="Seconds until it expires.")]

SCOPES_DEFAULT = ("records:write",)


def token(
    organization: Organization,
    scope: Scopes = None,
    lifetime_s: Lifetime = 600,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Print a signed, short-lived access token to send as `Authorization: Bearer ...`."""
    import asyncio

    from auth.tokens import issue
    from node.participants import hosted_participant
    from node.settings import Settings
    from node.wiring import TOKEN_KEY, now, opened
    from store import audit

    settings = Settings.load(data_dir)
    scopes = scope or [*SCOPES_DEFAULT]

    async def run() -> tuple[str, str]:
        async with opened(settings) as node:
            participant = await hosted_participant(node, organization)
            identity = f"gotong:{participant.scid}"
            made = issue(
                node.keys.get_or_create(TOKEN_KEY),
                issuer=settings.origin,
                audience=settings.origin,
                subject=identity,
                organizations=[participant.scid],
                scopes=scopes,
                now=now(),
                lifetime_s=lifetime_s,
            )
            async with node.database.acquire() as connection:
                details = {"scopes": scopes, "lifetime_s": lifetime_s}
                await audit.record(connection, actor="command line", action="token", subject=identity, details=details)
        return made, identity

    made, identity = asyncio.run(run())
    show({"token": made, "id": identity, "scopes": scopes, "expires_in_s": lifetime_s}, made, as_json=as_json)
