"""What operators see: peers, participants of other nodes, alerts, decisions."""

from collections.abc import Mapping
from enum import Enum
from typing import Any

import strawberry

from domain.ids import format_uri
from schema.common.scalars import BigInt, DateTime
from schema.compile.read import Reader, value
from store.alerts import AlertKind as Kind


def _of(column: str) -> Any:
    return lambda row, _arguments, _reader: row[column]


def _uri(row: Mapping[str, Any], _arguments: Mapping[str, Any], _reader: Reader) -> str | None:
    scid = row.get("scid") or row.get("operator_scid")
    return None if scid is None else f"gotong:{scid}"


@strawberry.enum(description="What this node does with somebody.")
class Trust(Enum):
    """Trust; its names in lower case are what the database has."""

    ALLOWED = strawberry.enum_value("ALLOWED", description="Shown and relayed.")
    QUARANTINED = strawberry.enum_value("QUARANTINED", description="Copied within a quota, not shown: nobody decided.")
    BLOCKED = strawberry.enum_value("BLOCKED", description="Neither copied any further nor shown.")


def stored(trust: Trust) -> Any:
    """Return a trust as it is stored."""
    return trust.name.lower()


def _trust(row: Mapping[str, Any], _arguments: Mapping[str, Any], _reader: Reader) -> Trust:
    return Trust[row["trust"].upper()]


@strawberry.type(description="A node this one copies from. For operators.")
class Peer:
    """A peer."""

    url: str | None = value("Its address; null for one that only calls and is never called.", _of("url"))
    operator: strawberry.ID | None = value("The participant that runs it, once known.", _uri)
    trust: Trust = value("What was decided about it and, with it, about those whose home it is.", _trust)
    participants: int = value("How many participants' home it is.", _of("participants"))
    added_at: DateTime = value("When it was added.", _of("added_at"))
    last_ok_at: DateTime | None = value("When it last answered as it should.", _of("last_ok_at"))
    next_pull_at: DateTime = value("When it is asked again, at the latest.", _of("next_pull_at"))
    failures: int = value("How many times in a row it did not.", _of("failures"))
    last_error_code: str | None = value("Why not, the last time.", _of("last_error_code"))
    skew_ms: BigInt | None = value("How far this node's clock is ahead of its, in milliseconds.", _of("skew_ms"))


@strawberry.type(description="A participant of another node. For operators.")
class Participant:
    """A participant."""

    id: strawberry.ID = value("Its URI: gotong:<SCID>.", _uri)
    did: strawberry.ID = value("Its DID.", _of("did"))
    host: str = value("The host that its DID names.", _of("host"))
    slug: str = value("Its short name there.", _of("slug"))
    name: str | None = value("What it calls itself, seen by nobody else before it is allowed.", _of("name"))
    trust: Trust = value("What was decided about it.", _trust)
    trust_set_by: str = value(
        "Who decided: `operator`, `peer` (it follows its home), or `default`.", _of("trust_set_by")
    )
    home: str | None = value("The address of its home, if that is a peer.", _of("home_url"))
    first_seen: DateTime = value("When it was met.", _of("first_seen"))
    entries: BigInt = value("How many entries of its logs are here.", _of("entries"))
    critical_needs: int = value("How many critical needs of it are open.", _of("critical_needs"))


@strawberry.type(description="What an operator, or a command in an operator's name, decided. Kept for good.")
class Decision:
    """A decision."""

    at: DateTime = value("When.", _of("at"))
    actor: str = value("Who.", _of("actor"))
    action: str = value("What: `participant.trust` and the like.", _of("action"))
    subject: str = value("About whom or what.", _of("subject"))
    reason: str | None = value("Why, in the operator's words.", _of("reason"))
    details: str = value("The rest, as a JSON object.", _of("details"))


@strawberry.type(description="A record that this node does not show, because its operator says so.")
class Suppression:
    """A suppression."""

    id: strawberry.ID = value(
        "The record.", lambda row, _arguments, _reader: format_uri(row["scid"], row["type"], row["record_id"])
    )
    at: DateTime = value("Since when.", _of("at"))
    actor: str = value("Who decided so last.", _of("actor"))
    reason: str | None = value("Why, in the operator's words.", _of("reason"))


@strawberry.enum(description="Why an operator is needed.")
class AlertKind(Enum):
    """Why."""

    LOG_FORKED = strawberry.enum_value(
        "LOG_FORKED", description="A participant signed two stories; its log is frozen. The subject is the log."
    )
    CRITICAL_NEED_WAITS = strawberry.enum_value(
        "CRITICAL_NEED_WAITS", description="Somebody in quarantine has critical needs open: look and decide."
    )
    PUBLICATION_WAITS = strawberry.enum_value(
        "PUBLICATION_WAITS", description="What a participant here published is not signed yet."
    )
    QUOTA_REACHED = strawberry.enum_value(
        "QUOTA_REACHED", description="Of a log in quarantine no more is copied before a decision."
    )
    RULES_BROKEN = strawberry.enum_value("RULES_BROKEN", description="A peer broke rules within the last 7 days.")
    ERASURE_OVERDUE = strawberry.enum_value(
        "ERASURE_OVERDUE",
        description="What was erased here more than 72 hours ago is in files still, or not acknowledged by all peers. "
        "The subject is the log.",
    )
    IDENTITY_NEARLY_FULL = strawberry.enum_value(
        "IDENTITY_NEARLY_FULL", description="An identity here has not much room for more changes of its keys."
    )
    PEER_SILENT = strawberry.enum_value("PEER_SILENT", description="A peer has not answered for a day.")
    PARTICIPANT_WAITS = strawberry.enum_value("PARTICIPANT_WAITS", description="A participant waits for a decision.")
    PEER_WAITS = strawberry.enum_value("PEER_WAITS", description="A peer waits for a decision.")


@strawberry.type(description="Something that needs an operator. It ends by itself when its reason does.")
class Alert:
    """An alert."""

    kind: AlertKind = value("Why.", lambda row, _arguments, _reader: AlertKind[row.kind.name])
    subject: str = value(
        "Who or what: a participant's id, a peer's address (without one, its operator's id), or a log's origin."
    )
    count: BigInt = value("How many: needs, publications, erasures, entries, broken rules, failures or percent.")
    since: DateTime = value("Since when.")


assert {each.name for each in AlertKind} == {each.name for each in Kind}
