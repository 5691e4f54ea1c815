"""The Need: what a community asks for, how much, where, how urgently and until when."""

from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from domain.categories import CategoryCode
from domain.decimals import positive_pattern
from domain.ids import ParticipantUriText, RecordUriText
from domain.instants import InstantText, format_instant, parse_instant
from domain.money import Money
from domain.place import Place
from domain.quantity import Quantity
from domain.records.base import Clock, Codes, Part, RecordInvalid, RecordType, Row
from domain.records.parts import (
    CountBand,
    ExternalIds,
    Reachable,
    check_place,
    check_reachable,
    check_texts,
    check_unique,
    external_ids_column,
    given,
    moment,
    place_columns,
    search_text,
    text_column,
)
from domain.text import LongTexts, ShortTexts


class NeedKind(StrEnum):
    """What sort of thing is asked for."""

    MONEY = "MONEY"
    GOODS = "GOODS"
    LABOUR = "LABOUR"
    SKILL = "SKILL"
    SPACE = "SPACE"
    TRANSPORT = "TRANSPORT"
    LOAN = "LOAN"
    INFORMATION = "INFORMATION"


class Mode(StrEnum):
    """How it may be given."""

    DONATE = "DONATE"
    LEND = "LEND"
    BARTER = "BARTER"
    GOTONG_ROYONG = "GOTONG_ROYONG"


class Urgency(StrEnum):
    """How soon it must be answered; the column holds the position, LOW = 0."""

    LOW = "LOW"
    MEDIUM = "MEDIUM"
    HIGH = "HIGH"
    CRITICAL = "CRITICAL"


class NeedStatus(StrEnum):
    """What the author says about it."""

    OPEN = "OPEN"
    WITHDRAWN = "WITHDRAWN"
    CLOSED_UNMET = "CLOSED_UNMET"


class NeedState(StrEnum):
    """What has become of it, derived; OPEN, WITHDRAWN and CLOSED_UNMET come from the author."""

    OPEN = "OPEN"
    PARTLY_PLEDGED = "PARTLY_PLEDGED"
    FULLY_PLEDGED = "FULLY_PLEDGED"
    PARTLY_RECEIVED = "PARTLY_RECEIVED"
    FULFILLED = "FULFILLED"
    EXPIRED = "EXPIRED"
    WITHDRAWN = "WITHDRAWN"
    CLOSED_UNMET = "CLOSED_UNMET"


URGENCY_RANK: Final = {urgency: rank for rank, urgency in enumerate(Urgency)}
EXPIRY_BY_URGENCY: Final = {
    Urgency.CRITICAL: timedelta(hours=24),
    Urgency.HIGH: timedelta(days=7),
    Urgency.MEDIUM: timedelta(days=30),
    Urgency.LOW: timedelta(days=90),
}

COUNTED_WITHIN: Final = timedelta(minutes=1)
"""So near to when a need was written is a time that was counted from then, and not one that its author chose."""

# Wide enough for both of what it may be a part of: 15 digits of money, 6 decimals of a quantity.
Minimum = Annotated[str, Meta(pattern=positive_pattern(integer_digits=15, fraction_digits=6))]


class NeedBody(Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """The public part. `minimum` is in the need's own unit or currency: the least that already helps."""

    title: ShortTexts
    description: LongTexts | UnsetType = UNSET
    kind: NeedKind
    category: CategoryCode
    quantity: Quantity | UnsetType = UNSET
    money: Money | UnsetType = UNSET
    minimum: Minimum | UnsetType = UNSET
    urgency: Urgency
    place: Place
    needed_by: InstantText | UnsetType = UNSET
    expires_at: InstantText
    confirmed_at: InstantText | UnsetType = UNSET
    modes: Annotated[tuple[Mode, ...], Meta(min_length=1, max_length=len(Mode))]
    permit: RecordUriText | UnsetType = UNSET
    recipient: ParticipantUriText | UnsetType = UNSET
    beneficiaries: CountBand | UnsetType = UNSET
    status: NeedStatus
    external_ids: ExternalIds | UnsetType = UNSET


def default_expiry(urgency: Urgency, start: datetime) -> datetime:
    """Return when a need ends that was published or confirmed at `start`, if its author names no other time."""
    return start + EXPIRY_BY_URGENCY[urgency]


def counted_anew(body: Part, written_at: datetime, now: datetime) -> Part:
    """Return the body of a need that had to wait: times counted from when it was written are counted from now.

    A clock that was wrong at that time put them years away; what its author named stays.
    """
    span = EXPIRY_BY_URGENCY[Urgency(body["urgency"])]
    counted = {"confirmedAt": timedelta(0), "expiresAt": span}
    moved = {
        name: format_instant(now + after)
        for name, after in counted.items()
        if name in body and abs(parse_instant(body[name]) - after - written_at) <= COUNTED_WITHIN
    }
    return {**body, **moved}


def amount(body: NeedBody) -> Decimal:
    """Return how much is asked for, in the need's unit or currency."""
    money, quantity = given(body.money), given(body.quantity)
    if (money is None) == (quantity is None):
        raise RecordInvalid("a need states either a quantity or an amount of money", part="body", field="quantity")
    return money.value if money is not None else Decimal(quantity.value if quantity is not None else 0)


def state_at(body: NeedBody, as_of: datetime) -> Clock:
    """Return the need's state at `as_of` as far as its author and the clock decide it."""
    if body.status is not NeedStatus.OPEN:
        return Clock(NeedState(body.status.value).value, None)
    expires_at = moment("expiresAt", body.expires_at)
    if expires_at is not None and expires_at <= as_of:
        return Clock(NeedState.EXPIRED.value, None)
    return Clock(NeedState.OPEN.value, expires_at)


def _check(body: NeedBody) -> None:
    check_texts(title=body.title, description=body.description)
    check_place(body.place)
    check_unique("modes", body.modes)
    asked = amount(body)
    if body.kind is NeedKind.MONEY and body.money is UNSET:
        raise RecordInvalid("a need for money states an amount of money", part="body", field="money")
    if body.minimum is not UNSET and Decimal(body.minimum) > asked:
        raise RecordInvalid("the minimum is more than what is asked for", part="body", field="minimum")
    if body.permit is not UNSET and body.money is UNSET:
        raise RecordInvalid("a permit belongs to a need for money", part="body", field="permit")
    _check_times(body)


def _check_times(body: NeedBody) -> None:
    moment("neededBy", body.needed_by)
    expires_at, confirmed_at = moment("expiresAt", body.expires_at), moment("confirmedAt", body.confirmed_at)
    if confirmed_at is not None and expires_at is not None and expires_at <= confirmed_at:
        raise RecordInvalid("a need that is confirmed expires later than that", part="body", field="expiresAt")


def _codes(body: NeedBody) -> Codes:
    return Codes(
        regions=[("place.code", body.place.code)],
        categories=[("category", body.category)],
        moneys=[] if body.money is UNSET else [("money", body.money)],
        quantities=[] if body.quantity is UNSET else [("quantity", body.quantity)],
    )


def _project(body: NeedBody) -> Row:
    money, quantity, minimum = given(body.money), given(body.quantity), given(body.minimum)
    beneficiaries = given(body.beneficiaries)
    return {
        "title_text": text_column(body.title),
        "description_text": text_column(body.description),
        "kind": body.kind.value,
        "category": body.category,
        "quantity_value": quantity.number if quantity else None,
        "quantity_unit": quantity.unit if quantity else None,
        "money_amount": money.value if money else None,
        "money_currency": money.currency if money else None,
        "minimum_value": Decimal(minimum) if minimum else None,
        "urgency": URGENCY_RANK[body.urgency],
        "modes": [mode.value for mode in body.modes],
        **place_columns(body.place),
        "needed_by": moment("neededBy", body.needed_by),
        "expires_at": moment("expiresAt", body.expires_at),
        "confirmed_at": moment("confirmedAt", body.confirmed_at),
        "permit": given(body.permit),
        "recipient": given(body.recipient),
        "beneficiaries": beneficiaries.value if beneficiaries else None,
        "external_ids": external_ids_column(body.external_ids),
        "search_text": search_text(body.title, body.description),
    }


NEED = RecordType(
    name="need",
    version=1,
    table="need",
    searched=True,
    body=NeedBody,
    restricted=Reachable,
    check=_check,
    check_restricted=check_reachable,
    codes=_codes,
    project=_project,
    clock=state_at,
    fixed=("kind",),
    wait=counted_anew,
)
