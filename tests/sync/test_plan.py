"""What is pulled, in which order, and what is left alone: decided without any I/O."""

from typing import Any

from federation.sync.messages import HeadOfLog, Wanted
from federation.sync.plan import (
    LOGS_PER_PULL,
    LONG_ENTRIES_MIN,
    QUARANTINE_BYTES_MAX,
    QUARANTINE_ENTRIES_MAX,
    QUARANTINE_TOTAL_BYTES_MAX,
    QUARANTINED_PARTICIPANTS_MAX,
    Plan,
    asked_again,
    in_parts,
    plan,
)
from store.held import Held, Quarantine

ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def scid(number: int) -> str:
    return "Qm" + "1" * 40 + "".join(ALPHABET[number // 58**place % 58] for place in range(4))


def head(number: int, size: int = 10, **changes: Any) -> HeadOfLog:
    return HeadOfLog(f"gotong/{scid(number)}/0", size, "note", changes.pop("did_version", 1), **changes)


def ours(number: int, size: int = 0, **changes: Any) -> dict[str, Held]:
    values: dict[str, Any] = {
        "participant_id": number, "host": "a.gotong.test", "hosted": False, "trust": "allowed", "did_version": 1,
        "edge": b"", "checkpoint": b"note", "checkpoint_size": size,
    }  # fmt: skip
    return {f"gotong/{scid(number)}/0": Held(scid=scid(number), size=size, **{**values, **changes})}


def made(heads: list[HeadOfLog], held: dict[str, Held] | None = None, **changes: Any) -> Plan:
    return plan(heads, held or {}, **{"operator_scid": "", "quarantine": Quarantine(), **changes})


def test_a_stranger_is_asked_for_from_the_beginning_up_to_the_quota() -> None:
    assert made([head(1)]).wanted == [Wanted(head(1).origin, 0, 0, QUARANTINE_ENTRIES_MAX)]


def test_a_known_log_is_asked_for_from_where_it_ends() -> None:
    assert made([head(1)], ours(1, 4)).wanted == [Wanted(head(1).origin, 4, 1)]


def test_what_is_held_is_not_asked_for() -> None:
    assert made([head(1, 4), head(2, 3)], ours(1, 4) | ours(2, 9)) == Plan()


def test_a_new_did_line_alone_is_reason_enough() -> None:
    assert made([head(1, 4, did_version=2)], ours(1, 4)).wanted == [Wanted(head(1).origin, 4, 1)]


def test_blocked_participants_and_logs_of_this_node_are_left_alone() -> None:
    assert made([head(1), head(2, 3)], ours(1, trust="blocked") | ours(2, 5, hosted=True)) == Plan()


def test_a_longer_version_of_our_own_log_is_doubtful_and_never_wanted() -> None:
    assert made([head(1, 6)], ours(1, 5, hosted=True)) == Plan(doubtful=[head(1, 6)])


def test_another_note_of_our_size_is_doubtful() -> None:
    assert made([head(1, 5)], ours(1, 5, checkpoint=b"other")) == Plan(doubtful=[head(1, 5)])


def test_beyond_the_quota_only_did_lines_are_wanted() -> None:
    full = ours(1, QUARANTINE_ENTRIES_MAX, trust="quarantined")
    assert made([head(1, 5_000)], full) == Plan(over_quota=1)
    newer = made([head(1, 5_000, did_version=2)], full)
    assert newer.wanted == [Wanted(head(1).origin, QUARANTINE_ENTRIES_MAX, 1, QUARANTINE_ENTRIES_MAX)]


def test_beyond_the_quota_of_bytes_only_did_lines_are_wanted() -> None:
    heavy = ours(1, 7, trust="quarantined", quarantined_bytes=QUARANTINE_BYTES_MAX)
    assert made([head(1)], heavy) == Plan(over_quota=1)
    assert made([head(1, did_version=2)], heavy).wanted == [Wanted(head(1).origin, 7, 1, 7)]
    assert made([head(1)], ours(1, 7, quarantined_bytes=QUARANTINE_BYTES_MAX)).wanted == [Wanted(head(1).origin, 7, 1)]


def test_when_quarantine_is_full_strangers_wait_and_those_known_go_on() -> None:
    full = Quarantine(participants=3, bytes=QUARANTINE_TOTAL_BYTES_MAX)
    known = ours(1, 7, trust="quarantined") | ours(2, 7)
    assert made([head(1), head(2), head(3)], known, quarantine=full) == Plan(
        wanted=[Wanted(head(2).origin, 7, 1)], over_quota=2
    )


def test_no_more_strangers_are_met_than_an_operator_can_look_at() -> None:
    crowd = [head(number) for number in range(10)]
    full = made(crowd, quarantine=Quarantine(participants=QUARANTINED_PARTICIPANTS_MAX - 3))
    assert (len(full.wanted), full.over_quota) == (3, 7)


def test_the_peers_operator_is_met_before_the_places_for_strangers_are_taken() -> None:
    """Else nobody would be found at home there, and all of them would stay strangers."""
    crowd = [head(number) for number in range(10)]
    full = made(crowd, operator_scid=scid(9), quarantine=Quarantine(participants=QUARANTINED_PARTICIPANTS_MAX - 3))
    assert full.wanted[0].origin == head(9).origin
    assert (len(full.wanted), full.over_quota) == (3, 7)


def test_a_head_that_names_no_log_is_refused_alone() -> None:
    broken = HeadOfLog("gotong/../0", 1, "note", 1)
    done = made([broken, head(1)])
    assert [(each.origin, error.code) for each, error in done.refused] == [(broken.origin, "ORIGIN_MALFORMED")]
    assert len(done.wanted) == 1


def test_the_operator_comes_first_then_what_is_seen_then_the_shortest() -> None:
    heads = [head(1, 900), head(2, 5), head(3, 700), head(4, 50), head(5, 800)]
    held = ours(3, 0) | ours(4, 0) | ours(1, 0, trust="quarantined")
    order = [each.origin for each in made(heads, held, operator_scid=scid(5)).wanted]
    assert order == [head(number).origin for number in (5, 4, 3, 2, 1)]


def test_what_takes_long_is_pulled_last_and_by_itself_whoever_wrote_it() -> None:
    long = LONG_ENTRIES_MIN + 1
    heads = [head(1, long), head(2, 5), head(3, long), head(4, long), head(5, LONG_ENTRIES_MIN)]
    wanted = made(heads, ours(1) | ours(3) | ours(5), operator_scid=scid(1)).wanted
    parts = in_parts([*wanted, Wanted(head(6).origin, 7)], {each.origin: each.size for each in heads})
    numbers = [[next(n for n in range(7) if head(n).origin == each.origin) for each in part] for part in parts]
    assert numbers == [[5, 2, 4, 6], [1], [3]], "of a stranger no more than its quota is asked"


def test_no_more_logs_are_pulled_together_than_a_pull_holds() -> None:
    crowd = [Wanted(head(number).origin) for number in range(LOGS_PER_PULL + 1)]
    assert [len(part) for part in in_parts(crowd, {})] == [LOGS_PER_PULL, 1]
    assert in_parts([], {}) == []


def test_logs_that_failed_in_this_exchange_are_left_out() -> None:
    assert made([head(1), head(2)], leave_out={head(1).origin}).wanted[0].origin == head(2).origin


def test_a_log_that_was_left_is_asked_for_again_within_the_same_bounds() -> None:
    """Else whoever breaks a rule first and none later brings more participants than quarantine has room for."""
    left = [head(number).origin for number in (1, 2)]
    roomy = Quarantine(participants=QUARANTINED_PARTICIPANTS_MAX - 1)
    assert asked_again(left, {}, roomy) == [Wanted(left[0], upto=QUARANTINE_ENTRIES_MAX)]
    assert asked_again(left, {}, Quarantine(bytes=QUARANTINE_TOTAL_BYTES_MAX)) == []
    full = Quarantine(participants=QUARANTINED_PARTICIPANTS_MAX)
    assert asked_again(left, ours(2, 4), full) == [Wanted(left[1], 4, 1)]
