"""Contact and exact place, read for the one who asks and for nobody else.

They are opened after the SQL, on the log's home, for a token of the publisher that carries `restricted:read`. Answers
that several share (events, answers without a token) are asked for by nobody, so in them both are null.
"""

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
import strawberry

from auth.policy import RESTRICTED_READ
from domain.records.parts import Reachable
from federation.encoding import canonical
from schema.compile.read import after, value
from store.logs import RESTRICTED, Sealed

if TYPE_CHECKING:
    from schema.context import Caller, Services

OPEN_COST = 1
_PLACE = "{l}.id || '/' || {t}.index"
_PARTS = f"""
    select wanted.key, participant.scid, participant.hosted,
           convert_from(entry.data, 'UTF8')::jsonb ? 'restricted' as is_stated,
           payload.index, payload.key_number, payload.salt, payload.data
    from unnest($1::text[], $2::int[], $3::bigint[]) as wanted(key, log_id, index)
    join log on log.id = wanted.log_id join participant on participant.id = log.participant_id
    join entry on entry.log_id = wanted.log_id and entry.index = wanted.index
    left join payload on payload.log_id = wanted.log_id and payload.index = wanted.index and payload.part = {RESTRICTED}
"""


@strawberry.enum(description="Where the contact and the exact place of a record are to be had.")
class ContactAccess(Enum):
    """Where they are."""

    NONE = strawberry.enum_value("NONE", description="The record has neither, or they were destroyed.")
    HERE = strawberry.enum_value("HERE", description="They are here, and `contact` and `exactPlace` give them to you.")
    ASK_HOME = strawberry.enum_value(
        "ASK_HOME", description="They are at the publisher's home: ask by `requestRestricted`."
    )


@strawberry.type(description="Whom to reach. Restricted: it is in no log and on no other node.")
class Contact:
    """A contact."""

    name: str | None = value("A person's name.")
    phone: str | None = value("A phone number, E.164.")
    whatsapp: str | None = value("A WhatsApp number, E.164.")
    email: str | None = value("An e-mail address.")
    note: str | None = value("When and how to reach them.")


@strawberry.type(description="The house and lane. Restricted: it is in no log and on no other node.")
class ExactPlace:
    """An exact place."""

    address: str | None = value("The address in words.")
    lat: float | None = value("Latitude, WGS84.")
    lon: float | None = value("Longitude, WGS84.")


def contact_of(part: Reachable) -> Contact | None:
    """Return the contact of a restricted part, if it has one."""
    if not part.contact:
        return None
    given = msgspec.to_builtins(part.contact)
    return Contact(**{name: given.get(name) for name in ("name", "phone", "whatsapp", "email", "note")})


def exact_place_of(part: Reachable) -> ExactPlace | None:
    """Return the exact place of a restricted part, if it has one."""
    if not part.exact_place:
        return None
    given = msgspec.to_builtins(part.exact_place)
    point = {name: float(given[name]) if name in given else None for name in ("lat", "lon")}
    return ExactPlace(address=given.get("address"), **point)


async def _contacts(services: "Services", caller: "Caller", keys: Sequence[str]) -> Mapping[str, Any]:
    opened = await _opened(services, caller, keys)
    return {key: contact_of(part) for key, part in opened.items()}


async def _exact_places(services: "Services", caller: "Caller", keys: Sequence[str]) -> Mapping[str, Any]:
    opened = await _opened(services, caller, keys)
    return {key: exact_place_of(part) for key, part in opened.items()}


async def _accesses(services: "Services", caller: "Caller", keys: Sequence[str]) -> Mapping[str, ContactAccess]:
    found = {}
    for row in await _rows(services, keys):
        is_gone = row["hosted"] and row["data"] is None
        if not row["is_stated"] or is_gone:
            found[row["key"]] = ContactAccess.NONE
        else:
            is_theirs = row["hosted"] and row["scid"] in readable(caller)
            found[row["key"]] = ContactAccess.HERE if is_theirs else ContactAccess.ASK_HOME
    return found


def readable(caller: "Caller") -> frozenset[str]:
    """Return the SCIDs of the participants whose restricted parts the caller may read here as its own."""
    viewer = caller.viewer
    return viewer.organizations if viewer is not None and RESTRICTED_READ in viewer.scopes else frozenset()


async def _opened(services: "Services", caller: "Caller", keys: Sequence[str]) -> Mapping[str, Reachable]:
    own = readable(caller)
    if not own:
        return {}
    opened = {}
    for row in await _rows(services, keys):
        if row["scid"] in own and row["data"] is not None:
            sealed = Sealed(row["key_number"], row["salt"], row["data"])
            _, payload = services.appender.vault.open(row["scid"], row["index"], sealed)
            opened[row["key"]] = read_part(payload)
    return opened


def read_part(payload: bytes) -> Reachable:
    """Return a restricted payload as what it says; members that a newer version knows are left out."""
    return msgspec.convert(canonical.decode(payload), Reachable)


async def _rows(services: "Services", keys: Sequence[str]) -> list[asyncpg.Record]:
    places = [key.partition("/") for key in keys]
    async with services.database.acquire() as connection:
        return list(
            await connection.fetch(
                _PARTS, list(keys), [int(log) for log, _, _ in places], [int(index) for _, _, index in places]
            )
        )


def contact() -> Any:
    """Return the field every record type with a contact has."""
    told = "Whom to reach, for the publisher's own people at home; see `contactAccess`."
    return after(_PLACE, _contacts, told, OPEN_COST)


def exact_place() -> Any:
    """Return the field every record type with an exact place has."""
    told = "The house and lane, for the publisher's own people at home; see `contactAccess`."
    return after(_PLACE, _exact_places, told, OPEN_COST)


def contact_access() -> Any:
    """Return the field that says where both are to be had."""
    return after(_PLACE, _accesses, "Where contact and exact place are to be had.", OPEN_COST)
