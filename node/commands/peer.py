"""`gotong peer`, `gotong sync`, `gotong reports`: whom this node copies from, whom it shows, and what was refused."""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.actor import actor
from node.output import AsJson, DataDir, Json, show

if TYPE_CHECKING:
    from federation.moderation.trust import Trust
    from federation.peers.loop import Syncer
    from node.wiring import Node
    from store.peers import PeerRow

REPORTS_SHOWN_DEFAULT = 50
REPORTS_SHOWN_MAX = 1_000

app = typer.Typer(help="The nodes this one copies from, and whose records are shown here.", no_args_is_help=True)

Url = Annotated[str, typer.Argument(metavar="URL", help="Address of the other node, such as https://desa.example.org.")]
OneUrl = Annotated[
    str | None, typer.Argument(metavar="[URL]", help="Address of one peer; all of them by default.", show_default=False)
]
Target = Annotated[
    str, typer.Argument(metavar="URL|ID", help="Address of a peer, or the id of one participant (`gotong:<SCID>`).")
]
Allow = Annotated[bool, typer.Option("--allow", help="Show what its participants publish, without looking first.")]
Private = Annotated[
    bool, typer.Option("--private", help="It may be in a private network, such as a village's LAN, or on this machine.")
]
Bytes = Annotated[int, typer.Option("--bytes", min=0, max=2**50, help="How many bytes of backups it may leave here.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Why; kept with the decision.")]
Limit = Annotated[int, typer.Option("--limit", min=1, max=REPORTS_SHOWN_MAX, help="How many, newest first.")]


@app.command()
def add(
    url: Url, allow: Allow = False, private: Private = False, data_dir: DataDir = None, as_json: AsJson = False
) -> None:
    """Copy from another node from now on; what it holds stays in quarantine until you allow it."""
    from federation.moderation.trust import add_peer
    from federation.requests.addresses import reach_of
    from federation.requests.outbound import check
    from federation.sync.client import checked_url

    address = checked_url(url)

    async def run() -> tuple[str, Json]:
        async with _opened(data_dir) as (node, _):
            await check(address, reach_of(node.settings.network, private=private))
            peer = await add_peer(
                node.database, address, trust="allowed" if allow else "quarantined", actor=actor(), private=private
            )
            return peer.trust, await _introduction(node, peer)

    trust, told = _run(run())
    answer: dict[str, Json] = {"url": address, "trust": trust, "peer": told}
    show(answer, _added_text(address, trust, told), as_json=as_json)


@app.command("list")
def list_(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """List the peers, and the participants of other nodes with the trust they have here."""
    from store import depositors, held, peers

    async def run() -> tuple[list[dict[str, Json]], list[dict[str, Json]], list[dict[str, Json]]]:
        async with _opened(data_dir) as (node, _), node.database.acquire() as connection:
            every = await peers.every(connection)
            depositing = await depositors.every(connection)
            others = await held.others(connection)
        return (
            [_peer_json(peer) for peer in every],
            [
                {"id": f"gotong:{one.operator_scid}", "slug": one.slug, "trust": one.trust, "url": one.url}
                | {"participants": one.participants}
                for one in depositing
            ],
            [
                {"id": f"gotong:{one.scid}", "slug": one.slug, "host": one.host, "trust": one.trust}
                | {"home": one.home_url}
                for one in others
            ],
        )

    known, depositing, participants = _run(run())
    lines = [f"{peer['trust']:<12} {peer['url']}  {_health(peer)}" for peer in known] or ["No peers yet."]
    if depositing:
        lines += ["", "Nodes that deposit here:"]
        lines += [f"{one['trust']:<12} {one['id']}  {one['slug'] or '-'}" for one in depositing]
    if participants:
        lines += ["", "Participants of other nodes:"]
        lines += [f"{one['trust']:<12} {one['id']}  {one['slug']} at {one['host']}" for one in participants]
    show({"peers": known, "depositors": depositing, "participants": participants}, "\n".join(lines), as_json=as_json)


@app.command()
def allow(target: Target, reason: Reason = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show what a peer's participants, or one participant, publish."""
    _set_trust(target, "allowed", reason, data_dir, as_json=as_json)


@app.command()
def quarantine(target: Target, reason: Reason = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Keep copying within a small quota, but show nothing of it."""
    _set_trust(target, "quarantined", reason, data_dir, as_json=as_json)


@app.command()
def block(target: Target, reason: Reason = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Stop copying, and show nothing of it."""
    _set_trust(target, "blocked", reason, data_dir, as_json=as_json)


@app.command("allow-backups")
def allow_backups(url: Target, size: Bytes, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Keep sealed backups for a peer, up to so many bytes; 0 takes no more and keeps what is there."""
    from federation.moderation.trust import PeerNotFound
    from federation.sync.client import checked_url
    from store import audit, backups, depositors, peers

    async def run() -> None:
        async with _opened(data_dir) as (node, _), node.database.transaction() as connection:
            if "://" in url:
                peer = await peers.find(connection, checked_url(url))
                number = None if peer is None else peer.id
            else:
                number = await depositors.find(connection, url.removeprefix("gotong:"))
            if number is None:
                raise PeerNotFound("no such peer was added, and none of that id joined", peer=url)
            await backups.set_allowance(connection, number, size)
            details = {"bytes": size}
            await audit.record(connection, actor=actor(), action="peer.backups", subject=url, details=details)

    _run(run())
    show({"url": url, "bytes": size}, f"{url} may leave {size} bytes of backups here.", as_json=as_json)


def sync(url: OneUrl = None, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Copy what is new from the peers, now and once; a running node does this by itself."""
    from domain.errors import GotongError
    from federation.sync.client import checked_url
    from store import peers
    from store.database import OUR_OWN

    address = None if url is None else checked_url(url)

    async def one(node: "Node", syncer: "Syncer", peer_url: str) -> dict[str, Json]:
        try:
            deposited = await _deposit(node, peer_url)
            done = await syncer.once(peer_url)
        except OUR_OWN:
            raise
        except GotongError as error:
            if address is not None:
                raise
            return {"url": peer_url, "error": {"code": error.code, "message": error.message}}
        return {
            "url": peer_url,
            "entries": done.entries,
            "records": done.records,
            "logs": done.logs,
            "busy": done.busy,
            "overQuota": done.over_quota,
            "outside": done.outside,
            "deposited": deposited,
            "refused": dict(done.refused),
        }

    async def run() -> list[dict[str, Json]]:
        async with _opened(data_dir) as (node, syncer):
            async with node.database.acquire() as connection:
                known = [peer.url for peer in await peers.every(connection) if peer.trust != "blocked"]
            return [await one(node, syncer, peer_url) for peer_url in ([address] if address else known)]

    done = _run(run())
    show({"peers": done}, "\n".join(map(_synced_text, done)) or "No peers yet.", as_json=as_json)
    if any(each.get("error") or each.get("refused") for each in done):
        raise typer.Exit(1)


def reports(limit: Limit = REPORTS_SHOWN_DEFAULT, data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show what peers sent that broke a rule; nothing of it was shown to anyone."""
    from store import peers

    async def run() -> list[dict[str, Json]]:
        async with _opened(data_dir) as (node, _), node.database.acquire() as connection:
            rows = await peers.refusals(connection, limit)
        return [
            {
                "id": row.id,
                "at": row.at.isoformat(),
                "peer": row.peer,
                "log": row.origin,
                "code": row.code,
                "message": row.message,
                "details": row.details,
                "evidence": None if row.evidence is None else row.evidence.hex(),
            }
            for row in rows
        ]

    rows = _run(run())
    lines = [
        f"{row['at']}  {row['code']}  {row['log'] or '-'}  from {row['peer'] or 'a file'}: {row['message']}"
        for row in rows
    ]
    show({"reports": rows}, "\n".join(lines) or "Nothing was refused.", as_json=as_json)


def _set_trust(target: str, trust: "Trust", reason: str | None, data_dir: Any, *, as_json: bool) -> None:
    from federation.moderation.trust import set_depositor_trust, set_participant_trust, set_peer_trust
    from federation.sync.client import checked_url

    async def run() -> int:
        async with _opened(data_dir) as (node, _):
            if "://" in target:
                return await set_peer_trust(node.database, checked_url(target), trust, actor=actor(), reason=reason)
            scid = target.removeprefix("gotong:")
            changed = await set_depositor_trust(node.database, scid, trust, actor=actor(), reason=reason)
            if changed is not None:
                return changed
            return int(await set_participant_trust(node.database, scid, trust, actor=actor(), reason=reason))

    changed = _run(run())
    text = f"{target} is {trust} now; that changed {changed} participant{'' if changed == 1 else 's'}."
    show({"target": target, "trust": trust, "participantsChanged": changed}, text, as_json=as_json)


@contextlib.asynccontextmanager
async def _opened(data_dir: Any) -> AsyncIterator[tuple["Node", "Syncer"]]:
    """Return the node's parts and a syncer that works when asked to."""
    import random

    from federation.peers.loop import Syncer
    from node.settings import Settings
    from node.wiring import now, opened
    from store.database import Connection, connect

    settings = Settings.load(data_dir)
    async with opened(settings) as node:
        await node.operator()

        async def own_connection() -> Connection:
            return await connect(node.dsn, application_name="gotong sync")

        syncer = Syncer(
            node.database,
            node.client,
            settings.network,
            now,
            own_connection,
            random.random,
            fetch_mail=node.mail.fetch,
        )
        try:
            yield node, syncer
        finally:
            await syncer.close()


async def _deposit(node: "Node", url: str) -> int:
    """Return how many entries a peer took of what is published here; nothing for one that is no mirror of this node."""
    from federation.mirror.depositor import hand_over
    from store import depositors, peers

    async with node.database.acquire() as connection:
        peer = await peers.find(connection, url) if url in await depositors.mirrors(connection) else None
    if peer is None:
        return 0
    async with node.client(peer) as client:
        return (await hand_over(node.database, client)).entries


async def _introduction(node: "Node", peer: "PeerRow") -> Json:
    """Return who answers at the address, or why nobody does: a peer may be added while it is down."""
    from domain.errors import GotongError

    try:
        async with node.client(peer) as client:
            heads = await client.heads()
    except GotongError as error:
        return {"error": {"code": error.code, "message": error.message}}
    return {"operator": f"gotong:{heads.operator}", "network": heads.network, "logs": len(heads.logs)}


def _added_text(url: str, trust: str, told: Any) -> str:
    if "error" in told:
        who = f"Nobody answers there right now ({told['error']['code']}); it will be tried again."
    else:
        who = f"Its operator is {told['operator']}; it offers {told['logs']} logs of the {told['network']} network."
    if trust == "allowed":
        return f"{url} is added and allowed. {who}"
    return f"{url} is added, in quarantine. {who}\nWhen you trust it: gotong peer allow {url}"


def _peer_json(peer: Any) -> dict[str, Json]:
    return {
        "url": peer.url,
        "trust": peer.trust,
        "operator": peer.operator_scid and f"gotong:{peer.operator_scid}",
        "lastOkAt": peer.last_ok_at and peer.last_ok_at.isoformat(),
        "failures": peer.failures,
        "lastErrorCode": peer.last_error_code,
        "nextPullAt": peer.next_pull_at.isoformat(),
        "skewMs": peer.skew_ms,
    }


def _health(peer: dict[str, Json]) -> str:
    if peer["failures"]:
        return f"{peer['lastErrorCode']}, {peer['failures']} times; next try {peer['nextPullAt']}"
    return f"in step at {peer['lastOkAt']}" if peer["lastOkAt"] else "not asked yet"


def _synced_text(done: dict[str, Any]) -> str:
    if "error" in done:
        return f"{done['url']}  {done['error']['code']}: {done['error']['message']}"
    text = f"{done['url']}  {done['entries']} entries of {done['logs']} logs, {done['records']} records"
    extra: Sequence[str] = [
        f"{done[name]} {words}"
        for name, words in (
            ("busy", "busy elsewhere"),
            ("overQuota", "wait for your decision"),
            ("outside", "outside the regions chosen"),
            ("deposited", "entries deposited"),
        )
        if done[name]
    ]
    refused = [f"refused {origin}: {code}" for origin, code in done["refused"].items()]
    return "; ".join([text, *extra, *refused])


def _run(work: Any) -> Any:
    import asyncio

    return asyncio.run(work)
