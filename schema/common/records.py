"""What all records have: a name, a publisher, a history, a proof."""

import strawberry

from schema.common.provenance import Provenance
from schema.common.scalars import DateTime
from schema.compile.read import boolean, elements, embedded, number, text, time, token


@strawberry.interface(description="Anything with a name of its own.")
class Node:
    """Relay's Node."""

    id: strawberry.ID = token(
        "'gotong:' || {p}.scid || '/{type}/' || {t}.record_id",
        "The record's URI, the same on every node: gotong:<SCID>/<type>/<uuid>, of an organization gotong:<SCID>.",
    )


@strawberry.interface(description="Something a participant signed into its public log.")
class Record(Node):
    """What every record type has; `schema.links` adds its publisher, which is a record too."""

    revision: int = number("{t}.revision", "How often it was revised; 0 as first published.")
    published_at: DateTime = time("{t}.published_at", "When its author says it was first published.")
    revised_at: DateTime = time("{t}.revised_at", "When its author says this revision was made.")
    received_at: DateTime = time("{t}.received_at", "When this node first had it: what a poller asks by.")
    exercise: bool = boolean(
        "{t}.exercise", "Whether it is a drill. Drills are hidden from lists that do not ask for them."
    )
    provenance: Provenance = embedded("Where it stands in its publisher's log, and the proof.")


@strawberry.type(description="A record's name in another system.")
class ExternalId:
    """An id elsewhere."""

    scheme: str = text("split_part({x}.value, ':', 1)", "The other system.")
    value: str = text("substr({x}.value, strpos({x}.value, ':') + 1)", "The id there.")


@strawberry.input(description="A record's name in another system.")
class ExternalIdInput:
    """An id elsewhere."""

    scheme: str = strawberry.field(description="The other system: lower-case letters, digits, dots and hyphens.")
    value: str = strawberry.field(description="The id there.")


def external_ids() -> list[ExternalId]:
    """Return the field every record type with external ids has."""
    field: list[ExternalId] = elements("unnest({t}.external_ids) as {x}(value)", "Its names in other systems.")
    return field


def external_id_key(given: dict[str, str]) -> str:
    """Return how an external id is kept: schemes have no colon, so the first colon parts them."""
    return f"{given['scheme']}:{given['value']}"
