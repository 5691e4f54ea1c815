"""`gotong alerts`: what needs an operator."""

from node.output import AsJson, DataDir, Json, show

TEXTS = {
    "LOG_FORKED": "two stories were signed; the log is frozen (gotong evidence list)",
    "CRITICAL_NEED_WAITS": "in quarantine, with {count} critical open (gotong peer allow|block ID)",
    "PUBLICATION_WAITS": "{count} published here and not signed yet",
    "QUOTA_REACHED": "no more of it is copied before you decide",
    "RULES_BROKEN": "broke rules {count} times within 7 days (gotong reports)",
    "ERASURE_OVERDUE": "{count} erasures of it are not done everywhere after 72 hours (gotong erasures list)",
    "IDENTITY_NEARLY_FULL": "{count}% of what an identity can hold is used; see docs/operate.md before changing keys",
    "PEER_SILENT": "has not answered for a day",
    "PARTICIPANT_WAITS": "waits for your decision, with {count} entries (gotong peer allow|block ID)",
    "PEER_WAITS": "waits for your decision (gotong peer allow|block URL)",
}


def alerts(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Show what needs you, the most urgent first; each ends by itself when its reason does."""
    import asyncio

    from federation.identity.room import IDENTITY_ROOM
    from federation.sync.plan import QUOTAS
    from node.background import CRITICAL
    from node.settings import Settings
    from node.wiring import now, opened
    from store import alerts as alerts_

    settings = Settings.load(data_dir)

    async def run() -> list[dict[str, Json]]:
        async with opened(settings) as node, node.database.acquire() as connection:
            rows = await alerts_.current(connection, now=now(), critical=CRITICAL, quotas=QUOTAS, room=IDENTITY_ROOM)
        return [
            {"kind": row.kind.value, "subject": row.subject, "count": row.count, "since": row.since.isoformat()}
            for row in rows
        ]

    found = asyncio.run(run())
    lines = [f"{each['subject']}  {TEXTS[str(each['kind'])].format(count=each['count'])}" for each in found]
    show({"alerts": found}, "\n".join(lines) or "Nothing needs you.", as_json=as_json)
