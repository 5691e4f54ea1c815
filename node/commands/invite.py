"""`gotong peer invite` and `gotong peer join`: for nodes that nobody can connect to."""

from typing import Annotated

import typer

from node.output import AsJson, DataDir, Json, show

DAYS_DEFAULT = 7
DAYS_MAX = 90

Slug = Annotated[
    str | None, typer.Option("--slug", help="Short name to keep for it: its identity will live under this node's host.")
]
Days = Annotated[int, typer.Option("--days", min=1, max=DAYS_MAX, help="How long the link can be used.")]
Link = Annotated[str, typer.Argument(metavar="LINK", help="The invitation, as `gotong peer invite` printed it.")]
AllowInvited = Annotated[bool, typer.Option("--allow", help="Show what it publishes, without looking first.")]
AllowMirror = Annotated[bool, typer.Option("--allow", help="Show what the mirror's participants publish, at once.")]
Private = Annotated[bool, typer.Option("--private", help="The mirror may be in a private network, or on this machine.")]


def invite(
    slug: Slug = None,
    days: Days = DAYS_DEFAULT,
    allow: AllowInvited = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Invite a node that nobody can connect to, such as a laptop: it will deposit here. The link works once."""
    import asyncio

    from federation.mirror.join import Invited
    from federation.mirror.join import invite as make
    from federation.mirror.link import write_link
    from node.actor import actor
    from node.settings import Settings
    from node.wiring import now, opened

    settings = Settings.load(data_dir)

    async def run() -> Invited:
        async with opened(settings) as node:
            return await make(
                node.database,
                url=settings.origin,
                network=settings.network,
                slug=slug,
                trust="allowed" if allow else "quarantined",
                days=days,
                now=now(),
                actor=actor(),
            )

    made = asyncio.run(run())
    link = write_link(made.invitation)
    until = made.expires_at.strftime("%Y-%m-%d")
    text = (
        f"{link}\n\n"
        f"Send this link to one person; it works once, until {until}. There: "
        f"gotong init NAME --region CODE --mirror LINK, or, for a node that exists, gotong peer join LINK.\n"
        f"Kirim tautan ini kepada satu orang; hanya bisa dipakai sekali, sampai {until}."
    )
    answer: dict[str, Json] = {
        "link": link,
        "slug": slug,
        "trust": "allowed" if allow else "quarantined",
        "expiresAt": made.expires_at.isoformat(),
    }
    show(answer, text, as_json=as_json)


def join(
    link: Link,
    allow: AllowMirror = False,
    private: Private = False,
    data_dir: DataDir = None,
    as_json: AsJson = False,
) -> None:
    """Deposit what is published here at a mirror that invited this node, and copy from it, by going out alone."""
    import asyncio

    from federation.mirror.link import Joined, parse_link
    from node import mirror
    from node.actor import actor
    from node.settings import Settings
    from node.wiring import opened

    invitation = parse_link(link)
    settings = Settings.load(data_dir)

    async def run() -> Joined:
        async with opened(settings) as node:
            return await mirror.join(
                node, invitation, trust="allowed" if allow else "quarantined", private=private, actor=actor()
            )

    joined = asyncio.run(run())
    text = f"What is published here is deposited at {invitation.url} from now on, while `gotong up` runs."
    if joined.trust != "allowed":
        text += "\nIts operator has yet to allow what you publish; until then nobody sees it there."
    answer: dict[str, Json] = {"url": invitation.url, "mirror": f"gotong:{joined.operator}", "trustThere": joined.trust}
    show(answer, text, as_json=as_json)
