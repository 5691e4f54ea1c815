"""Deposits that lie, are repeated, cut or killed: the mirror takes what holds, once, and nothing else."""

import asyncio
import contextlib
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from domain.errors import GotongError
from federation.bundles.bundle import export, wanted_logs
from federation.mirror import depositor
from federation.mirror.deposit import read_answer
from federation.mirror.deposits import Deposits
from federation.requests.signer import Signer
from federation.sync.client import FRAMES_TYPE
from federation.sync.frames import DidLine, encode
from store import peers
from tests.beside import beside
from tests.house.source import ROOT
from tests.mirror.conftest import NEEDS, Laptop, Mirror
from tests.nodes import need_draft
from tests.sockets import http_client
from tests.sync import liar
from tests.sync.liar import tampered
from tests.waiting import PATIENCE_S

KILLS = 6


async def deposit_of(laptop: Laptop) -> bytes:
    """Return a deposit of all that the laptop hosts."""
    wanted = await wanted_logs(laptop.database, None, {})
    return b"".join([piece async for piece in export(laptop.database, wanted)])


OTHER_IDENTITY = liar.lines(lambda line: line.replace(b"dapur-ibu", b"dapur-ibi"))


@pytest.mark.parametrize("lie", liar.LIES)
async def test_a_deposit_that_lies_is_refused_by_its_rule_and_the_true_one_heals(
    mirror: Mirror, laptop: Laptop, lie: str
) -> None:
    scid = laptop.node.operator.scid
    await laptop.node.publish_needs(scid, "Beras", "Air", "Obat")
    body = await deposit_of(laptop)
    tamper, code = liar.LIES[lie]
    (held,) = await mirror.deposits.take(scid, tampered(body, tamper))
    assert (held.size, held.refused) == (0, code)
    assert await mirror.served.value("select count(*) from need") == 0
    async with mirror.served.database.acquire() as connection:
        assert [row.code for row in await peers.refusals(connection, 10)] == [code]
    assert (await laptop.deposit(mirror.url)).refused == {}
    assert await mirror.served.rows(NEEDS) == await laptop.rows(NEEDS)


async def test_an_identity_that_was_changed_on_the_way_is_nobodys(mirror: Mirror, laptop: Laptop) -> None:
    guest = await laptop.node.participant("dapur-ibu-rt03", host="cermin.gotong.test")
    wanted = await wanted_logs(laptop.database, [guest.scid], {})
    body = b"".join([piece async for piece in export(laptop.database, wanted)])
    (held,) = await mirror.deposits.take(laptop.node.operator.scid, tampered(body, OTHER_IDENTITY))
    assert (held.size, held.refused) == (0, "DID_SCID_MISMATCH")
    assert (await laptop.deposit(mirror.url)).refused == {}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"\x1f\x8bnot gzip", "CONTENT_CODING_INVALID"),
        (encode(DidLine(b"{}")), "STREAM_OUT_OF_ORDER"),
        (b"", "FRAME_TRUNCATED"),
        (b"\x01\xff\xff\xff\xff", "FRAME_TOO_LARGE"),
    ],
)
async def test_a_body_that_is_no_deposit_is_told_why(mirror: Mirror, laptop: Laptop, body: bytes, code: str) -> None:
    kind = "application/json"
    async with laptop.client(mirror.url) as client:
        with pytest.raises(GotongError) as refusal:
            await client.post("deposit", body, content_type=FRAMES_TYPE, answer_type=kind, bytes_max=1_000)
    assert refusal.value.details["cause"] == code


async def test_a_deposit_that_was_heard_before_is_not_heard_again_and_another_body_not_at_all(
    mirror: Mirror, laptop: Laptop
) -> None:
    body = await deposit_of(laptop)
    signer = Signer(laptop.database, laptop.node.keys, laptop.node.clock)
    async with http_client() as http:
        request = http.build_request(
            "POST", f"{mirror.url}/federation/v1/deposit", content=body, headers={"content-type": FRAMES_TYPE}
        )
        await signer.sign(request, 0)
        assert (await http.send(request)).status_code == 200
        again = await http.send(request)
        assert (again.status_code, again.json()["code"]) == (401, "SIGNATURE_REPLAYED")
        other = http.build_request("POST", request.url, content=body + b"x", headers=dict(request.headers))
        other.headers["content-length"] = str(len(body) + 1)
        assert (await http.send(other)).json()["code"] == "DIGEST_MISMATCH"


async def test_a_mirror_that_lies_about_what_it_holds_hurts_only_itself(
    mirror: Mirror, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    await laptop.node.publish_needs(laptop.node.operator.scid, "Beras", "Air")
    true = read_answer

    def lied(data: bytes, asked: Any) -> Any:
        return [type(each)(each.origin, 2, 1) for each in true(data, asked)]

    monkeypatch.setattr("federation.mirror.depositor.read_answer", lied)
    assert (await laptop.deposit(mirror.url)).refused == {laptop.node.operator.origin: depositor.NOTHING_TAKEN}
    monkeypatch.setattr("federation.mirror.depositor.read_answer", true)
    assert (await laptop.deposit(mirror.url)).entries == 3


async def test_killed_at_any_point_a_depositor_goes_on_and_the_mirror_holds_all_of_it_once(
    mirror: Mirror, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federation.sync.serve.PAGE_ENTRIES_MAX", 16)
    scid, origin = laptop.node.operator.scid, laptop.node.operator.origin
    for start in range(0, 1_500, 500):
        await laptop.node.appender.append(scid, [need_draft(f"Beras {start + n}") for n in range(500)])
    sizes: list[int] = []
    chance = random.Random(7)
    for _ in range(KILLS):
        await _run_and_kill(laptop, mirror.url, chance.uniform(0.0, 0.3))
        sizes.append(await mirror.served.value("select coalesce(max(size), 0) from log where origin = $1", origin))
    assert sizes == sorted(sizes)
    await deposit_when_free(laptop, mirror)
    assert (await mirror.served.node.check(origin)).signed_size == 1_501
    titles = "select title_text::text from need order by record_id"
    assert await mirror.served.rows(titles) == await laptop.rows(titles)


async def deposit_when_free(laptop: Laptop, mirror: Mirror) -> depositor.Handed:
    """Deposit until the mirror has noticed that nobody else is depositing any more; return what came of it."""
    async with asyncio.timeout(PATIENCE_S):
        while "LOG_IN_USE" in (done := await laptop.deposit(mirror.url)).refused.values():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    return done


async def _run_and_kill(laptop: Laptop, url: str, after_s: float) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.mirror.depositing",
        laptop.database.dsn,
        str(laptop.keys_dir),
        url,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"begun\n"
    await asyncio.sleep(after_s)
    with contextlib.suppress(ProcessLookupError):
        process.kill()
    await process.communicate()


async def test_cancelled_at_any_point_a_mirror_has_whole_batches_and_the_next_deposit_ends_it(
    mirror: Mirror, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("federation.sync.serve.PAGE_ENTRIES_MAX", 16)
    scid, origin = laptop.node.operator.scid, laptop.node.operator.origin
    await laptop.node.appender.append(scid, [need_draft(f"Beras {n}") for n in range(400)])
    body = await deposit_of(laptop)
    chance = random.Random(3)
    for _ in range(8):
        taking = asyncio.create_task(mirror.deposits.take(scid, body))
        await asyncio.sleep(chance.uniform(0.005, 0.15))
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    assert (await deposit_when_free(laptop, mirror)).refused == {}
    assert (await mirror.served.node.check(origin)).signed_size == 401
    assert await mirror.served.rows(NEEDS) == await laptop.rows(NEEDS)


@contextlib.asynccontextmanager
async def running(laptop: Laptop) -> AsyncIterator[None]:
    async with beside(laptop.wake.run(), laptop.depositor.run()):
        yield


async def test_what_is_published_is_deposited_by_itself_also_after_the_mirror_was_away(
    mirror: Mirror, laptop: Laptop, monkeypatch: pytest.MonkeyPatch
) -> None:
    scid, origin = laptop.node.operator.scid, laptop.node.operator.origin

    async def arrived(size: int) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while await mirror.served.value("select max(size) from log where origin = $1", origin) != size:  # noqa: ASYNC110
                await asyncio.sleep(0.02)

    async with running(laptop):
        await arrived(1)
        await laptop.node.publish_needs(scid, "Beras")
        await arrived(2)
        true = Deposits.take
        monkeypatch.setattr(Deposits, "take", _away)
        await laptop.node.publish_needs(scid, "Air")
        await asyncio.sleep(0.3)
        monkeypatch.setattr(Deposits, "take", true)
        await arrived(3)


async def _away(*_: object) -> Any:
    raise OSError("the mirror's disk is gone")
