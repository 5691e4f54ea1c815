"""The Activity: something a community does at a time and a place, once or again and again."""

from enum import StrEnum
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from domain.ids import RecordUriText
from domain.instants import InstantText, ZoneText
from domain.place import Place
from domain.records.base import Codes, RecordInvalid, RecordType, Row
from domain.records.parts import (
    ExternalIds,
    Reachable,
    check_place,
    check_reachable,
    check_texts,
    external_ids_column,
    given,
    moment,
    place_columns,
    search_text,
    text_column,
)
from domain.recurrence import RRULE_CHARS_MAX, RecurrenceInvalid, check_recurrence
from domain.text import LongTexts, ShortTexts

ATTENDANCE_MAX = 1_000_000


class ActivityStatus(StrEnum):
    """What the organizers say about it."""

    PLANNED = "PLANNED"
    CONFIRMED = "CONFIRMED"
    CANCELLED = "CANCELLED"
    DONE = "DONE"


class ActivityBody(Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """The public part. `zone` says in which clock a recurrence runs; `start` and `end` are of the first occurrence."""

    title: ShortTexts
    description: LongTexts | UnsetType = UNSET
    start: InstantText
    end: InstantText | UnsetType = UNSET
    zone: ZoneText
    place: Place
    status: ActivityStatus
    programme: RecordUriText | UnsetType = UNSET
    attendance: Annotated[int, Meta(ge=0, le=ATTENDANCE_MAX)] | UnsetType = UNSET
    outcome: LongTexts | UnsetType = UNSET
    recurrence: Annotated[str, Meta(min_length=1, max_length=RRULE_CHARS_MAX)] | UnsetType = UNSET
    external_ids: ExternalIds | UnsetType = UNSET


def _check(body: ActivityBody) -> None:
    check_texts(title=body.title, description=body.description, outcome=body.outcome)
    check_place(body.place)
    start, end = moment("start", body.start), moment("end", body.end)
    if start is not None and end is not None and end < start:
        raise RecordInvalid("an activity ends after it starts", part="body", field="end")
    if body.recurrence is not UNSET:
        try:
            check_recurrence(body.recurrence)
        except RecurrenceInvalid as error:
            raise RecordInvalid(error.message, part="body", field="recurrence") from None


def _codes(body: ActivityBody) -> Codes:
    return Codes(regions=[("place.code", body.place.code)], zones=[("zone", body.zone)])


def _project(body: ActivityBody) -> Row:
    return {
        "title_text": text_column(body.title),
        "description_text": text_column(body.description),
        "starts_at": moment("start", body.start),
        "ends_at": moment("end", body.end),
        "zone": body.zone,
        **place_columns(body.place),
        "status": body.status.value,
        "programme": given(body.programme),
        "attendance": given(body.attendance),
        "outcome": text_column(body.outcome),
        "recurrence": given(body.recurrence),
        "external_ids": external_ids_column(body.external_ids),
        "search_text": search_text(body.title, body.description, body.outcome),
    }


ACTIVITY = RecordType(
    name="activity",
    version=1,
    table="activity",
    searched=True,
    body=ActivityBody,
    restricted=Reachable,
    check=_check,
    check_restricted=check_reachable,
    codes=_codes,
    project=_project,
)
