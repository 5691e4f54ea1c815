"""The pieces record types share: external ids, bands, restricted parts, and the columns they become."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType

from domain.contact import Contact, ExactPlace
from domain.instants import InstantInvalid, parse_instant
from domain.place import Place, ancestors
from domain.records.base import RecordInvalid, Row
from domain.text import LINE_PATTERN, Localized, repeated_lang

EXTERNAL_IDS_MAX = 20
EXTERNAL_VALUE_CHARS_MAX = 128
URL_CHARS_MAX = 500

T = TypeVar("T")


class CountBand(StrEnum):
    """How many people, roughly: exact numbers of the poor or the sick are nobody's business."""

    UP_TO_5 = "1-5"
    UP_TO_10 = "6-10"
    UP_TO_30 = "11-30"
    UP_TO_100 = "31-100"
    UP_TO_300 = "101-300"
    UP_TO_1000 = "301-1000"
    MORE = "1001+"


class ExternalId(Struct, frozen=True, gc=False):
    """The same thing's name in another system."""

    scheme: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9.-]{0,31}\Z")]
    value: Annotated[str, Meta(pattern=LINE_PATTERN, max_length=EXTERNAL_VALUE_CHARS_MAX)]


ExternalIds = Annotated[tuple[ExternalId, ...], Meta(max_length=EXTERNAL_IDS_MAX)]


class Reachable(Struct, frozen=True, rename="camel"):
    """The restricted part of records that people answer by calling or coming."""

    contact: Contact | UnsetType = UNSET
    exact_place: ExactPlace | UnsetType = UNSET


def given(value: T | UnsetType) -> T | None:
    """Return `value`, or None where the member is absent. An explicit null is never valid: one way to say nothing."""
    return None if isinstance(value, UnsetType) else value


def check_texts(**fields: Iterable[Localized] | UnsetType) -> None:
    """Raise RecordInvalid if one text says two things in one language."""
    for name, texts in fields.items():
        lang = None if isinstance(texts, UnsetType) else repeated_lang(texts)
        if lang is not None:
            raise RecordInvalid(f"{name} has two texts in {lang}", part="body", field=name)


def check_unique(name: str, values: Iterable[object]) -> None:
    """Raise RecordInvalid if a list holds the same value twice."""
    listed = list(values)
    if len(set(listed)) != len(listed):
        raise RecordInvalid(f"{name} names something twice", part="body", field=name)


def check_place(place: Place) -> None:
    """Raise RecordInvalid for half a point."""
    if place.is_half_a_point:
        raise RecordInvalid("place needs lat, lon and precision_m, or none of them", part="body", field="place")


def check_reachable(part: Reachable) -> None:
    """Raise RecordInvalid for a contact without a way to reach it, or a place that is none."""
    contact, exact = given(part.contact), given(part.exact_place)
    if contact is not None and contact.is_empty:
        raise RecordInvalid("contact is empty", part="restricted", field="contact")
    if exact is not None and exact.is_incomplete:
        raise RecordInvalid("exactPlace needs an address or a whole point", part="restricted", field="exactPlace")


def moment(name: str, text: str | UnsetType) -> datetime | None:
    """Return the moment of a body member, None where absent; raises RecordInvalid for 30 February."""
    if isinstance(text, UnsetType):
        return None
    try:
        return parse_instant(text)
    except InstantInvalid as error:
        raise RecordInvalid(f"{name}: {error.message}", part="body", field=name) from None


def text_column(texts: Iterable[Localized] | UnsetType) -> list[dict[str, str]] | None:
    """Return the jsonb value `[{lang, text}]`, or None where absent."""
    return None if isinstance(texts, UnsetType) else [{"lang": entry.lang, "text": entry.text} for entry in texts]


def place_columns(place: Place) -> Row:
    """Return region, region_path, lat, lon, precision_m and place_edition."""
    lat, lon, precision_m = place.point or (None, None, None)
    return {
        "region": place.code,
        "region_path": ancestors(place.code),
        "lat": lat,
        "lon": lon,
        "precision_m": precision_m,
        "place_edition": place.edition,
    }


def external_ids_column(ids: Iterable[ExternalId] | UnsetType) -> list[str]:
    """Return "scheme:value" strings; schemes have no colon, so the first colon parts them."""
    return [] if isinstance(ids, UnsetType) else [f"{entry.scheme}:{entry.value}" for entry in ids]


def search_text(*texts: Iterable[Localized] | UnsetType) -> str:
    """Return all words of all languages, one text a line, for the full-text index."""
    found: list[Any] = [entry.text for part in texts if not isinstance(part, UnsetType) for entry in part]
    return "\n".join(found)
