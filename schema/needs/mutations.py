"""Publish, revise, withdraw and confirm needs."""

from collections.abc import Mapping
from typing import Any, ClassVar

import strawberry

from domain.errors import GotongError
from domain.instants import format_instant
from domain.records.need import NeedStatus, default_expiry
from domain.records.need import Urgency as UrgencyText
from federation.publish.prepare import Current, Parts
from schema.common import inputs, writing
from schema.common.inputs import (
    ContactInput,
    ExactPlaceInput,
    MoneyInput,
    PlaceInput,
    QuantityInput,
    TextInput,
    WriteInput,
)
from schema.common.records import ExternalIdInput
from schema.common.scalars import DateTime, Decimal
from schema.common.writing import Convert, Deed, Outcome, Work, Written, changed, mutation, written, written_record
from schema.needs.types import Mode, Need, NeedKind, Urgency


class NeedNotOpen(GotongError):
    """A need that its author withdrew or closed cannot be confirmed, withdrawn or closed again."""

    code: ClassVar[str] = "NEED_NOT_OPEN"


@strawberry.input(description="A new need.")
class PublishNeedInput(WriteInput):
    """A new need."""

    as_: strawberry.ID = inputs.required(inputs.AS, name="as")
    title: list[TextInput] = inputs.required("What is needed, in a line, once in each language.")
    kind: NeedKind = inputs.required("What sort of thing.")
    category: str = inputs.required("What it is about: a code such as food.rice.")
    urgency: Urgency = inputs.required("How soon it must be answered.")
    place: PlaceInput = inputs.required("Where it is needed.")
    modes: list[Mode] = inputs.required("How it may be given.")
    description: list[TextInput] | None = inputs.optional("What is needed and why, once in each language.")
    quantity: QuantityInput | None = inputs.optional("How much of it; either this or `money`.")
    money: MoneyInput | None = inputs.optional("How much money; either this or `quantity`.")
    minimum: Decimal | None = inputs.optional("The least that already helps.")
    needed_by: DateTime | None = inputs.optional("By when it is needed.")
    expires_at: DateTime | None = inputs.optional("When it closes. Default: by urgency, from a day to ninety.")
    permit: strawberry.ID | None = inputs.optional("The permit under which money is collected.")
    recipient: strawberry.ID | None = inputs.optional("The organization that will receive it, if another.")
    beneficiaries: str | None = inputs.optional("How many people it helps: 1-5, 6-10, 11-30, 31-100, ... 1001+.")
    external_ids: list[ExternalIdInput] | None = inputs.optional("Its names in other systems.")
    contact: ContactInput | None = inputs.optional(inputs.CONTACT)
    exact_place: ExactPlaceInput | None = inputs.optional(inputs.EXACT_PLACE)
    exercise: bool | None = inputs.optional("True: a drill.")


@strawberry.input(description="What to change of a need: what is left out stays, null removes.")
class ReviseNeedInput(WriteInput):
    """Changes to a need."""

    id: strawberry.ID = inputs.required("The need.")
    expected_revision: int | None = inputs.optional(inputs.EXPECTED_REVISION)
    title: list[TextInput] | None = inputs.optional("What is needed, in a line, once in each language.")
    category: str | None = inputs.optional("What it is about: a code such as food.rice.")
    urgency: Urgency | None = inputs.optional("How soon it must be answered.")
    place: PlaceInput | None = inputs.optional("Where it is needed.")
    modes: list[Mode] | None = inputs.optional("How it may be given.")
    description: list[TextInput] | None = inputs.optional("What is needed and why, once in each language.")
    quantity: QuantityInput | None = inputs.optional("How much of it; either this or `money`.")
    money: MoneyInput | None = inputs.optional("How much money; either this or `quantity`.")
    minimum: Decimal | None = inputs.optional("The least that already helps.")
    needed_by: DateTime | None = inputs.optional("By when it is needed.")
    expires_at: DateTime | None = inputs.optional("When it closes.")
    permit: strawberry.ID | None = inputs.optional("The permit under which money is collected.")
    recipient: strawberry.ID | None = inputs.optional("The organization that will receive it, if another.")
    beneficiaries: str | None = inputs.optional("How many people it helps: 1-5, 6-10, 11-30, 31-100, ... 1001+.")
    external_ids: list[ExternalIdInput] | None = inputs.optional("Its names in other systems.")
    contact: ContactInput | None = inputs.optional(inputs.CONTACT)
    exact_place: ExactPlaceInput | None = inputs.optional(inputs.EXACT_PLACE)


@strawberry.input(description="Take a need back.")
class WithdrawNeedInput(WriteInput):
    """A need to close."""

    id: strawberry.ID = inputs.required("The need.")
    expected_revision: int | None = inputs.optional(inputs.EXPECTED_REVISION)
    unmet: bool | None = inputs.optional("True: it is given up because nobody could meet it (CLOSED_UNMET).")


@strawberry.input(description="Say that a need still stands, which also opens an expired one again.")
class ConfirmNeedInput(WriteInput):
    """A need that still stands."""

    id: strawberry.ID = inputs.required("The need.")
    expected_revision: int | None = inputs.optional(inputs.EXPECTED_REVISION)
    expires_at: DateTime | None = inputs.optional("When it closes now. Default: by urgency, from a day to ninety.")


def _members(deed: Deed) -> Mapping[str, tuple[str, Convert]]:
    return {
        "title": ("title", inputs.short_texts),
        "description": ("description", inputs.long_texts),
        "kind": ("kind", inputs.enum),
        "category": ("category", inputs.same),
        "quantity": ("quantity", inputs.quantity),
        "money": ("money", inputs.money),
        "minimum": ("minimum", inputs.decimal),
        "urgency": ("urgency", inputs.enum),
        "place": ("place", lambda place: inputs.place(place, deed.services.regions)),
        "needed_by": ("neededBy", inputs.instant),
        "expires_at": ("expiresAt", inputs.instant),
        "modes": ("modes", inputs.enums),
        "permit": ("permit", inputs.same),
        "recipient": ("recipient", inputs.same),
        "beneficiaries": ("beneficiaries", inputs.same),
        "external_ids": ("externalIds", inputs.external_ids),
    }


def _revision(deed: Deed, change: writing.Revise) -> Work:
    uri = writing.own(deed.input.id, "need")
    return writing.revision(deed, uri, "need", change)


async def publish_need(deed: Deed) -> Outcome:
    """Return what became of a new need."""

    def change(_current: Current | None) -> Parts:
        start = {
            "status": NeedStatus.OPEN.value,
            "expiresAt": format_instant(default_expiry(UrgencyText(deed.input.urgency.value), deed.services.clock())),
        }
        given = writing.without_nulls(deed.input)
        body = changed(start, given, _members(deed))
        return Parts({}, body, inputs.restricted(given, None), bool(deed.input.exercise))

    return await written(deed, lambda: Work(writing.organization(deed.input.as_), "need", change))


async def revise_need(deed: Deed) -> Outcome:
    """Return what became of the changes."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        return changed(body, deed.input, _members(deed))

    return await written(deed, lambda: _revision(deed, change))


async def withdraw_need(deed: Deed) -> Outcome:
    """Return what became of the closing."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        _check_open(body)
        return body | {"status": (NeedStatus.CLOSED_UNMET if deed.input.unmet else NeedStatus.WITHDRAWN).value}

    return await written(deed, lambda: _revision(deed, change))


async def confirm_need(deed: Deed) -> Outcome:
    """Return what became of the confirmation."""

    def change(body: dict[str, Any]) -> dict[str, Any]:
        _check_open(body)
        now = deed.services.clock()
        expires_at = deed.input.expires_at or default_expiry(UrgencyText(body["urgency"]), now)
        return body | {"confirmedAt": format_instant(now), "expiresAt": format_instant(expires_at)}

    return await written(deed, lambda: _revision(deed, change))


def _check_open(body: Mapping[str, Any]) -> None:
    if body.get("status") != NeedStatus.OPEN.value:
        raise NeedNotOpen("Its author has closed this need already; publish a new one.", state=str(body.get("status")))


@strawberry.type(description="What became of the need.")
class NeedPayload(Written):
    """The answer of mutations that write it."""

    need: Need | None = written_record("The need")


@strawberry.type(description="Writing needs.")
class NeedMutations:
    """Root fields."""

    publish_need: NeedPayload = mutation(publish_need, PublishNeedInput, "Publish a need.")
    revise_need: NeedPayload = mutation(revise_need, ReviseNeedInput, "Change a need; its kind cannot change.")
    withdraw_need: NeedPayload = mutation(withdraw_need, WithdrawNeedInput, "Take a need back, or give it up.")
    confirm_need: NeedPayload = mutation(confirm_need, ConfirmNeedInput, "Say that a need still stands.")
