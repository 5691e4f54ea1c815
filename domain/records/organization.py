"""The Organization: what a participant says about itself. Its kind is a claim until an anchor attests it."""

import re
from datetime import date
from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from domain.categories import CategoryCode
from domain.ids import ParticipantUriText
from domain.place import Place
from domain.records.base import Codes, RecordInvalid, RecordType, Row
from domain.records.parts import (
    URL_CHARS_MAX,
    CountBand,
    ExternalIds,
    Reachable,
    check_place,
    check_reachable,
    check_texts,
    check_unique,
    external_ids_column,
    given,
    place_columns,
    search_text,
    text_column,
)
from domain.text import Lang, Line, LongTexts, ShortTexts

FOCUS_MAX = 12
LANGUAGES_MAX = 12
LINKS_MAX = 12
SLUG_CHARS_MAX = 40

SLUG_PATTERN = r"^[a-z0-9](-?[a-z0-9]){2,}\Z"
DATE_PATTERN = r"^[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01]))?)?\Z"


class OrganizationKind(StrEnum):
    """What it says it is."""

    COMMUNITY = "COMMUNITY"
    NGO = "NGO"
    GOVERNMENT = "GOVERNMENT"
    SPONSOR = "SPONSOR"
    COOPERATIVE = "COOPERATIVE"
    SCHOOL = "SCHOOL"


class Link(Struct, frozen=True, omit_defaults=True):
    """A page elsewhere; http and https only, so that showing it can never run anything."""

    url: Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z", max_length=URL_CHARS_MAX)]
    title: Line | UnsetType = UNSET


class OrganizationBody(Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """The public part. `slug` is a wish, unique only on its own node; `parent` is whose branch it is.

    `succeeds` claims to be who another participant was, whose cards are all lost: people decide whether that is so.
    """

    slug: Annotated[str, Meta(pattern=SLUG_PATTERN, max_length=SLUG_CHARS_MAX)]
    name: ShortTexts
    kind: OrganizationKind
    description: LongTexts | UnsetType = UNSET
    focus: Annotated[tuple[CategoryCode, ...], Meta(max_length=FOCUS_MAX)] | UnsetType = UNSET
    founded_on: Annotated[str, Meta(pattern=DATE_PATTERN)] | UnsetType = UNSET
    member_band: CountBand | UnsetType = UNSET
    place: Place
    languages: Annotated[tuple[Lang, ...], Meta(min_length=1, max_length=LANGUAGES_MAX)]
    parent: ParticipantUriText | UnsetType = UNSET
    succeeds: ParticipantUriText | UnsetType = UNSET
    links: Annotated[tuple[Link, ...], Meta(max_length=LINKS_MAX)] | UnsetType = UNSET
    external_ids: ExternalIds | UnsetType = UNSET


def is_slug(text: str) -> bool:
    """Return whether `text` may be a slug: 3 to 40 lower-case letters, digits and single inner hyphens."""
    return len(text) <= SLUG_CHARS_MAX and re.match(SLUG_PATTERN, text) is not None


def _check(body: OrganizationBody) -> None:
    check_texts(name=body.name, description=body.description)
    check_place(body.place)
    check_unique("focus", given(body.focus) or ())
    check_unique("languages", body.languages)
    founded_on = given(body.founded_on)
    if founded_on is not None and len(founded_on) == len("2025-01-31"):
        try:
            date.fromisoformat(founded_on)
        except ValueError:
            raise RecordInvalid("foundedOn: there is no such day", part="body", field="foundedOn") from None


def _codes(body: OrganizationBody) -> Codes:
    return Codes(
        regions=[("place.code", body.place.code)],
        categories=[(f"focus[{position}]", code) for position, code in enumerate(given(body.focus) or ())],
    )


def _project(body: OrganizationBody) -> Row:
    band, links = given(body.member_band), given(body.links)
    return {
        "slug": body.slug,
        "name_text": text_column(body.name),
        "kind": body.kind.value,
        "description_text": text_column(body.description),
        "focus": list(given(body.focus) or ()),
        "founded_on": given(body.founded_on),
        "member_band": band.value if band else None,
        **place_columns(body.place),
        "languages": list(body.languages),
        "parent_uri": given(body.parent),
        "links": [{"url": link.url} | ({"title": link.title} if link.title else {}) for link in links or ()],
        "external_ids": external_ids_column(body.external_ids),
        "search_text": search_text(body.name, body.description),
    }


ORGANIZATION = RecordType(
    name="organization",
    version=1,
    table="organization",
    searched=True,
    body=OrganizationBody,
    restricted=Reachable,
    check=_check,
    check_restricted=check_reachable,
    codes=_codes,
    project=_project,
    one_per_log=True,
)
