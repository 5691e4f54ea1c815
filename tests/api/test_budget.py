"""Budgets: who pays, what fills again, and that a carrier's address is not one phone's."""

from collections.abc import Iterable
from itertools import count, repeat

import pytest

from api import budget as budget_module
from api.budget import Budget, RateLimited
from api.payer import ADDRESS_CLIENTS, CROWD_CLIENTS, Payer, Payers, Rates
from auth.tokens import Viewer
from schema.context import UNMETERED
from tests.schema.world import NOW

RATES = Rates(anonymous_per_min=1_000, token_per_min=5_000)
PAYERS = Payers(RATES, ["127.0.0.1", "10.0.0.0/8"])
VIEWER = Viewer("sari", frozenset(), frozenset(), NOW)


def payer(peer: str | None = "203.0.113.7", viewer: Viewer | None = None, **headers: str) -> Payer:
    given = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return PAYERS.payer(peer, given, viewer)


def spent_until_refused(budget: Budget, payers: Iterable[Payer], cost: int) -> int:
    """Return what the payers could spend together before one of them was refused."""
    spent = 0
    for each in payers:
        try:
            spent += budget.spend(each, cost, 0.0).cost
        except RateLimited:
            break
    return spent


def test_what_is_spent_comes_back_within_a_minute() -> None:
    budget, one = Budget(), Payer((("x", 600),))
    assert budget.spend(one, 600, 0.0).remaining == 0
    with pytest.raises(RateLimited) as caught:
        budget.spend(one, 100, 5.0)
    assert caught.value.retry_after_s == 5
    assert caught.value.details == {"requested": 100, "limit": 600, "remaining": 50, "retry_after_s": 5}
    assert budget.spend(one, 100, 10.0).full_at_s == 70.0
    assert budget.spend(one, 0, 1_000.0).remaining == 600


def test_a_refused_question_takes_nothing_from_any_bucket() -> None:
    budget = Budget()
    budget.spend(Payer((("own", 10),)), 10, 0.0)
    with pytest.raises(RateLimited):
        budget.spend(Payer((("own", 10), ("address", 100))), 5, 0.0)
    assert budget.spend(Payer((("address", 100),)), 0, 0.0).remaining == 100


def test_a_question_larger_than_the_budget_may_be_asked_of_a_full_one() -> None:
    budget, one = Budget(), Payer((("x", 100),))
    assert budget.spend(one, 250, 0.0).remaining == 0
    with pytest.raises(RateLimited) as caught:
        budget.spend(one, 1, 60.0)
    assert caught.value.retry_after_s == 31
    budget.spend(one, 1, 100.0)


def test_a_clock_that_goes_back_gives_and_takes_nothing() -> None:
    budget, one = Budget(), Payer((("x", 100),))
    budget.spend(one, 100, 1_000.0)
    with pytest.raises(RateLimited):
        budget.spend(one, 10, 0.0)
    assert budget.spend(one, 10, 6.0).remaining == 0


def test_buckets_are_bounded_and_forgetting_refuses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget_module, "BUCKETS_MAX", 100)
    budget = Budget()
    for n in range(1_000):
        budget.spend(Payer(((f"x{n}", 10),)), 10, 0.0)
    assert len(budget._buckets) == 100
    assert budget.spend(Payer((("x0", 10),)), 10, 0.0).remaining == 0


def test_three_hundred_phones_behind_one_address_each_have_eighty_pages_a_minute() -> None:
    budget = Budget()
    phone = payer(user_agent="Mozilla/5.0 (Linux; Android 10; K)", accept_language="id")
    for _ in range(300):
        budget.spend(phone, 80, 0.0)
    assert budget.spend(phone, 0, 0.0).limit == RATES.anonymous_per_min * CROWD_CLIENTS


def test_an_app_that_loops_leaves_the_others_of_its_address_what_they_have() -> None:
    budget = Budget()
    spent_until_refused(budget, repeat(payer(x_client_id="looping")), 100)
    spent_until_refused(budget, repeat(payer(user_agent="loop/1")), 100)
    assert budget.spend(payer(x_client_id="other"), 900, 0.0).remaining == 100
    assert budget.spend(payer(user_agent="Mozilla"), 20_000, 0.0).cost == 20_000


def test_inventing_names_gives_no_more_than_the_address_has() -> None:
    names = (payer(x_client_id=f"n{n}") for n in count())
    assert spent_until_refused(Budget(), names, 1_000) == RATES.anonymous_per_min * ADDRESS_CLIENTS


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("203.0.113.7", ""), ("203.0.113.8", ""), False),
        (("2001:db8:1:2::1", ""), ("2001:db8:1:2:ffff::9", ""), True),
        (("2001:db8:1:2::1", ""), ("2001:db8:1:3::1", ""), False),
        (("::ffff:203.0.113.7", ""), ("203.0.113.7", ""), True),
        (("203.0.113.7", "198.51.100.1"), ("203.0.113.7", "198.51.100.2"), True),
        (("10.1.1.1", "198.51.100.1"), ("10.1.1.1", "198.51.100.2"), False),
        (("10.1.1.1", "6.6.6.6, 198.51.100.1"), ("10.1.1.1", "7.7.7.7, 198.51.100.1"), True),
        (("10.1.1.1", "198.51.100.1, 10.2.2.2"), ("10.1.1.1", "198.51.100.1"), True),
        (("10.1.1.1", "198.51.100.1:4711"), ("10.1.1.1", "198.51.100.1"), True),
        (("10.1.1.1", "[2001:db8::1]:80"), ("10.1.1.1", "2001:db8::2"), True),
        (("10.1.1.1", "garbage"), ("10.1.1.1", ""), True),
        (("10.1.1.1", "198.51.100.1, garbage"), ("10.1.1.1", ""), True),
        ((None, ""), ("not an address", "198.51.100.1"), True),
    ],
)
def test_an_address_is_what_the_connection_says_and_trusted_proxies_add(
    one: tuple[str, str], other: tuple[str, str], same: bool
) -> None:
    buckets = [payer(peer, x_forwarded_for=forwarded).buckets for peer, forwarded in (one, other)]
    assert (buckets[0] == buckets[1]) is same


def test_programs_of_this_machine_are_not_limited_but_what_they_hand_on_is() -> None:
    assert payer("127.0.0.1").buckets == (("127.0.0.1", UNMETERED),)
    assert payer("127.0.0.1", x_forwarded_for="198.51.100.1").buckets == payer("198.51.100.1").buckets


def test_a_token_is_its_holders_own_budget_wherever_it_is_used() -> None:
    assert payer("198.51.100.1", VIEWER).buckets == payer("127.0.0.1", VIEWER).buckets == (("t sari", 5_000),)


def test_a_name_too_long_is_none() -> None:
    assert payer(x_client_id="x" * 65).buckets == payer().buckets
    assert payer(x_client_id="x" * 64).buckets[0] == ("c 203.0.113.7 " + "x" * 64, 1_000)
