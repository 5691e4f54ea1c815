"""What writers give, and the members of a record's body it becomes."""

from decimal import Decimal as Number
from typing import Any

import strawberry

from domain import decimals
from domain.instants import format_instant
from domain.money import parse_money
from domain.quantity import parse_quantity, parse_value
from domain.regions import Regions
from domain.text import long_text, short_text
from schema.common.near import PointOutOfRange
from schema.common.records import ExternalIdInput
from schema.common.scalars import Decimal

PRECISION_M_DEFAULT = 100
COORDINATE_DIGITS = 7
DEGREES_MAX = 180


@strawberry.input(description="A text in one language.")
class TextInput:
    """A text."""

    text: str = strawberry.field(description="The words.")
    lang: str = strawberry.field(default="id", description="The language, as a BCP 47 tag.")


@strawberry.input(description="An amount of money, in major units.")
class MoneyInput:
    """Money."""

    amount: Decimal = strawberry.field(description='How much: "120000000" IDR is Rp120 juta.')
    currency: str = strawberry.field(default="IDR", description="The ISO 4217 code.")


@strawberry.input(description="An amount of something, in one unit.")
class QuantityInput:
    """A quantity."""

    value: Decimal = strawberry.field(description="How much.")
    unit: str = strawberry.field(description="A UCUM code such as kg or h, or an annotation such as {buku}.")


@strawberry.input(description="A place. Without a point, the centre of the district is shown: keep it so for homes.")
class PlaceInput:
    """A place."""

    code: str = strawberry.field(description="The Kemendagri code of a district or village, or of what contains it.")
    lat: float | None = strawberry.field(default=strawberry.UNSET, description="Latitude, WGS84, if it may be public.")
    lon: float | None = strawberry.field(default=strawberry.UNSET, description="Longitude, WGS84, if it may be public.")
    precision_m: int | None = strawberry.field(
        default=strawberry.UNSET, description="How exact the point is, in metres."
    )


@strawberry.input(description="Whom to reach. It never leaves this node but to whom its owner allows.")
class ContactInput:
    """A contact, restricted."""

    name: str | None = strawberry.field(default=strawberry.UNSET, description="A person's name.")
    phone: str | None = strawberry.field(default=strawberry.UNSET, description="A phone number, E.164.")
    whatsapp: str | None = strawberry.field(default=strawberry.UNSET, description="A WhatsApp number, E.164.")
    email: str | None = strawberry.field(default=strawberry.UNSET, description="An e-mail address.")
    note: str | None = strawberry.field(default=strawberry.UNSET, description="When and how to reach them.")


@strawberry.input(description="The house and lane. It never leaves this node but to whom its owner allows.")
class ExactPlaceInput:
    """An exact place, restricted."""

    address: str | None = strawberry.field(default=strawberry.UNSET, description="The address in words.")
    lat: float | None = strawberry.field(default=strawberry.UNSET, description="Latitude, WGS84.")
    lon: float | None = strawberry.field(default=strawberry.UNSET, description="Longitude, WGS84.")


def short_texts(texts: list[TextInput]) -> list[dict[str, str]]:
    """Return lines as a body has them; raises TextInvalid."""
    return [short_text(text.text, text.lang) for text in texts]


def long_texts(texts: list[TextInput]) -> list[dict[str, str]]:
    """Return passages as a body has them; raises TextInvalid."""
    return [long_text(text.text, text.lang) for text in texts]


def money(given: MoneyInput) -> dict[str, str]:
    """Return canonical money; raises MoneyInvalid."""
    parsed = parse_money(given.amount, given.currency)
    return {"amount": parsed.amount, "currency": parsed.currency}


def quantity(given: QuantityInput) -> dict[str, str]:
    """Return a canonical quantity; raises QuantityInvalid."""
    parsed = parse_quantity(given.value, given.unit)
    return {"value": parsed.value, "unit": parsed.unit}


def place(given: PlaceInput, regions: Regions) -> dict[str, Any]:
    """Return a place with a point, the given one or the region's centre; raises RegionUnknown."""
    centre = regions.place(given.code)
    found: dict[str, Any] = {"code": centre.code, "edition": centre.edition}
    if _is_given(given.lat) or _is_given(given.lon):
        lat, lon = _coordinate(given.lat), _coordinate(given.lon)
        found |= {"precision_m": given.precision_m or PRECISION_M_DEFAULT}
        return found | {name: value for name, value in (("lat", lat), ("lon", lon)) if value is not None}
    return found | {"lat": centre.lat, "lon": centre.lon, "precision_m": centre.precision_m}


def _is_given(value: Any) -> bool:
    return value is not None and value is not strawberry.UNSET


def _coordinate(value: float | None) -> str | None:
    if value is None or value is strawberry.UNSET:
        return None
    if not abs(value) <= DEGREES_MAX:
        raise PointOutOfRange("`lat` is -90 to 90 and `lon` is -180 to 180.")
    return decimals.canonical(round(Number(repr(value)), COORDINATE_DIGITS))


def external_ids(given: list[ExternalIdInput]) -> list[dict[str, str]]:
    """Return external ids as a body has them."""
    return [{"scheme": each.scheme, "value": each.value} for each in given]


def instant(given: Any) -> str:
    """Return an instant as a body has it."""
    return format_instant(given)


def enum(given: Any) -> str:
    """Return an enum value as a body has it."""
    value: str = given.value
    return value


def enums(given: list[Any]) -> list[str]:
    """Return enum values as a body has them."""
    return [each.value for each in given]


def same(given: Any) -> Any:
    """Return what is the same in a body."""
    return given


def exact_place(given: ExactPlaceInput) -> dict[str, str]:
    """Return an exact place as a restricted part has it."""
    found: dict[str, Any] = {
        "address": given.address,
        "lat": _coordinate(given.lat),
        "lon": _coordinate(given.lon),
    }
    return {name: value for name, value in found.items() if _is_given(value)}


def contact(given: ContactInput) -> dict[str, str]:
    """Return a contact as a restricted part has it."""
    members = {name: getattr(given, name) for name in ("name", "phone", "whatsapp", "email", "note")}
    return {name: value for name, value in members.items() if _is_given(value)}


@strawberry.input(description="What every mutation takes.")
class WriteInput:
    """Options of a mutation."""

    dry_run: bool | None = strawberry.field(
        default=strawberry.UNSET, description="True: everything is checked, nothing is signed or written."
    )
    idempotency_key: str | None = strawberry.field(
        default=strawberry.UNSET,
        description="The same key and input give the first answer again. Default: the header Idempotency-Key.",
    )
    client_mutation_id: str | None = strawberry.field(default=strawberry.UNSET, description="Given back as it came.")


CONTACT = "Whom to reach. Restricted: it never enters the public log."
EXACT_PLACE = "The house and lane. Restricted: it never enters the public log; `place` is what everybody sees."


def optional(description: str) -> Any:
    """Return an input field that may be left out."""
    return strawberry.field(default=strawberry.UNSET, description=description)


def required(description: str, **more: Any) -> Any:
    """Return an input field that must be given."""
    return strawberry.field(description=description, **more)


EXPECTED_REVISION = "The revision the writer read; if there is a newer one, nothing is written (REVISION_CONFLICT)."
AS = "The organization it is written for: gotong:<SCID>. The access token must act for it."


def decimal(given: str) -> str:
    """Return the canonical spelling of a number; raises QuantityInvalid."""
    return parse_value(given)


def restricted(given: Any, before: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return the restricted part with what an input gives of it: left out it stays, null removes it."""
    part = dict(before or {})
    for attribute, name, convert in (("contact", "contact", contact), ("exact_place", "exactPlace", exact_place)):
        value = getattr(given, attribute, strawberry.UNSET)
        if value is strawberry.UNSET:
            continue
        part.pop(name, None)
        if value is not None:
            part[name] = convert(value)
    return part or None
