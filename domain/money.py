"""Decide what an amount of money is: a positive canonical decimal in major units, and a currency.

"120000000" IDR is Rp120 juta, in records, GraphQL and files alike. Nothing here
converts between currencies. The shape is checked on every node that reads a
record; whether the currency is on our list (it changes, and nodes upgrade at
different times) is asked only where a record is written.
"""

from decimal import Decimal
from typing import Annotated, ClassVar

from msgspec import Meta, Struct

from domain import decimals
from domain.currencies import MINOR_DIGITS
from domain.errors import GotongError

MONEY_INTEGER_DIGITS_MAX = 15
MONEY_FRACTION_DIGITS_MAX = 4

Amount = Annotated[
    str,
    Meta(
        pattern=decimals.positive_pattern(
            integer_digits=MONEY_INTEGER_DIGITS_MAX, fraction_digits=MONEY_FRACTION_DIGITS_MAX
        )
    ),
]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}\Z")]


class MoneyInvalid(GotongError):
    """An amount of money is not a positive decimal its currency can pay, or the currency is unknown."""

    code: ClassVar[str] = "MONEY_INVALID"


class Money(Struct, frozen=True, gc=False):
    """An amount in major units."""

    amount: Amount
    currency: Currency

    @property
    def value(self) -> Decimal:
        """Return the amount as a number."""
        return Decimal(self.amount)


def parse_money(amount: str, currency: str) -> Money:
    """Return canonical Money for what someone entered, or raise MoneyInvalid.

    "12.50" becomes "12.5". More digits than the currency's minor unit are refused, never rounded.
    """
    try:
        value = decimals.read(amount)
    except ValueError as error:
        raise MoneyInvalid(str(error), amount=amount, currency=currency) from None
    if value <= 0:
        raise MoneyInvalid("an amount of money must be above zero", amount=amount, currency=currency)
    if value >= 10**MONEY_INTEGER_DIGITS_MAX:
        raise MoneyInvalid(f"an amount of money has at most {MONEY_INTEGER_DIGITS_MAX} digits", amount=amount)
    money = Money(decimals.canonical(value), currency)
    check_currency(money)
    return money


def check_currency(money: Money) -> None:
    """Raise MoneyInvalid unless the currency is known and can pay the amount (ISO 4217 minor units)."""
    digits = MINOR_DIGITS.get(money.currency)
    if digits is None:
        raise MoneyInvalid(f"{money.currency!r} is not an ISO 4217 currency in use", currency=money.currency)
    if len(money.amount.partition(".")[2]) > digits:
        raise MoneyInvalid(
            f"{money.currency} has {digits} digits after the point", amount=money.amount, currency=money.currency
        )
