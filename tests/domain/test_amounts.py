"""Money, quantities and the one spelling of a decimal."""

from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import decimals
from domain.currencies import MINOR_DIGITS
from domain.money import Money, MoneyInvalid, parse_money
from domain.quantity import UNITS, Quantity, QuantityInvalid, check_unit, parse_quantity


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**15), max_value=10**15, places=6))
def test_a_number_has_one_spelling_and_keeps_its_value(number: Decimal) -> None:
    text = decimals.canonical(number)
    assert Decimal(text) == number
    assert decimals.canonical(Decimal(text)) == text
    assert "E" not in text
    assert not (text.endswith(("0", ".")) and "." in text)


@pytest.mark.parametrize(
    ("entered", "currency", "canonical"),
    [("120000000", "IDR", "120000000"), ("12.50", "USD", "12.5"), ("+007", "IDR", "7"), (" 3.125 ", "KWD", "3.125")],
)
def test_money_is_read_as_people_write_it(entered: str, currency: str, canonical: str) -> None:
    assert parse_money(entered, currency) == Money(canonical, currency)


@pytest.mark.parametrize(
    ("entered", "currency"),
    [
        ("0", "IDR"),
        ("-5", "IDR"),
        ("1e6", "IDR"),
        ("NaN", "IDR"),
        ("1_000", "IDR"),
        ("1,5", "USD"),
        ("", "IDR"),
        (".", "IDR"),
        ("١٢", "IDR"),
        ("+-3", "IDR"),
        ("1.005", "USD"),
        ("1.5", "JPY"),
        ("1000000000000000", "IDR"),
        ("5", "XAU"),
        ("5", "idr"),
        ("5", ""),
    ],
)
def test_what_is_no_payable_amount_is_refused(entered: str, currency: str) -> None:
    with pytest.raises(MoneyInvalid) as caught:
        parse_money(entered, currency)
    assert caught.value.code == "MONEY_INVALID"


@pytest.mark.parametrize(
    "amount", ["0", "00", "01", "1.0", "1.", ".5", "+1", "-1", "1e3", "1\n", "", "1" * 16, "1.00001"]
)
def test_signed_bytes_carry_only_the_canonical_amount(amount: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"amount": amount, "currency": "IDR"}, Money)


def test_the_currency_list_has_the_minor_digits_of_iso_4217() -> None:
    assert {code: MINOR_DIGITS[code] for code in ("IDR", "USD", "JPY", "KWD", "EUR")} == {
        "IDR": 2,
        "USD": 2,
        "JPY": 0,
        "KWD": 3,
        "EUR": 2,
    }
    assert all(len(code) == 3 and code.isupper() for code in MINOR_DIGITS)
    assert not {"XAU", "XXX", "XTS", "HRK", "BGN"} & set(MINOR_DIGITS)


@pytest.mark.parametrize(
    ("value", "unit"), [("25.50", "kg"), ("100", "{buku}"), ("0.5", "L"), ("3", "{paket-sembako}")]
)
def test_a_quantity_has_a_known_unit_or_an_annotation(value: str, unit: str) -> None:
    assert parse_quantity(value, unit) == Quantity(decimals.canonical(Decimal(value)), unit)


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("0", "kg"),
        ("1", ""),
        ("1", "buku"),
        ("1", "{}"),
        ("1", "{a b}"),
        ("1", "{a}{b}"),
        ("1", "{" + "a" * 31 + "}"),
        ("1", "{büku}"),
        ("1.0000001", "kg"),
        ("1" * 13, "kg"),
        ("ten", "kg"),
    ],
)
def test_what_cannot_be_counted_is_refused(value: str, unit: str) -> None:
    with pytest.raises(QuantityInvalid) as caught:
        parse_quantity(value, unit)
    assert caught.value.code == "QUANTITY_INVALID"


@given(st.sampled_from(sorted(UNITS)) | st.from_regex(r"\A\{[!-z|~]{1,30}\}\Z"))
def test_every_unit_a_writer_may_use_is_well_formed_for_readers(unit: str) -> None:
    check_unit(Quantity("1", unit))
    assert msgspec.convert({"value": "1", "unit": unit}, Quantity).unit == unit
