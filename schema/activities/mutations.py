"""Publish and revise activities."""

from collections.abc import Mapping
from typing import Any

import strawberry

from federation.publish.prepare import Current, Parts
from schema.activities.types import Activity, ActivityStatus
from schema.common import inputs, writing
from schema.common.inputs import ContactInput, ExactPlaceInput, PlaceInput, TextInput, WriteInput
from schema.common.records import ExternalIdInput
from schema.common.scalars import DateTime
from schema.common.writing import Convert, Deed, Outcome, Work, Written, changed, mutation, written, written_record


@strawberry.input(description="A new activity.")
class PublishActivityInput(WriteInput):
    """A new activity."""

    as_: strawberry.ID = inputs.required(inputs.AS, name="as")
    title: list[TextInput] = inputs.required("What it is, in a line, once in each language.")
    start: DateTime = inputs.required("When its first occurrence starts.")
    zone: str = inputs.required("The IANA time zone in whose clock it recurs: Asia/Jakarta.")
    place: PlaceInput = inputs.required("Where it is.")
    status: ActivityStatus = inputs.required("What to say about it.")
    description: list[TextInput] | None = inputs.optional("What happens there, once in each language.")
    end: DateTime | None = inputs.optional("When its first occurrence ends.")
    recurrence: str | None = inputs.optional("How it recurs: an RFC 5545 RRULE.")
    programme: strawberry.ID | None = inputs.optional("The programme it belongs to.")
    attendance: int | None = inputs.optional("How many people came.")
    outcome: list[TextInput] | None = inputs.optional("What came of it, once in each language.")
    external_ids: list[ExternalIdInput] | None = inputs.optional("Its names in other systems.")
    contact: ContactInput | None = inputs.optional(inputs.CONTACT)
    exact_place: ExactPlaceInput | None = inputs.optional(inputs.EXACT_PLACE)
    exercise: bool | None = inputs.optional("True: a drill.")


@strawberry.input(description="What to change of an activity: what is left out stays, null removes.")
class ReviseActivityInput(WriteInput):
    """Changes to an activity."""

    id: strawberry.ID = inputs.required("The activity.")
    expected_revision: int | None = inputs.optional(inputs.EXPECTED_REVISION)
    title: list[TextInput] | None = inputs.optional("What it is, in a line, once in each language.")
    start: DateTime | None = inputs.optional("When its first occurrence starts.")
    zone: str | None = inputs.optional("The IANA time zone in whose clock it recurs: Asia/Jakarta.")
    place: PlaceInput | None = inputs.optional("Where it is.")
    status: ActivityStatus | None = inputs.optional("What to say about it.")
    description: list[TextInput] | None = inputs.optional("What happens there, once in each language.")
    end: DateTime | None = inputs.optional("When its first occurrence ends.")
    recurrence: str | None = inputs.optional("How it recurs: an RFC 5545 RRULE.")
    programme: strawberry.ID | None = inputs.optional("The programme it belongs to.")
    attendance: int | None = inputs.optional("How many people came.")
    outcome: list[TextInput] | None = inputs.optional("What came of it, once in each language.")
    external_ids: list[ExternalIdInput] | None = inputs.optional("Its names in other systems.")
    contact: ContactInput | None = inputs.optional(inputs.CONTACT)
    exact_place: ExactPlaceInput | None = inputs.optional(inputs.EXACT_PLACE)


def _members(deed: Deed) -> Mapping[str, tuple[str, Convert]]:
    return {
        "title": ("title", inputs.short_texts),
        "description": ("description", inputs.long_texts),
        "start": ("start", inputs.instant),
        "end": ("end", inputs.instant),
        "zone": ("zone", inputs.same),
        "recurrence": ("recurrence", inputs.same),
        "place": ("place", lambda place: inputs.place(place, deed.services.regions)),
        "status": ("status", inputs.enum),
        "programme": ("programme", inputs.same),
        "attendance": ("attendance", inputs.same),
        "outcome": ("outcome", inputs.long_texts),
        "external_ids": ("externalIds", inputs.external_ids),
    }


async def publish_activity(deed: Deed) -> Outcome:
    """Return what became of a new activity."""

    def change(_current: Current | None) -> Parts:
        given = writing.without_nulls(deed.input)
        body = changed({}, given, _members(deed))
        return Parts({}, body, inputs.restricted(given, None), bool(deed.input.exercise))

    return await written(deed, lambda: Work(writing.organization(deed.input.as_), "activity", change))


async def revise_activity(deed: Deed) -> Outcome:
    """Return what became of the changes."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        return changed(body, deed.input, _members(deed))

    return await written(
        deed, lambda: writing.revision(deed, writing.own(deed.input.id, "activity"), "activity", change)
    )


@strawberry.type(description="What became of the activity.")
class ActivityPayload(Written):
    """The answer of mutations that write it."""

    activity: Activity | None = written_record("The activity")


@strawberry.type(description="Writing activities.")
class ActivityMutations:
    """Root fields."""

    publish_activity: ActivityPayload = mutation(publish_activity, PublishActivityInput, "Publish an activity.")
    revise_activity: ActivityPayload = mutation(revise_activity, ReviseActivityInput, "Change an activity.")
