"""Decide what a counted or measured amount is: a positive canonical decimal and a UCUM unit.

Things without a unit of their own are counted in a UCUM annotation, `{buku}` or
`{paket}`. Quantities are never added across units; `L` and `mL` are two units.
The shape of a unit is checked wherever a record is read; membership in the small
subset below only where one is written.
"""

from decimal import Decimal
from typing import Annotated, ClassVar, Final

from msgspec import Meta, Struct

from domain import decimals
from domain.errors import GotongError

QUANTITY_INTEGER_DIGITS_MAX = 12
QUANTITY_FRACTION_DIGITS_MAX = 6
UNIT_CHARS_MAX = 32

_MASS = "mg g kg t"
_VOLUME = "mL L m3"
_LENGTH_AND_AREA = "mm cm m km m2 har"  # har: hectare
_TIME = "min h d wk mo a"
_OTHER = "kW.h W kW By 1"  # 1: a bare count
UNITS: Final = frozenset(" ".join((_MASS, _VOLUME, _LENGTH_AND_AREA, _TIME, _OTHER)).split())
"""The UCUM units people of a neighbourhood use; everything else is counted in an annotation."""

# UCUM section 2.1: printable ASCII without the space; inside braces no further brace.
_ANNOTATION = r"\{[!-z|~]{1,30}\}"
_TERM = r"[!-z|~]{1,32}"

Value = Annotated[
    str,
    Meta(
        pattern=decimals.positive_pattern(
            integer_digits=QUANTITY_INTEGER_DIGITS_MAX, fraction_digits=QUANTITY_FRACTION_DIGITS_MAX
        )
    ),
]
Unit = Annotated[str, Meta(pattern=rf"^({_ANNOTATION}|{_TERM})\Z", max_length=UNIT_CHARS_MAX)]


class QuantityInvalid(GotongError):
    """A quantity is not a positive decimal of at most 12 and 6 digits, or its unit is unknown."""

    code: ClassVar[str] = "QUANTITY_INVALID"


class Quantity(Struct, frozen=True, gc=False):
    """An amount of something, in one unit."""

    value: Value
    unit: Unit

    @property
    def number(self) -> Decimal:
        """Return the value as a number."""
        return Decimal(self.value)


def parse_quantity(value: str, unit: str) -> Quantity:
    """Return a canonical Quantity for what someone entered, or raise QuantityInvalid."""
    quantity = Quantity(parse_value(value), unit)
    check_unit(quantity)
    return quantity


def parse_value(value: str) -> str:
    """Return the canonical spelling of a quantity's number ("2.50" becomes "2.5"), or raise QuantityInvalid."""
    try:
        number = decimals.read(value)
    except ValueError as error:
        raise QuantityInvalid(str(error), value=value) from None
    canonical = decimals.canonical(number)
    if number <= 0:
        raise QuantityInvalid("a quantity must be above zero", value=value)
    if number >= 10**QUANTITY_INTEGER_DIGITS_MAX:
        raise QuantityInvalid(f"a quantity has at most {QUANTITY_INTEGER_DIGITS_MAX} digits", value=value)
    if len(canonical.partition(".")[2]) > QUANTITY_FRACTION_DIGITS_MAX:
        raise QuantityInvalid(
            f"a quantity has at most {QUANTITY_FRACTION_DIGITS_MAX} digits after the point", value=value
        )
    return canonical


def check_unit(quantity: Quantity) -> None:
    """Raise QuantityInvalid unless the unit is one of UNITS or a well-formed `{annotation}`."""
    unit = quantity.unit
    if unit in UNITS:
        return
    inner = unit[1:-1]
    annotated = unit.startswith("{") and unit.endswith("}") and 0 < len(inner) <= UNIT_CHARS_MAX - 2
    if not (annotated and all("!" <= c <= "~" and c not in "{}" for c in inner)):
        raise QuantityInvalid(
            f"{unit!r} is neither a unit we know nor an annotation such as {{buku}}",
            unit=unit,
            known=" ".join(sorted(UNITS)),
        )
