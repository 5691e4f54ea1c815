"""Decide how people are reached: the restricted part of a record, which never leaves its home node unasked.

Phone numbers are E.164. This module cannot tell whether a number is answered.
"""

import re
from typing import Annotated, ClassVar, Final

from msgspec import UNSET, Meta, Struct, UnsetType

from domain.errors import GotongError
from domain.place import ADDRESS_CHARS_MAX, Latitude, Longitude
from domain.text import PASSAGE_PATTERN, Line

COUNTRY_CALLING_CODE_DEFAULT: Final = "62"
E164_PATTERN: Final = r"^\+[1-9][0-9]{6,14}\Z"
EMAIL_PATTERN: Final = r"^[^@\s\u0000-\u001f\u007f]{1,64}@[A-Za-z0-9.-]{1,189}\.[A-Za-z]{2,63}\Z"

Phone = Annotated[str, Meta(pattern=E164_PATTERN)]
Email = Annotated[str, Meta(pattern=EMAIL_PATTERN)]
Note = Annotated[str, Meta(pattern=PASSAGE_PATTERN, max_length=ADDRESS_CHARS_MAX)]

_E164 = re.compile(E164_PATTERN)


class ContactInvalid(GotongError):
    """A phone number is not E.164 and cannot be read as one."""

    code: ClassVar[str] = "CONTACT_INVALID"


class Contact(Struct, frozen=True, omit_defaults=True):
    """Whom to call, at least one way."""

    name: Line | UnsetType = UNSET
    phone: Phone | UnsetType = UNSET
    whatsapp: Phone | UnsetType = UNSET
    email: Email | UnsetType = UNSET
    note: Note | UnsetType = UNSET

    @property
    def is_empty(self) -> bool:
        """Return whether nothing at all is given."""
        return all(part is UNSET for part in (self.name, self.phone, self.whatsapp, self.email, self.note))


class ExactPlace(Struct, frozen=True, omit_defaults=True):
    """The house and lane; the public record carries the kecamatan only."""

    address: Note | UnsetType = UNSET
    lat: Latitude | UnsetType = UNSET
    lon: Longitude | UnsetType = UNSET

    @property
    def is_incomplete(self) -> bool:
        """Return whether neither an address nor a whole point is given, or only half a point."""
        return (self.lat is UNSET) != (self.lon is UNSET) or (self.address is UNSET and self.lat is UNSET)


def parse_phone(text: str, country: str = COUNTRY_CALLING_CODE_DEFAULT) -> str:
    """Return the E.164 number for what people write ("0812-3456-7890", "62 812…"), or raise ContactInvalid."""
    digits = re.sub(r"[\s().\-]", "", text)
    if digits.startswith("0") and not digits.startswith("00"):
        digits = f"+{country}{digits[1:]}"
    elif digits.startswith("00"):
        digits = f"+{digits[2:]}"
    elif digits.startswith(country):
        digits = f"+{digits}"
    if not _E164.match(digits):
        raise ContactInvalid("a phone number has a country code and 7 to 15 digits")  # never quoted: it is personal
    return digits
