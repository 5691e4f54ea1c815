"""Canonical JSON against RFC 8785's own vectors, an independent implementation, and everything it must refuse."""

import json
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from federation.encoding.canonical import (
    DEPTH_MAX,
    INTEGER_MAX,
    JSON,
    NestedTooDeep,
    NotCanonical,
    NotJson,
    ValueNotAllowed,
    decode,
    decode_any,
    encode,
    encode_any,
)

JCS = Path(__file__).parents[1] / "vectors" / "jcs" / "testdata"
CASES = sorted(path.stem for path in (JCS / "input").glob("*.json"))

text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
keys = st.text(st.characters(max_codepoint=127, exclude_characters="\0"))
scalars = st.none() | st.booleans() | st.integers(-INTEGER_MAX, INTEGER_MAX) | text
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner), max_leaves=30)
foreign = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_there_are_six_published_cases() -> None:
    assert CASES == ["arrays", "french", "structures", "unicode", "values", "weird"]


@pytest.mark.parametrize("case", CASES)
def test_foreign_documents_encode_as_rfc_8785_says(case: str) -> None:
    expected = bytes.fromhex((JCS / "outhex" / f"{case}.txt").read_text())
    assert (JCS / "output" / f"{case}.json").read_bytes() == expected
    assert encode_any(decode_any((JCS / "input" / f"{case}.json").read_bytes())) == expected


@given(values)
def test_our_encoding_is_rfc_8785(value: Any) -> None:
    assert encode(value) == rfc8785.dumps(value)


@given(values)
def test_what_was_encoded_decodes_to_itself(value: Any) -> None:
    assert decode(encode(value)) == value


@given(st.text(max_size=4), st.text(max_size=4))
def test_every_character_is_escaped_as_rfc_8785_says(before: str, after: str) -> None:
    for code in range(1, 0x100):
        value = before.replace("\0", "") + chr(code) + after.replace("\0", "")
        assert encode(value) == rfc8785.dumps(value)


@given(foreign)
def test_encode_and_decode_agree_on_what_is_allowed(value: Any) -> None:
    """Whatever encode refuses, decode refuses as well, and no third thing happens."""
    try:
        ours: bytes | None = encode(value)
    except NotCanonical:
        ours = None
    try:
        theirs: bytes | None = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeEncodeError):
        theirs = None
    if ours is not None:
        assert theirs == ours
    elif theirs is not None and json.loads(theirs) == value and not _whole_floats(value):
        with pytest.raises(NotCanonical):
            decode(theirs)


def _whole_floats(value: Any) -> bool:
    """1.0 is written `1`, which is a whole number on the way back."""
    if isinstance(value, dict):
        return any(map(_whole_floats, value.values()))
    if isinstance(value, list):
        return any(map(_whole_floats, value))
    return isinstance(value, float) and value.is_integer()


@given(st.binary(max_size=40) | st.text(alphabet='{}[]",:\\u01e.-truefalsn ').map(str.encode))
def test_any_bytes_are_refused_by_name_or_are_canonical(data: bytes) -> None:
    try:
        value = decode(data)
    except NotCanonical:
        return
    assert rfc8785.dumps(value) == data


REFUSED: dict[str, tuple[bytes, type[NotCanonical]]] = {
    "nothing": (b"", NotJson),
    "cut short": (b'{"a":1', NotJson),
    "two values": (b"1 2", NotJson),
    "byte order mark": (b"\xef\xbb\xbf1", NotJson),
    "invalid UTF-8": (b'"\xff"', NotJson),
    "surrogate in UTF-8": (b'"\xed\xa0\x80"', NotJson),
    "escaped lone surrogate": (b'"\\ud800"', NotJson),
    "raw control character": (b'"\n"', NotJson),
    "NaN": (b"NaN", NotJson),
    "endless number": (b"9" * 5000, NotJson),
    "leading zero": (b"01", NotJson),
    "white space": (b'{"a": 1}', NotCanonical),
    "final newline": (b"1\n", NotCanonical),
    "keys out of order": (b'{"b":1,"a":2}', NotCanonical),
    "repeated key": (b'{"a":1,"a":1}', NotCanonical),
    "needless escape": (b'"\\u0061"', NotCanonical),
    "escaped slash": (b'"\\/"', NotCanonical),
    "upper-case escape": (b'"\\u000B"', NotCanonical),
    "negative zero": (b"-0", NotCanonical),
    "float": (b"1.5", ValueNotAllowed),
    "whole float": (b"1.0", ValueNotAllowed),
    "exponent": (b"1e3", ValueNotAllowed),
    "2^53": (b"9007199254740992", ValueNotAllowed),
    "-2^53": (b"-9007199254740992", ValueNotAllowed),
    "thirty digits": (b"1" * 30, ValueNotAllowed),
    "NUL": (b'"\\u0000"', ValueNotAllowed),
    "NUL in a key": (b'{"\\u0000":1}', ValueNotAllowed),
    "NUL in a long text": (b'{"a":"\\\\\\u0000"}', ValueNotAllowed),
    "key that is not ASCII": ('{"é":1}'.encode(), ValueNotAllowed),
    "33 levels": (b"[" * 33 + b"]" * 33, NestedTooDeep),
    "33 levels of objects": (b'{"a":' * 33 + b"1" + b"}" * 33, NestedTooDeep),
    "a hundred thousand levels": (b"[" * 100_000 + b"]" * 100_000, NestedTooDeep),
}


@pytest.mark.parametrize("name", REFUSED)
def test_bytes_that_are_not_canonical_are_refused(name: str) -> None:
    data, error = REFUSED[name]
    with pytest.raises(NotCanonical) as refusal:
        decode(data)
    assert type(refusal.value) is error


def test_the_largest_of_everything_is_allowed() -> None:
    deepest = b"[" * DEPTH_MAX + b"]" * DEPTH_MAX
    assert encode(decode(deepest)) == deepest
    assert decode(b"9007199254740991") == INTEGER_MAX
    assert decode(b"-9007199254740991") == -INTEGER_MAX
    assert decode(b'"\\\\u0000"') == "\\u0000"  # a backslash and five characters, not a NUL
    assert decode(('"' + "[{" * 100 + '"').encode()) == "[{" * 100  # brackets in text are no depth


@pytest.mark.parametrize(
    "value",
    [1.5, float("nan"), b"bytes", (1,), {1: 2}, {"é": 1}, "\0", "\ud800", 2**53, {"a": {"b": object()}}, Path("x")],
    ids=lambda value: type(value).__name__,
)
def test_values_without_an_encoding_are_refused(value: Any) -> None:
    with pytest.raises(ValueNotAllowed):
        encode(value)


def test_a_value_nested_too_deep_is_not_encoded() -> None:
    value: JSON = 1
    for _ in range(DEPTH_MAX + 1):
        value = [value]
    with pytest.raises(NestedTooDeep):
        encode(value)


def test_a_caller_may_ask_for_less_depth() -> None:
    assert decode(b"[[1]]", depth_max=2) == [[1]]
    with pytest.raises(NestedTooDeep):
        decode(b"[[1]]", depth_max=1)
    with pytest.raises(NestedTooDeep):
        encode([[1]], depth_max=1)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", NotJson),
        (b"\xff", NotJson),
        (b'{"a":1,"a":1}', ValueNotAllowed),
        (b"NaN", ValueNotAllowed),
        (b"[" * 33 + b"]" * 33, NestedTooDeep),
        (b"[" * 100_000, NestedTooDeep),
        (b"9" * 5000, ValueNotAllowed),
    ],
)
def test_foreign_documents_are_refused_where_readers_would_differ(data: bytes, error: type[NotCanonical]) -> None:
    with pytest.raises(NotCanonical) as refusal:
        decode_any(data)
    assert type(refusal.value) is error


@pytest.mark.parametrize("value", [2**53, float("inf"), "\ud800"])
def test_foreign_documents_without_an_encoding_are_refused(value: Any) -> None:
    with pytest.raises(ValueNotAllowed):
        encode_any([value])
