"""Canonical JSON: the one sequence of bytes a value may have. No I/O, no clock.

Two dialects, never mixed:

* `encode` / `decode` speak Gotong's own: RFC 8785 with ASCII keys, integers of magnitude below 2^53, no floats, no
  NUL, no lone surrogates and a bounded depth. `decode` refuses bytes that are not exactly what `encode` would write,
  so a value and its bytes stand for each other and hashing either is hashing both. On this domain orjson with sorted
  keys writes the same bytes as RFC 8785 (tests/identity proves it against an independent implementation).
* `encode_any` / `decode_any` speak all of RFC 8785, floats included, for documents of others: did:webvh logs and Data
  Integrity proofs are hashed over a canonical form that is not the form they travel in.

Rules, with the error that answers each:
- C1.1 the bytes are well-formed UTF-8 JSON without a byte-order mark, no escape half a surrogate pair: NOT_JSON.
- C1.2 they are the bytes RFC 8785 writes for their value: keys sorted, no white space, one spelling of every text and
  number, no key twice: NOT_CANONICAL.
- C1.3 keys are ASCII, numbers integers of magnitude below 2^53, texts hold no NUL; nothing is normalised:
  JSON_VALUE_NOT_ALLOWED.
- C1.4 objects and arrays are nested at most DEPTH_MAX deep: JSON_TOO_DEEP.
- C2.1 a document of others may have any layout and floats; a number is what RFC 8785 writes for it, so 4.0 is 4. It is
  refused for a key twice, an integer from 2^53 written as one, NaN or an infinite number (JSON_VALUE_NOT_ALLOWED), for
  C1.1 and for C1.4.
"""

import json
import math
from typing import ClassVar, NoReturn

import msgspec
import orjson
import rfc8785

from domain.errors import GotongError

JSON = dict[str, "JSON"] | list["JSON"] | str | int | float | bool | None

DEPTH_MAX = 32
INTEGER_MAX = 2**53 - 1

_WRITE = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_ESCAPED_NUL = b"\\u0000"
_INTEGER_CHARS_MAX = len(str(-INTEGER_MAX))


class NotCanonical(GotongError):
    """The bytes are JSON, but not the canonical encoding of the value they hold (white space, order, repeated keys)."""

    code: ClassVar[str] = "NOT_CANONICAL"


class NotJson(NotCanonical):
    """The bytes are not well-formed UTF-8 JSON."""

    code: ClassVar[str] = "NOT_JSON"


class ValueNotAllowed(NotCanonical):
    """The value holds a float, an integer from 2^53, a NUL, a lone surrogate, a non-ASCII key or a foreign type."""

    code: ClassVar[str] = "JSON_VALUE_NOT_ALLOWED"


class NestedTooDeep(NotCanonical):
    """Objects and arrays are nested deeper than allowed."""

    code: ClassVar[str] = "JSON_TOO_DEEP"


def encode(value: JSON, *, depth_max: int = DEPTH_MAX) -> bytes:
    """Return the canonical bytes of `value`; raise ValueNotAllowed or NestedTooDeep for what has none."""
    _check(value, depth_max, depth_max)
    return orjson.dumps(value, option=_WRITE)


def decode(data: bytes, *, depth_max: int = DEPTH_MAX) -> JSON:
    """Return the value whose canonical encoding is `data`; raise a NotCanonical for any other bytes.

    This runs once per entry in bulk sync. Writing the value back and comparing settles order, white space, escapes
    and repeated keys in one step; the walk over the value is only taken when the bytes hint that it could matter.
    """
    try:
        value: JSON = _read(data)
    except (msgspec.DecodeError, ValueError) as error:
        raise NotJson(f"not UTF-8 JSON: {error}") from None
    except RecursionError:
        raise NestedTooDeep("nested deeper than the parser goes", depth_max=depth_max) from None
    # Brackets inside strings are counted too, which errs on the side of looking closer.
    if data.count(b"{") + data.count(b"[") > depth_max or not data.isascii() or _ESCAPED_NUL in data:
        _check(value, depth_max, depth_max)
    try:
        again = orjson.dumps(value, option=_WRITE)
    except TypeError as error:
        raise ValueNotAllowed(f"cannot be encoded: {error}") from None
    if again != data:
        raise NotCanonical("these bytes are not the canonical encoding of their value")
    return value


def encode_any(value: JSON) -> bytes:
    """Return the RFC 8785 encoding of a document of others; raise ValueNotAllowed where it has none.

    Integers are still bounded by 2^53, because beyond it implementations round differently.
    """
    try:
        return encode(value)  # the same bytes, many times faster, for what Gotong's dialect covers
    except NotCanonical:
        pass
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError, RecursionError) as error:
        raise ValueNotAllowed(f"no canonical encoding: {error}") from None


def decode_any(data: bytes, *, depth_max: int = DEPTH_MAX) -> JSON:
    """Return the JSON value of a document of others, in any layout.

    Raises NotJson for what is not UTF-8 JSON, ValueNotAllowed for a repeated key (readers differ on which one wins)
    or a number that readers read differently, NestedTooDeep past `depth_max`.
    """
    try:
        value: JSON = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_object_without_repeats,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_refuse_constant,
        )
        if b"\\u" in data:
            json.dumps(value, ensure_ascii=False).encode()  # a UnicodeEncodeError is a lone surrogate
    except ValueError as error:
        raise NotJson(f"not UTF-8 JSON: {error}") from None
    except RecursionError:
        raise NestedTooDeep("nested deeper than the parser goes", depth_max=depth_max) from None
    if _deeper_than(value, depth_max):
        raise NestedTooDeep("nested too deep", depth_max=depth_max)
    return value


def _refuse_float(text: str) -> NoReturn:
    raise ValueNotAllowed("floats have no place in a signed record; write decimals as strings", number=text[:32])


_read = msgspec.json.Decoder(float_hook=_refuse_float).decode


def _check(value: JSON, depth_left: int, depth_max: int) -> None:
    kind = type(value)
    if kind is str:
        _check_text(value)  # type: ignore[arg-type]
    elif isinstance(value, dict) and kind is dict:
        if depth_left == 0:
            raise NestedTooDeep("nested too deep", depth_max=depth_max)
        for key, member in value.items():
            if type(key) is not str or not key.isascii() or "\0" in key:
                raise ValueNotAllowed("keys are ASCII text", key=repr(key)[:64])
            _check(member, depth_left - 1, depth_max)
    elif isinstance(value, list) and kind is list:
        if depth_left == 0:
            raise NestedTooDeep("nested too deep", depth_max=depth_max)
        for member in value:
            _check(member, depth_left - 1, depth_max)
    elif isinstance(value, int) and kind is int:
        if abs(value) > INTEGER_MAX:
            raise ValueNotAllowed("integers stay below 2^53")
    elif kind is not bool and value is not None:
        raise ValueNotAllowed("not a value of a signed record", type=kind.__name__)


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueNotAllowed("text must not hold NUL")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            raise ValueNotAllowed("text must not hold a lone surrogate") from None


def _object_without_repeats(pairs: list[tuple[str, JSON]]) -> dict[str, JSON]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueNotAllowed("an object names a key twice")
    return members


def _integer(text: str) -> int:
    # Not read as a number before its length is known: that takes the square of its digits.
    number = int(text) if len(text) <= _INTEGER_CHARS_MAX else INTEGER_MAX + 1
    if abs(number) > INTEGER_MAX:
        raise ValueNotAllowed("integers stay below 2^53")
    return number


def _number(text: str) -> float:
    """Return what RFC 8785 writes for it: 4.0 and 4 are one number, in languages that know no other kind too."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueNotAllowed("not a number that can be written")
    return int(number) if number.is_integer() and abs(number) <= INTEGER_MAX else number


def _refuse_constant(name: str) -> NoReturn:
    raise ValueNotAllowed("not a JSON number", number=name)


def _deeper_than(value: JSON, depth_max: int) -> bool:
    """Breadth first, so that the depth of hostile input never becomes the depth of our stack."""
    level = [value]
    for _ in range(depth_max + 1):
        nested = [node for node in level if isinstance(node, dict | list)]
        if not nested:
            return False
        level = [member for node in nested for member in (node.values() if isinstance(node, dict) else node)]
    return True
