"""What the sync benchmark copies is a real log, and its table says what was reached and what was not."""

from pathlib import Path

from bench.sync import report, source
from store.database import Database
from tests.clock import FrozenClock
from tests.nodes import start_test_node


async def test_a_log_written_straight_into_the_store_verifies(
    database: Database, tmp_path: Path, clock: FrozenClock
) -> None:
    node = await start_test_node(database, tmp_path, clock)
    guest = await source.new_log(database, node.keys, "desa.gotong.test", "lumbung", clock())
    assert await source.extend(database, node.keys, guest.origin, source.bodies(300), clock()) == 301
    assert await source.extend(database, node.keys, guest.origin, source.bodies(5), clock()) == 306
    assert (await node.check(guest.origin)).signed_size == 306


def test_a_target_is_met_or_it_is_not() -> None:
    assert report.is_met(0.4, report.AT_LEAST, 0.4)
    assert not report.is_met(0.39, report.AT_LEAST, 0.4)
    assert not report.is_met(100.0, report.BELOW, 100.0)
    assert report.is_met(1.1, report.AT_MOST, 1.1)


def test_what_was_not_measured_is_left_out() -> None:
    found = {"publish_visible_ms": {"direct": {"p50": 12.5}}}
    assert report.value(found, "publish_visible_ms.direct.p50") == 12.5
    assert report.value(found, "publish_visible_ms.three_relays.p50") is None
    assert report.value(found, "memory_mb") is None
