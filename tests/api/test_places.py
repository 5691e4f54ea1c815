"""Who gets a place where places are few."""

import contextlib

from api.peer_budget import Allowance, PeerBudgets, PeerRates
from api.places import Places

BUDGETS = PeerBudgets(PeerRates(peer=Allowance(60, 1_000), stranger=Allowance(60, 1_000)))


def test_strangers_leave_half_of_the_places_and_none_of_them_has_more_than_a_quarter() -> None:
    places = Places(16)
    with contextlib.ExitStack() as held:
        taken = 0
        for number in range(16):
            purse = BUDGETS.of_stranger(f"203.0.113.{number}", 0)
            own = 0
            while places.have_room(purse):
                held.enter_context(places.taken(purse))
                own += 1
            assert own <= 4
            taken += own
        assert taken == 8
        for peer in (1, 2):
            assert places.have_room(BUDGETS.of_peer(peer, 0))


def test_a_peer_has_no_more_than_a_quarter_and_this_machine_as_many_as_there_are() -> None:
    places = Places(16)
    with contextlib.ExitStack() as held:
        purse = BUDGETS.of_peer(1, 0)
        for _ in range(4):
            assert places.have_room(purse)
            held.enter_context(places.taken(BUDGETS.of_peer(1, 0)))
        assert not places.have_room(purse)
        for _ in range(12):
            assert places.have_room(())
            held.enter_context(places.taken(()))
        assert not places.have_room(())
        assert not places.have_room(BUDGETS.of_peer(2, 0))


def test_a_place_is_free_again_when_what_held_it_is_over_however_it_ended() -> None:
    places = Places(1)
    purse = BUDGETS.of_stranger("203.0.113.1", 0)
    with contextlib.suppress(ConnectionError), places.taken(purse):
        assert not places.have_room(purse)
        raise ConnectionError
    assert places.have_room(purse)
    assert places.have_room(())
