"""One entry: what is built is parsed again, what is not canonical or malformed is named."""

import uuid
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.encoding import canonical
from federation.log import entry, names
from federation.log.entry import (
    Entry,
    EntryMalformed,
    EntryNotCanonical,
    EntryTooLarge,
    GenesisMalformed,
    InstantMalformed,
    PayloadCommitmentMismatch,
)
from spec.cases.keys import AT, ORIGIN, SCID, record_id

ID = record_id(0)
TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
KEY = st.text(st.characters(min_codepoint=1, max_codepoint=126), max_size=12)
VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=8,
)
HASH = st.none() | st.binary(min_size=32, max_size=32)
INSTANT = st.datetimes(timezones=st.just(UTC)).map(lambda at: at.replace(microsecond=at.microsecond // 1000 * 1000))


@given(
    type=st.from_regex(r"[a-z][a-z0-9-]{0,31}", fullmatch=True),
    at=INSTANT,
    rev=st.integers(0, 3),
    core=st.dictionaries(KEY, VALUE, max_size=4),
    exercise=st.booleans(),
    body=HASH,
    restricted=HASH,
    v=st.integers(1, 2**53 - 1),
)
def test_what_is_built_is_parsed_again(rev: int, **members: Any) -> None:
    prev = 7 if rev else None
    data = entry.build(id=ID, rev=rev, prev=prev, **members)
    assert entry.parse(data) == Entry(id=ID, rev=rev, prev=prev, op="put", unknown=False, **members)


@given(st.integers(0, 300), st.integers(0, 255))
def test_no_changed_byte_makes_the_same_entry(at: int, byte: int) -> None:
    data = entry.build(type="need", id=ID, at=AT, rev=1, prev=4, core={"a": "b"}, body=bytes(32), exercise=True)
    place = at % len(data)
    changed = data[:place] + bytes([byte]) + data[place + 1 :]
    if changed == data:
        return
    try:
        parsed = entry.parse(changed)
    except (EntryNotCanonical, EntryMalformed):
        return
    assert parsed != entry.parse(data)


@given(
    st.binary(max_size=120) | st.dictionaries(KEY, VALUE, max_size=5).map(lambda value: canonical.encode(dict(value)))
)
def test_garbage_is_refused_by_name_and_never_crashes(data: bytes) -> None:
    with pytest.raises((EntryNotCanonical, EntryMalformed)):
        entry.parse(data)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        *(("v", 0), ("type", "Need"), ("id", "x"), ("rev", -1), ("prev", 1), ("at", "x"), ("op", "Put")),
        *(("core", {}), ("exercise", False), ("body", "x"), ("restricted", "x")),
    ],
)
def test_the_refusal_names_the_member(member: str, value: canonical.JSON) -> None:
    members: dict[str, canonical.JSON] = {
        "v": 1, "type": "need", "id": str(ID), "rev": 0, "at": entry.instant(AT), "op": "put", member: value,
    }  # fmt: skip
    with pytest.raises(EntryMalformed) as refusal:
        entry.parse(canonical.encode(members))
    assert refusal.value.details["member"] == member


def test_a_newer_versions_entry_is_parsed_and_marked() -> None:
    plain: dict[str, canonical.JSON] = {
        "v": 1, "type": "need", "id": str(ID), "rev": 0, "at": entry.instant(AT), "op": "put",
    }  # fmt: skip
    assert not entry.parse(canonical.encode(plain)).unknown
    assert entry.parse(canonical.encode({**plain, "op": "merge"})).unknown
    assert entry.parse(canonical.encode({**plain, "witnessed": {"by": []}})).unknown
    assert entry.parse(canonical.encode({**plain, "type": "soil-sample", "v": 3})).type == "soil-sample"


def test_what_could_not_be_parsed_is_not_built() -> None:
    with pytest.raises(EntryMalformed):
        entry.build(type="Need", id=ID, at=AT)
    with pytest.raises(EntryMalformed):
        entry.build(type="need", id=uuid.UUID(int=0), at=AT)
    with pytest.raises(EntryTooLarge):
        entry.build(type="need", id=ID, at=AT, core={"text": "a" * 4096})
    with pytest.raises(EntryNotCanonical):
        entry.build(type="need", id=ID, at=AT, core={"amount": 1.5})
    with pytest.raises(EntryMalformed):
        entry.build(type="need", id=ID, at=AT, body=bytes(31))


@given(st.datetimes(timezones=st.just(timezone(timedelta(hours=7)))).filter(lambda at: 1 < at.year < 9999))
def test_an_instant_is_the_same_time_in_utc_cut_to_milliseconds(at: datetime) -> None:
    back = entry.parse_instant(entry.instant(at))
    assert timedelta(0) <= at - back < timedelta(milliseconds=1)
    assert back.tzinfo == UTC


@given(st.text(max_size=26) | st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{3}Z", fullmatch=True))
def test_whatever_instant_is_accepted_is_written_the_same(text: str) -> None:
    try:
        at = entry.parse_instant(text)
    except InstantMalformed:
        return
    assert entry.instant(at) == text


def test_a_time_without_a_zone_is_no_instant() -> None:
    with pytest.raises(InstantMalformed):
        entry.instant(datetime(2026, 3, 14))  # noqa: DTZ001


START = entry.EpochStart(9, b"r" * 32, b"g" * 32)


def test_a_log_of_a_later_epoch_says_what_it_copies() -> None:
    data = entry.genesis(SCID, 1, "live", AT, ID, start=START)
    entry.check_genesis(entry.parse(data), names.origin(SCID, 1), "live")
    with pytest.raises(GenesisMalformed):
        entry.genesis(SCID, 1, "live", AT, ID)
    with pytest.raises(GenesisMalformed):
        entry.genesis(SCID, 0, "live", AT, ID, start=START)


@given(st.binary(max_size=64), st.binary(min_size=16, max_size=16))
def test_only_the_committed_payload_fits(payload: bytes, salt: bytes) -> None:
    committed = entry.build(type="need", id=ID, at=AT, body=entry.commit(b"s" * 16, b'{"a":1}'))
    if (salt, payload) != (b"s" * 16, b'{"a":1}'):
        with pytest.raises(PayloadCommitmentMismatch):
            entry.check_payload(entry.parse(committed), "body", salt, payload)
    assert entry.check_payload(entry.parse(committed), "body", b"s" * 16, b'{"a":1}') == {"a": 1}


def test_a_salt_has_16_bytes() -> None:
    with pytest.raises(PayloadCommitmentMismatch):
        entry.commit(b"s" * 15, b"{}")


def test_names_are_written_as_they_are_read() -> None:
    assert names.parse_origin(entry.origin(SCID, 12)) == (SCID, 12)
    with pytest.raises(names.OriginMalformed):
        names.origin(SCID, -1)
    assert entry.origin(SCID, 0) == ORIGIN
