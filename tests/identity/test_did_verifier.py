"""What must hold for any log: limits, increments, and that no changed byte passes."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.did import webvh, witness
from federation.did.errors import (
    DidEntryMalformed,
    DidError,
    DidLogTooLarge,
    DidProofInvalid,
    DidScidMismatch,
    DidServiceMalformed,
    DidWitnessProofsMissing,
)
from federation.did.syntax import DID_CHARS_MAX, compose, parse
from federation.encoding.canonical import NotCanonical
from federation.log.service import require_gotong
from spec.did.case import drop, new_epoch, parameter, retired, rule, set_, updated
from spec.did.writer import Writer, move, multikey

NOW = datetime(2026, 11, 22, tzinfo=UTC)
LINES = tuple(Writer().first().next(move).next(key=2, time="2026-11-03T00:00:00Z").lines)
CHANGED_LAST = [(LINES[0],), LINES[:2], LINES]


@settings(max_examples=600)
@given(st.sampled_from(CHANGED_LAST), st.integers(0), st.integers(1, 255))
def test_no_changed_byte_of_a_line_is_accepted(lines: tuple[bytes, ...], position: int, flip: int) -> None:
    line = bytearray(lines[-1])
    line[position % len(line)] ^= flip
    with pytest.raises(DidError):
        webvh.verify([*lines[:-1], bytes(line)], now=NOW)


def test_no_changed_bit_of_a_first_line_is_accepted() -> None:
    state = webvh.verify(LINES[:1], now=NOW)
    for position in range(len(LINES[0])):
        line = bytearray(LINES[0])
        line[position] ^= 1 << position % 8
        with pytest.raises(DidError):
            webvh.verify([bytes(line)], now=NOW)
    assert webvh.verify(LINES[:1], now=NOW) == state


@given(st.lists(st.binary(max_size=80), max_size=3))
def test_any_bytes_are_refused_by_name(lines: list[bytes]) -> None:
    with pytest.raises(DidError):
        webvh.verify(lines, now=NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
PATHS = [
    ("versionId",),
    ("versionTime",),
    ("parameters",),
    ("parameters", "updateKeys"),
    ("parameters", "witness"),
    ("parameters", "scid"),
    ("state",),
    ("state", "id"),
    ("proof",),
    ("proof", 0),
    ("proof", 0, "verificationMethod"),
    ("proof", 0, "proofValue"),
]


@given(st.sampled_from(PATHS), json_values)
def test_any_json_in_any_place_is_refused_by_name(path: tuple[str | int, ...], value: object) -> None:
    entry = json.loads(LINES[0])
    set_(*path, to=value)(entry)
    with pytest.raises(DidError):
        webvh.verify([json.dumps(entry).encode()], now=NOW)


SERVICE_PATHS = [
    ("state", "service"),
    ("state", "service", 0),
    ("state", "service", 0, "keys"),
    ("state", "service", 0, "keys", 0),
    ("state", "service", 0, "epoch"),
    ("state", "service", 0, "serviceEndpoint"),
    ("state", "verificationMethod"),
    ("state", "verificationMethod", 0),
    ("state", "assertionMethod"),
]


@given(st.sampled_from(SERVICE_PATHS), json_values)
def test_any_json_in_a_service_is_refused_by_name_or_is_a_service(path: tuple[str | int, ...], value: object) -> None:
    try:
        lines = Writer().first(set_(*path, to=value)).lines
    except NotCanonical:
        return  # no writer could have hashed this value
    with suppress(DidServiceMalformed, DidEntryMalformed):  # the latter for floats that read back as large integers
        require_gotong(webvh.verify(lines, now=NOW))


@pytest.mark.parametrize("known", [1, 2])
def test_extending_says_the_same_as_verifying_everything(known: int) -> None:
    state = webvh.verify(LINES[:known], now=NOW)
    assert webvh.extend(state, LINES[known:], now=NOW) == webvh.verify(LINES, now=NOW)


def test_extending_by_nothing_changes_nothing() -> None:
    state = webvh.verify(LINES, now=NOW)
    assert webvh.extend(state, [], now=NOW) == state


def test_a_state_is_left_alone_by_what_extends_it() -> None:
    state = webvh.verify(LINES[:1], now=NOW)
    webvh.extend(state, LINES[1:], now=NOW)
    state.document["id"] = "changed"
    assert state == webvh.verify(LINES[:1], now=NOW)


def test_extending_asks_for_the_approval_of_new_entries_only() -> None:
    writer = Writer().first(parameter("witness", rule(1, 20)))
    state = webvh.verify(writer.lines, now=NOW, witness=writer.witnessed((1, 20)).encode())
    writer.next()
    with pytest.raises(DidError):
        webvh.extend(state, writer.lines[1:], now=NOW, witness=writer.witnessed((1, 20)).encode())
    assert webvh.extend(state, writer.lines[1:], now=NOW, witness=writer.witnessed((2, 20)).encode()).version_count == 2


def test_a_witness_file_that_comes_with_new_lines_approves_those_held_as_well() -> None:
    """It takes the place of the file held: with less than that, the log would not hold when it is read again."""
    writer = Writer().first(parameter("witness", rule(1, 20))).next(parameter("witness", rule(1, 22)))
    state = webvh.verify(writer.lines, now=NOW, witness=writer.witnessed((2, 20)).encode())
    writer.next(key=2, time="2026-11-03T00:00:00Z")
    with pytest.raises(DidWitnessProofsMissing):
        webvh.extend(state, writer.lines[2:], now=NOW, witness=writer.witnessed((3, 22)).encode())
    whole = writer.witnessed((2, 20), (3, 22)).encode()
    extended = webvh.extend(state, writer.lines[2:], now=NOW, witness=whole)
    assert extended == webvh.verify(writer.lines, now=NOW, witness=whole)


def test_a_log_that_says_the_same_in_another_layout_has_the_same_version_ids() -> None:
    """Evidence of two stories compares ids, never bytes: anyone can re-indent a line."""
    spaced = [json.dumps(json.loads(line)).encode() for line in LINES]
    assert spaced != list(LINES)
    assert webvh.verify(spaced, now=NOW) == webvh.verify(LINES, now=NOW)
    assert [webvh.version_id_of(line) for line in spaced] == [webvh.version_id_of(line) for line in LINES]


def test_the_clock_decides_only_about_the_future() -> None:
    at = datetime(2026, 11, 1, tzinfo=UTC)
    webvh.verify(LINES[:1], now=at - timedelta(seconds=webvh.AHEAD_S_MAX))
    with pytest.raises(DidError) as refusal:
        webvh.verify(LINES[:1], now=at - timedelta(seconds=webvh.AHEAD_S_MAX + 1))
    assert refusal.value.code == "DID_TIME_IN_FUTURE"
    assert refusal.value.details["ahead_s"] == webvh.AHEAD_S_MAX + 1


def test_the_asked_scid_is_checked() -> None:
    state = webvh.verify(LINES, now=NOW)
    assert webvh.verify(LINES, now=NOW, scid=state.scid) == state
    with pytest.raises(DidScidMismatch):
        webvh.verify(LINES, now=NOW, scid=Writer().first(parameter("ttl", 1)).scid)


def test_limits_are_enforced_before_work_is_done() -> None:
    with pytest.raises(DidLogTooLarge):
        webvh.verify([b" " * (webvh.LINE_BYTES_MAX + 1)], now=NOW)
    with pytest.raises(DidLogTooLarge):
        webvh.verify([b""] * (webvh.VERSIONS_MAX + 1), now=NOW)
    witnessed = Writer().first(parameter("witness", rule(1, 20)))
    with pytest.raises(DidLogTooLarge):
        webvh.verify(witnessed.lines, now=NOW, witness=b" " * (witness.WITNESS_FILE_BYTES_MAX + 1))
    version_id = webvh.version_id_of(witnessed.lines[0])
    many = json.dumps([{"versionId": version_id, "proof": [{}] * (witness.WITNESS_PROOFS_MAX + 1)}])
    with pytest.raises(DidLogTooLarge):
        webvh.verify(witnessed.lines, now=NOW, witness=many.encode())


def test_all_lines_together_have_a_limit_that_no_other_layout_uses_up(monkeypatch: pytest.MonkeyPatch) -> None:
    canonical = [webvh.canonical_line(line) for line in LINES]
    monkeypatch.setattr(webvh, "LOG_BYTES_MAX", sum(map(len, canonical)))
    spelt_out = [json.dumps(json.loads(line), indent=100).encode() for line in LINES]
    state = webvh.verify(spelt_out, now=NOW)
    assert [webvh.canonical_line(line) for line in spelt_out] == canonical
    assert state == webvh.verify(canonical, now=NOW)
    monkeypatch.setattr(webvh, "LOG_BYTES_MAX", sum(map(len, canonical)) - 1)
    with pytest.raises(DidLogTooLarge):
        webvh.verify(canonical, now=NOW)
    with pytest.raises(DidLogTooLarge):
        webvh.extend(webvh.verify(canonical[:-1], now=NOW), canonical[-1:], now=NOW)


def test_a_proof_does_not_stand_twice() -> None:
    """It would hold, and make every line larger for whoever was given it so."""
    entry = json.loads(LINES[0])
    entry["proof"] *= 2
    with pytest.raises(DidProofInvalid):
        webvh.verify([json.dumps(entry).encode()], now=NOW)


def test_lines_are_split_at_newlines_and_nothing_else() -> None:
    assert webvh.split_lines(b"") == ()
    assert webvh.split_lines(b"a\nb\n") == webvh.split_lines(b"a\nb") == (b"a", b"b")
    assert webvh.split_lines(b"a\r\n\n") == (b"a\r", b"")
    with pytest.raises(DidEntryMalformed):
        webvh.verify(webvh.split_lines(b"\n"), now=NOW)


def test_a_did_comes_apart_and_together_again() -> None:
    state = webvh.verify(LINES[:1], now=NOW)
    parts = parse(state.did)
    assert (parts.host, parts.port, parts.path, parts.slug) == ("mawar.gotong.test", 8443, ("o", "rt05"), "rt05")
    assert compose(state.scid, parts.host, parts.port, parts.slug) == state.did
    with pytest.raises(DidError):
        parse(state.did + "a" * DID_CHARS_MAX)


def test_the_writer_of_cases_makes_good_logs_when_it_breaks_nothing() -> None:
    for writer in (updated(), retired(), new_epoch()):
        assert webvh.verify(writer.lines, now=NOW).version_count == len(writer.lines)
    assert webvh.verify(Writer().first(drop("parameters", "nextKeyHashes")).lines, now=NOW).update_keys == (
        multikey(0),
    )
