"""Decide how a decimal number is spelled in signed bytes: one number, one spelling.

Floats are forbidden in canonical JSON, so money, quantities and coordinates travel
as strings. The only spelling is the shortest: no exponent, no plus sign, no leading
zeros, no trailing zeros after the point, no "-0". This module knows no bounds; each
type states its own as a pattern.
"""

from decimal import Decimal, InvalidOperation


def positive_pattern(*, integer_digits: int, fraction_digits: int) -> str:
    r"""Return the regular expression of a canonical decimal above zero (anchored with `\Z`, for Python)."""
    whole = rf"(0|[1-9][0-9]{{0,{integer_digits - 1}}})"
    fraction = rf"(\.[0-9]{{0,{fraction_digits - 1}}}[1-9])?"
    return rf"^(?!0\Z){whole}{fraction}\Z"


def canonical(value: Decimal) -> str:
    """Return the one spelling of a finite decimal."""
    if value == 0:
        return "0"
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def read(text: str) -> Decimal:
    """Return the number a person or program wrote, or raise ValueError for anything but plain digits.

    Accepts what people type ("12.50", "+3", "007"); refuses exponents, digit separators, NaN and infinity.
    """
    stripped = text.strip()
    bare = stripped.removeprefix("+").removeprefix("-")
    if not (bare.isascii() and bare.replace(".", "", 1).isdigit()):
        raise ValueError(f"{stripped!r} is not a decimal number")
    try:
        return Decimal(stripped)
    except InvalidOperation:
        raise ValueError(f"{stripped!r} is not a decimal number") from None
