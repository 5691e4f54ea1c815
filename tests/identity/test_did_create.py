"""What did_create writes is accepted everywhere, and it refuses to write anything else."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.did import webvh
from federation.did.errors import (
    DidDeactivated,
    DidError,
    DidHostRefused,
    DidKeyNotAuthorized,
    DidLogNotClosed,
    DidServiceRewritten,
    DidSyntaxInvalid,
    DidTimeNotMonotonic,
)
from federation.did.state import DidState
from federation.encoding.multikey import MultikeyInvalid
from federation.identity.cards import update_key
from federation.identity.create import Created, Place, create, deactivate, public_key, update
from federation.identity.rekey import closed
from federation.log.entry import EpochStart
from federation.log.service import (
    DocumentKey,
    LogKey,
    StatedHead,
    cosign_keys,
    log_service,
    origin,
    request_keys,
    require_gotong,
)

NOW = datetime(2026, 11, 22, 7, 30, 15, 999_999, tzinfo=UTC)
KIT = bytes(range(32))
KEYS = [update_key(KIT, n) for n in range(6)]
LOG_KEY = public_key(b"\x01" * 32)
REQUEST_KEY = public_key(b"\x02" * 32)
COSIGN_KEY = public_key(b"\x03" * 32)
NEW_LOG_KEY = public_key(b"\x04" * 32)
PLACE = Place("mawar.gotong.test", 8443, "rt05-melati")
PUBLISHED = Path(__file__).parents[1] / "vectors" / "didwebvh" / "pre-rotation-consume"


def _created(place: Place = PLACE, *, operator: bool = False) -> Created:
    return create(
        place,
        base_url="https://mawar.gotong.test:8443",
        network="test",
        log_public_key=LOG_KEY,
        update_key=KEYS[0],
        next_public_key=public_key(KEYS[1]),
        now=NOW,
        request_public_key=REQUEST_KEY if operator else None,
        cosign_public_key=COSIGN_KEY if operator else None,
    )


def _state(created: Created) -> DidState:
    return webvh.verify([created.line], now=NOW)


def test_a_new_guest_states_its_log_and_nothing_else() -> None:
    created = _created()
    state = _state(created)
    assert (created.did, created.scid) == (state.did, state.scid)
    assert created.did == f"did:webvh:{created.scid}:mawar.gotong.test%3A8443:o:rt05-melati"
    assert state.portable
    assert state.version_time == NOW.replace(microsecond=0)
    service = log_service(state)
    assert (service.base_url, service.network, service.epoch) == ("https://mawar.gotong.test:8443", "test", 0)
    assert service.keys == (LogKey("#log-0-0", LOG_KEY),)
    assert origin(state) == f"gotong/{created.scid}/0"
    assert request_keys(state) == cosign_keys(state) == ()
    require_gotong(state)


def test_an_operator_also_states_a_request_and_a_cosigner_key() -> None:
    state = _state(_created(operator=True))
    assert request_keys(state) == (DocumentKey("#request-0", REQUEST_KEY),)
    assert cosign_keys(state) == (DocumentKey("#cosign-0", COSIGN_KEY),)
    assert log_service(state).keys == (LogKey("#log-0-0", LOG_KEY),)


def test_the_same_arguments_give_the_same_bytes() -> None:
    assert _created() == _created()


@pytest.mark.parametrize("writer", ["java", "python", "ts"])
def test_our_lines_have_the_shape_of_published_ones(writer: str) -> None:
    """The same members of the same types as other implementations write, with nothing they do not know."""
    theirs = [json.loads(line) for line in webvh.split_lines((PUBLISHED / writer / "did.jsonl").read_bytes())]
    created = _created()
    second = update(_state(created), update_key=KEYS[1], next_public_key=public_key(KEYS[2]), now=NOW)
    for ours, published in zip([json.loads(created.line), json.loads(second)], theirs, strict=False):
        assert ours.keys() == published.keys()
        assert [each.keys() for each in ours["proof"]] == [each.keys() for each in published["proof"]]
        assert ours["parameters"].keys() - published["parameters"].keys() <= {"portable"}
        assert {name: type(value) for name, value in ours.items()} == {
            name: type(value) for name, value in published.items()
        }
        assert len(ours["versionId"]) == len(published["versionId"])
        assert len(ours["versionTime"]) == len(published["versionTime"])


def test_an_update_keeps_what_it_is_not_told_to_change() -> None:
    state = _state(_created(operator=True))
    line = update(state, update_key=KEYS[1], next_public_key=public_key(KEYS[2]), now=NOW + timedelta(days=1))
    after = webvh.extend(state, [line], now=NOW + timedelta(days=1))
    assert after.document == state.document
    assert (after.version_count, after.update_keys != state.update_keys) == (2, True)


def test_a_move_renames_everything_and_remembers_every_former_name() -> None:
    first = _state(_created(operator=True))
    there = Place("melati.gotong.test", None, "rt05")
    line = update(first, update_key=KEYS[1], next_public_key=public_key(KEYS[2]), now=NOW, place=there)
    second = webvh.extend(first, [line], now=NOW)
    back = update(second, update_key=KEYS[2], next_public_key=public_key(KEYS[3]), now=NOW, place=PLACE)
    third = webvh.extend(second, [back], now=NOW)
    assert second.did == f"did:webvh:{first.scid}:melati.gotong.test:o:rt05"
    assert second.document["alsoKnownAs"] == [first.did]
    assert first.did not in json.dumps({**second.document, "alsoKnownAs": None})
    assert third.did == first.did
    assert third.document["alsoKnownAs"] == [second.did]
    assert third.scid == first.scid
    assert origin(third) == origin(first)
    require_gotong(third)


def test_a_log_key_is_retired_where_its_log_stood() -> None:
    state = _state(_created())
    head = StatedHead(12, b"\x07" * 32)
    service = replace(log_service(state), keys=(LogKey("#log-0-0", LOG_KEY, head), LogKey("#log-0-1", NEW_LOG_KEY)))
    line = update(state, update_key=KEYS[1], next_public_key=public_key(KEYS[2]), now=NOW, service=service)
    after = webvh.extend(state, [line], now=NOW)
    assert log_service(after) == service
    with pytest.raises(DidServiceRewritten):
        update(
            after,
            update_key=KEYS[2],
            next_public_key=public_key(KEYS[3]),
            now=NOW,
            service=replace(service, keys=service.keys[1:]),
        )


def test_a_new_epoch_starts_from_a_stated_head() -> None:
    state = _state(_created())
    service = replace(
        log_service(state),
        epoch=1,
        keys=(LogKey("#log-1-0", NEW_LOG_KEY),),
        from_=EpochStart(12, b"\x07" * 32, b"\x08" * 32),
    )
    line = update(state, update_key=KEYS[1], next_public_key=public_key(KEYS[2]), now=NOW, service=service)
    after = webvh.extend(state, [line], now=NOW)
    assert log_service(after) == service
    assert origin(after) == f"gotong/{state.scid}/1"


def test_after_the_end_there_is_nothing_to_write() -> None:
    state = _state(_created())
    with pytest.raises(DidLogNotClosed):
        deactivate(state, update_key=KEYS[1], now=NOW, service=log_service(state))
    last = closed(log_service(state), StatedHead(7, b"\x07" * 32))
    line = deactivate(state, update_key=KEYS[1], now=NOW, service=last)
    after = webvh.extend(state, [line], now=NOW)
    assert after.deactivated
    assert after.next_key_hashes == ()
    assert log_service(after) == last
    require_gotong(after)
    with pytest.raises((DidDeactivated, DidKeyNotAuthorized)):
        update(after, update_key=KEYS[1], next_public_key=public_key(KEYS[2]), now=NOW)


def test_only_the_committed_key_may_sign() -> None:
    state = _state(_created())
    for wrong in (KEYS[0], KEYS[2]):
        with pytest.raises(DidKeyNotAuthorized):
            update(state, update_key=wrong, next_public_key=public_key(KEYS[3]), now=NOW)


def test_two_updates_in_one_second_are_a_second_apart() -> None:
    state = _state(_created())
    line = update(state, update_key=KEYS[1], next_public_key=public_key(KEYS[2]), now=NOW)
    assert webvh.extend(state, [line], now=NOW).version_time == state.version_time + timedelta(seconds=1)


def test_a_clock_that_runs_behind_writes_nothing() -> None:
    state = _state(_created())
    with pytest.raises(DidTimeNotMonotonic):
        update(state, update_key=KEYS[1], next_public_key=public_key(KEYS[2]), now=NOW - timedelta(minutes=2))


@pytest.mark.parametrize(
    ("place", "error"),
    [
        (Place("localhost", None, "a"), DidSyntaxInvalid),
        (Place("127.0.0.1", 80, "a"), DidSyntaxInvalid),
        (Place("a.b", 0, "a"), DidSyntaxInvalid),
        (Place("a.b", 70_000, "a"), DidSyntaxInvalid),
        (Place("a.b", None, ".."), DidSyntaxInvalid),
        (Place("a.b", None, "a:b"), DidHostRefused),
        (Place("a.b", None, ""), DidSyntaxInvalid),
        (Place("A.b", None, "a"), DidHostRefused),
        (Place("a.b", None, "A"), DidHostRefused),
        (Place("a.b", None, "a" * 64), DidHostRefused),
        (Place("a.b:c", None, "a"), DidHostRefused),
    ],
)
def test_a_place_that_is_none_is_refused(place: Place, error: type[DidError]) -> None:
    with pytest.raises(error):
        _created(place)


def test_one_key_for_two_purposes_is_refused() -> None:
    with pytest.raises(DidError) as refusal:
        create(
            PLACE,
            base_url="https://mawar.gotong.test",
            network="live",
            log_public_key=LOG_KEY,
            update_key=KEYS[0],
            next_public_key=public_key(KEYS[1]),
            now=NOW,
            request_public_key=LOG_KEY,
        )
    assert refusal.value.code == "DID_SERVICE_MALFORMED"


def test_a_weak_log_key_is_refused() -> None:
    with pytest.raises(MultikeyInvalid):
        create(
            PLACE,
            base_url="https://mawar.gotong.test",
            network="live",
            log_public_key=bytes(32),
            update_key=KEYS[0],
            next_public_key=public_key(KEYS[1]),
            now=NOW,
        )


labels = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)


@settings(max_examples=30, deadline=None)
@given(
    host=st.lists(labels, min_size=2, max_size=4).map(".".join),
    port=st.none() | st.integers(1, 65535),
    slug=st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True),
    seconds=st.lists(st.integers(0, 10**7), max_size=3),
)
def test_any_life_of_a_participant_verifies(host: str, port: int | None, slug: str, seconds: list[int]) -> None:
    created = _created(Place(host, port, slug), operator=bool(seconds))
    state, now = _state(created), NOW
    for n, step_s in enumerate(seconds, start=1):
        now += timedelta(seconds=step_s)
        line = update(state, update_key=KEYS[n], next_public_key=public_key(KEYS[n + 1]), now=now)
        state = webvh.extend(state, [line], now=now)
    require_gotong(state)
    assert state.did == created.did
