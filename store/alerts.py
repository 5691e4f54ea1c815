"""What needs an operator: computed from what is, so that it ends by itself when its reason does."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import Enum

from store.database import Connection
from store.erasures import DEADLINE as ERASURE_DEADLINE
from store.erasures import OLD_BACKUPS_SQL, SAID_SQL
from store.peers import PEER_NAME_SQL

ALERTS_MAX = 200
"""Of each kind, the newest."""
PEER_SILENT_AFTER = timedelta(days=1)
RULES_BROKEN_WITHIN = timedelta(days=7)
PUBLICATION_WAITS_AFTER = timedelta(minutes=15)
SIGNED_BY_THE_LOG = "{OWN_LOG_LONGER,LOG_FORKED}"
"""Reports about a log's own key: whoever shows what it signed breaks no rule, and helps."""
IDENTITY_PERCENT_TOLD = 75
"""Of what an identity can hold: some thirty changes of keys are left, of one log's keys eight."""


class AlertKind(Enum):
    """Why an operator is needed; the most urgent first."""

    LOG_FORKED = "LOG_FORKED"
    CRITICAL_NEED_WAITS = "CRITICAL_NEED_WAITS"
    PUBLICATION_WAITS = "PUBLICATION_WAITS"
    QUOTA_REACHED = "QUOTA_REACHED"
    ERASURE_OVERDUE = "ERASURE_OVERDUE"
    IDENTITY_NEARLY_FULL = "IDENTITY_NEARLY_FULL"
    RULES_BROKEN = "RULES_BROKEN"
    PEER_SILENT = "PEER_SILENT"
    PARTICIPANT_WAITS = "PARTICIPANT_WAITS"
    PEER_WAITS = "PEER_WAITS"


_REASONS = {
    AlertKind.LOG_FORKED: "select origin, 1 from log where frozen_size is not null and is_projected",  # none took over
    AlertKind.CRITICAL_NEED_WAITS: """
        select 'gotong:' || scid, count(*) from need join participant on participant.id = publisher_id
        where trust = 'quarantined' and urgency = $4 and state = 'OPEN' and not exercise group by scid
    """,
    AlertKind.PUBLICATION_WAITS: """
        select 'gotong:' || scid, count(*) from waiting join participant on participant.id = participant_id
        where asked_at < $1::timestamptz - $5::interval group by scid
    """,
    AlertKind.QUOTA_REACHED: """
        select origin, size from log join participant on participant.id = participant_id
        where trust = 'quarantined' and (size >= $6 or quarantined_bytes >= $7)
    """,
    AlertKind.ERASURE_OVERDUE: f"""
        select origin, overdue.count from log join participant on participant.id = participant_id
        cross join lateral (select min(coalesce(said.size, 0)) {SAID_SQL}) everywhere (size)
        cross join lateral (select min(sent.size) {OLD_BACKUPS_SQL}) kept (size)
        cross join lateral (
            select count(*) from (
                select index from erasure
                where log_id = log.id and index >= everywhere.size and at < $1::timestamptz - $8::interval
                union
                select index from erasure
                where log_id = log.id and index >= kept.size and 2 = any(parts)
                  and at < $1::timestamptz - $8::interval
                union
                select index from erasure
                where log_id = log.id and swept_at is null and at < $1::timestamptz - $8::interval
            ) late
        ) overdue
        where participant.hosted and exists (select from erasure where log_id = log.id) and overdue.count > 0
    """,
    AlertKind.IDENTITY_NEARLY_FULL: """
        select 'gotong:' || scid, used.percent from participant
        join log on log.participant_id = participant.id and log.is_projected
        cross join lateral (
            select greatest(sum(length(line)) * 100 / $9, did_version * 100 / $10, (log.key_number + 1) * 100 / $11)
            from did_line where participant_id = participant.id
        ) used (percent)
        where hosted and not ended and used.percent >= $12
    """,
    AlertKind.RULES_BROKEN: f"""
        select {PEER_NAME_SQL}, count(*) from refusal join peer on peer.id = peer_id
        where at > $1::timestamptz - $3::interval and trust <> 'blocked' and code <> all('{SIGNED_BY_THE_LOG}')
        group by peer.id
    """,
    AlertKind.PEER_SILENT: f"""
        select {PEER_NAME_SQL}, failures from peer
        where trust <> 'blocked' and failures > 0 and coalesce(last_ok_at, added_at) < $1::timestamptz - $2::interval
    """,
    AlertKind.PARTICIPANT_WAITS: """
        select 'gotong:' || scid, (select coalesce(sum(size), 0) from log where participant_id = participant.id)
        from participant where trust = 'quarantined'
    """,
    AlertKind.PEER_WAITS: f"select {PEER_NAME_SQL}, 1 from peer where trust = 'quarantined'",
}
_CURRENT = " union all ".join(
    f"(select {place} as place, '{kind.value}' as kind, subject, count from ({reason}) reason (subject, count))"
    for place, (kind, reason) in enumerate(_REASONS.items())
)


@dataclass(frozen=True, slots=True)
class Quotas:
    """What is kept of one publisher in quarantine: entries, and bytes of entries and payloads."""

    entries_max: int
    bytes_max: int


@dataclass(frozen=True, slots=True)
class Room:
    """What an identity can hold: bytes of DID lines, versions, and keys in a document."""

    bytes_max: int
    versions_max: int
    keys_max: int


@dataclass(frozen=True, slots=True)
class AlertRow:
    """A participant, a peer or a log that needs an operator; how many of what the kind counts, and since when."""

    kind: AlertKind
    subject: str
    count: int
    since: datetime


async def refresh(
    connection: Connection, *, now: datetime, critical: int, quotas: Quotas, room: Room
) -> list[AlertRow]:
    """Remember what needs an operator now, forget what no longer does, and return what is new; in a transaction.

    `critical` is the rank of the most urgent needs. A count is of what its kind is about: needs, publications, rules;
    for identities it is percent of `room`.
    """
    await connection.execute("lock table alert in share row exclusive mode")
    records = await connection.fetch(
        f"""
        with current as materialized ({_CURRENT}),
        gone as (delete from alert where (kind, subject) not in (select kind, subject from current))
        insert into alert (kind, subject, since)
        select kind, subject, $1 from current on conflict do nothing returning kind, subject, since
        """,
        now,
        *_parameters(critical, quotas, room),
    )
    return [AlertRow(AlertKind(record["kind"]), record["subject"], 0, record["since"]) for record in records]


async def current(
    connection: Connection, *, now: datetime, critical: int, quotas: Quotas, room: Room
) -> list[AlertRow]:
    """Return what needs an operator, the most urgent kind first, at most ALERTS_MAX of each."""
    records = await connection.fetch(
        f"""
        select kind, subject, count, since from (
            select current.*, coalesce(alert.since, $1) as since,
                   row_number() over (partition by kind order by alert.since desc nulls first, subject) as number
            from ({_CURRENT}) current left join alert using (kind, subject)
        ) numbered
        where number <= {ALERTS_MAX} order by place, number
        """,
        now,
        *_parameters(critical, quotas, room),
    )
    return [AlertRow(AlertKind(each["kind"]), each["subject"], int(each["count"]), each["since"]) for each in records]


def _parameters(critical: int, quotas: Quotas, room: Room) -> tuple[object, ...]:
    return (
        PEER_SILENT_AFTER,
        RULES_BROKEN_WITHIN,
        critical,
        PUBLICATION_WAITS_AFTER,
        quotas.entries_max,
        quotas.bytes_max,
        ERASURE_DEADLINE,
        room.bytes_max,
        room.versions_max,
        room.keys_max,
        IDENTITY_PERCENT_TOLD,
    )
