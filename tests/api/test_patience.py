"""What is overdue is found out with one timer for all, in order, and once."""

import asyncio

from api.patience import Overdue
from tests.waiting import PATIENCE_S, eventually


async def test_who_is_not_dropped_in_time_is_called_once_and_in_order() -> None:
    loop, overdue, called, all_called = asyncio.get_running_loop(), Overdue(0.02), list[str](), asyncio.Event()

    def first() -> None:
        called.append("first")
        overdue.add(third, loop)  # who comes while it looks waits for the next time

    def second() -> None:
        called.append("second")

    def third() -> None:
        called.append("third")
        all_called.set()

    def dropped() -> None:
        called.append("dropped")

    for each in (first, dropped, second):
        overdue.add(each, loop)
    overdue.drop(dropped)
    overdue.drop(dropped)
    async with asyncio.timeout(PATIENCE_S):
        await all_called.wait()
    assert called == ["first", "second", "third"]


async def test_an_empty_queue_has_no_timer() -> None:
    overdue = Overdue(0.01)
    overdue.add(lambda: None, asyncio.get_running_loop())

    async def is_done() -> bool:
        return overdue._timer is None

    await eventually(is_done)
    assert overdue._due_s == {}
