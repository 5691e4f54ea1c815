"""A peer that lies, floods, stalls or breaks off: refused with the rule's code, kept as a report, nothing answered."""

import json
import random
import resource
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from msgspec import structs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from domain.errors import GotongError
from federation.client import FRAMES_TYPE
from federation.enroll import Enrolled
from federation.frames import DidLine, EntryData, Frame, Log, Mark, RetryAfter, encode, encode_entry
from store import peers
from tests.sockets import serving
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.liar import (
    FrameTamper,
    Liar,
    drip,
    each_entry,
    flipped,
    lines,
    notes,
    of_log,
    swapped_entries,
    without,
)

ANSWERS = ("need", "activity", "organization", "update_post", "outbox", "event")
MEMORY_GROWTH_BYTES_MAX = 200 * 1024 * 1024


@dataclass
class Scene:
    """An honest node with a guest, a liar before it, and a node that pulls through the liar."""

    honest: SyncNode
    guest: Enrolled
    puller: SyncNode
    liar: Liar
    url: str = ""

    async def pull_code(self) -> str | None:
        """Return the code of the first rule that an exchange broke, as a failure or as a refusal of the guest's log."""
        try:
            done = await self.puller.pull(self.url)
        except GotongError as error:
            return error.code
        return done.refused.get(self.guest.origin)

    async def answers(self) -> dict[str, int]:
        """Return how many rows of the guest every table has from which questions are answered."""
        query = """
            select count(*) from {} where publisher_id in (select id from participant where scid = $1)
        """
        return {table: await self.puller.value(query.format(table), self.guest.scid) for table in ANSWERS}

    async def reports(self) -> list[str]:
        async with self.puller.database.acquire() as connection:
            return [row.code for row in await peers.refusals(connection, 100)]

    async def assert_honesty_heals(self) -> None:
        self.liar.be_honest()
        done = await self.puller.pull(self.url)
        assert done.refused == {}
        assert (await self.puller.node.check(self.guest.origin)).signed_size == 5
        needs = "select title_text::text, state from need order by index"
        assert await self.honest.rows(needs) == await self.puller.rows(needs)


@pytest.fixture
async def scene(make_node: MakeNode) -> Any:
    honest, puller = await make_node("jujur"), await make_node("b")
    guest = await honest.node.participant("ojol", host="jujur.gotong.test")
    await honest.node.publish_needs(guest.scid, "Beras", "Air bersih", "Selimut", "Obat")
    liar = Liar(honest.url)
    async with serving(liar.app) as url:
        await puller.add_peer(url)
        yield Scene(honest, guest, puller, liar, url)


def doubled(frames: list[Frame]) -> list[Frame]:
    return [*frames, *frames]


def renamed(frames: list[Frame]) -> list[Frame]:
    """Give the two logs of a stream each other's names."""
    names = [frame.origin for frame in frames if isinstance(frame, Log)][::-1]
    return [Log(names.pop(0)) if isinstance(frame, Log) else frame for frame in frames]


def one_less(frames: list[Frame]) -> list[Frame]:
    """Leave the last entry out and move the mark accordingly."""
    last = max(at for at, frame in enumerate(frames) if isinstance(frame, EntryData))
    kept = [frame for at, frame in enumerate(frames) if at != last]
    return [Mark(frame.size - 1, frame.proof) if isinstance(frame, Mark) else frame for frame in kept]


LIES: dict[str, tuple[FrameTamper, str]] = {
    "a byte of an entry": (
        each_entry(lambda each: structs.replace(each, data=flipped(each.data, 60)), 2),
        "NOT_A_PREFIX",
    ),
    "a byte of a payload": (
        each_entry(lambda each: structs.replace(each, body=flipped(each.body or b"")), 2),
        "PAYLOAD_COMMITMENT_MISMATCH",
    ),
    "a byte of a salt": (
        each_entry(lambda each: structs.replace(each, salt=flipped(each.salt or b"")), 2),
        "PAYLOAD_COMMITMENT_MISMATCH",
    ),
    "a payload where there is none": (
        each_entry(lambda each: structs.replace(each, salt=bytes(16), body=b"{}"), 0),
        "PAYLOAD_UNEXPECTED",
    ),
    "a checkpoint of another size": (
        notes(lambda note: note.replace(b"\n5\n", b"\n6\n")),
        "CHECKPOINT_SIGNATURE_INVALID",
    ),
    "a byte of the root": (
        notes(lambda note: note.split(b"\n")[0] + b"\n5\n" + b"A" * 43 + b"=\n" + b"\n" + note.split(b"\n\n")[1]),
        "CHECKPOINT_SIGNATURE_INVALID",
    ),
    "a byte of the signature": (notes(lambda note: note[:-9] + b"AAAAAA==\n"), "CHECKPOINT_SIGNATURE_INVALID"),
    "a checkpoint that is no note": (notes(lambda _note: b"hello"), "NOTE_MALFORMED"),
    "a byte of the DID line": (lines(lambda line: line.replace(b"127.0.0.1:1", b"127.0.0.1:2")), "DID_SCID_MISMATCH"),
    "a DID line that is no JSON": (lines(lambda _line: b"{"), "DID_ENTRY_MALFORMED"),
    "no DID line": (without(DidLine), "DID_ENTRY_MALFORMED"),
    "logs under each other's names": (renamed, "DID_SCID_MISMATCH"),
    "entries in each other's places": (swapped_entries(1, 3), "NOT_A_PREFIX"),
    "payloads in each other's places": (swapped_entries(1, 3, bodies_only=True), "PAYLOAD_COMMITMENT_MISMATCH"),
    "an entry left out": (of_log(one_less), "NOT_A_PREFIX"),
    "a mark that says another size": (
        of_log(lambda frames: [replace(each, size=4) if isinstance(each, Mark) else each for each in frames]),
        "STREAM_MARK_WRONG",
    ),
    "a proof where none is needed": (
        of_log(
            lambda frames: [replace(each, proof=(bytes(32),)) if isinstance(each, Mark) else each for each in frames]
        ),
        "NOT_A_PREFIX",
    ),
}


@pytest.mark.parametrize("lie", LIES)
async def test_a_lie_is_refused_by_its_rule_and_nothing_of_it_is_answered(scene: Scene, lie: str) -> None:
    tamper, code = LIES[lie]
    before = await scene.answers()
    scene.liar.frames = tamper
    assert await scene.pull_code() == code
    assert await scene.answers() == before
    assert code in await scene.reports()
    assert (
        await scene.puller.value(
            "select count(*) from entry join log on log.id = log_id where origin = $1", scene.guest.origin
        )
        == 0
    )
    operators = "select count(*) from participant where slug = 'pengurus' and not hosted"
    if lie != "logs under each other's names":
        assert await scene.puller.value(operators) == 1  # the other log of the stream came
    await scene.pull_code()
    assert (await scene.reports()).count(code) <= 2  # what is the same is kept once for each log
    await scene.assert_honesty_heals()


DISORDER: dict[str, tuple[Callable[[list[Frame]], list[Frame]], str]] = {
    "entries without a mark": (without(Mark), "STREAM_OUT_OF_ORDER"),
    "a log twice": (of_log(doubled), "STREAM_LOG_UNEXPECTED"),
    "a log nobody asked for": (lambda frames: [Log("gotong/x/0"), *frames], "STREAM_LOG_UNEXPECTED"),
    "an entry before everything": (lambda frames: [EntryData(b"{}"), *frames], "STREAM_OUT_OF_ORDER"),
    "something after the end": (lambda frames: [*frames, RetryAfter(1)], "STREAM_OUT_OF_ORDER"),
    "no end": (lambda frames: frames[:-1], "FRAME_TRUNCATED"),
}


@pytest.mark.parametrize("disorder", DISORDER)
async def test_a_stream_out_of_order_ends_the_exchange(scene: Scene, disorder: str) -> None:
    tamper, code = DISORDER[disorder]
    scene.liar.frames = tamper
    assert await scene.pull_code() == code
    assert code in await scene.reports()
    assert await scene.puller.value("select last_error_code from peer") == code
    await scene.assert_honesty_heals()
    assert await scene.puller.value("select last_error_code from peer") is None


BYTES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a huge length": (lambda body: struct.pack(">BI", 5, 2**32 - 1) + body, "FRAME_TOO_LARGE"),
    "an unknown type": (lambda body: b"\xee" + body, "FRAME_UNKNOWN"),
    "noise": (lambda _body: random.Random(1).randbytes(5_000), "FRAME_UNKNOWN"),
    "nothing": (lambda _body: b"", "FRAME_TRUNCATED"),
    "a page of HTML": (lambda _body: b"<html>" * 50, "FRAME_UNKNOWN"),
}


@pytest.mark.parametrize("noise", BYTES)
async def test_bytes_that_are_no_frames_are_refused(scene: Scene, noise: str) -> None:
    tamper, code = BYTES[noise]
    scene.liar.pulled = tamper
    assert await scene.pull_code() == code
    assert sum((await scene.answers()).values()) == 0
    await scene.assert_honesty_heals()


def kept_in(bodies: list[bytes]) -> Callable[[bytes], bytes]:
    """Return a change that changes nothing but keeps what passes."""

    def keep(body: bytes) -> bytes:
        bodies.append(body)
        return body

    return keep


async def test_a_stream_cut_anywhere_is_resumed(scene: Scene) -> None:
    whole: list[bytes] = []
    scene.liar.pulled = kept_in(whole)
    await scene.puller.pull(scene.url)
    await scene.puller.value("truncate entry, payload, tile_hash, log, did_line, need, outbox, unprojected cascade")
    await scene.puller.value("update peer set operator_scid = null")
    await scene.puller.value("delete from participant where not hosted")
    cuts = sorted({*random.Random(7).sample(range(len(whole[0])), 12), 5, len(whole[0]) - 5})
    for cut in cuts:
        scene.liar.pulled = lambda body, cut=cut: body[:cut]
        code = await scene.pull_code()
        assert code in ("FRAME_TRUNCATED", None), code
    await scene.assert_honesty_heals()


def instead(path: str, response: Callable[[], Response]) -> Callable[[Request, bytes], Response | None]:
    return lambda request, _body: response() if request.url.path.endswith(path) else None


def endless(piece: bytes) -> Callable[[], Response]:
    return lambda: StreamingResponse(drip(piece, 0), media_type=FRAMES_TYPE)


def bomb() -> Response:
    squeezed = zlib.compressobj(wbits=31)
    pieces = [squeezed.compress(b" " * 1_000_000) for _ in range(80)]
    body = b"".join(pieces) + squeezed.flush()  # 80 MB of spaces, past any list of heads
    return Response(body, media_type="application/json", headers={"content-encoding": "gzip"})


MISBEHAVIOUR: dict[str, tuple[Callable[[Request, bytes], Response | None], str]] = {
    "entries without end": (
        instead("/pull", endless(encode_entry(b"{}" * 500, None, None))),
        "STREAM_OUT_OF_ORDER",
    ),
    "pauses without end": (instead("/pull", endless(encode(RetryAfter(1)) * 1_000)), "PEER_TOO_MUCH"),
    "one byte now and then": (
        instead("/heads", lambda: StreamingResponse(drip(b" ", 0.2), media_type="application/json")),
        "PEER_TIMEOUT",
    ),
    "silence in the middle of a pull": (
        instead("/pull", lambda: StreamingResponse(drip(b"\x01", 60), media_type=FRAMES_TYPE)),
        "PEER_TIMEOUT",
    ),
    "a gzip bomb": (instead("/heads", bomb), "PEER_TOO_MUCH"),
    "a gzip stream that is none": (
        instead("/heads", lambda: Response(b"x", media_type="application/json", headers={"content-encoding": "gzip"})),
        "CONTENT_CODING_INVALID",
    ),
    "a coding nobody offered": (
        instead("/heads", lambda: Response(b"x", media_type="application/json", headers={"content-encoding": "br"})),
        "CONTENT_CODING_INVALID",
    ),
    "another content type": (instead("/pull", lambda: Response(b"", media_type="text/html")), "PEER_PROTOCOL_ERROR"),
    "a redirect": (instead("/heads", lambda: RedirectResponse("http://127.0.0.1:1/")), "PEER_PROTOCOL_ERROR"),
    "an error of its own": (instead("/pull", lambda: Response("oops", 500)), "PEER_PROTOCOL_ERROR"),
    "being busy": (instead("/pull", lambda: Response("", 503, {"retry-after": "120"})), "PEER_BUSY"),
    "heads that are no JSON": (
        instead("/heads", lambda: Response(b"[]", media_type="application/json")),
        "HEADS_MALFORMED",
    ),
    "heads nested for ever": (
        instead("/heads", lambda: Response(b"[" * 1_000_000, media_type="application/json")),
        "HEADS_MALFORMED",
    ),
}


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOUR)
async def test_misbehaviour_ends_the_exchange_and_costs_little(scene: Scene, misbehaviour: str) -> None:
    answer, code = MISBEHAVIOUR[misbehaviour]
    scene.liar.answer = answer
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert await scene.pull_code() == code
    grown_bytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown_bytes < MEMORY_GROWTH_BYTES_MAX
    assert sum((await scene.answers()).values()) == 0
    is_reported = code in await scene.reports()
    assert is_reported == (code not in ("PEER_TIMEOUT", "PEER_BUSY"))
    await scene.assert_honesty_heals()


async def test_a_peer_that_is_down_is_unreachable_and_asked_less_and_less_often(make_node: MakeNode) -> None:
    b = await make_node("b")
    url = "http://127.0.0.1:9"
    await b.add_peer(url)
    waits: list[float] = []
    for _ in range(10):
        with pytest.raises(GotongError) as refusal:
            await b.pull(url)
        assert refusal.value.code == "PEER_UNREACHABLE"
        next_pull_at = await b.value("select next_pull_at from peer")
        waits.append((next_pull_at - b.node.clock()).total_seconds())
    assert waits[:3] == [22.5, 45.0, 90.0]
    assert waits[-1] == 2_700.0
    assert await b.value("select count(*) from refusal") == 0


async def test_yesterdays_checkpoint_is_refused_wherever_it_comes(scene: Scene) -> None:
    yesterday = await scene.honest.value("select checkpoint from log where origin = $1", scene.guest.origin)
    await scene.honest.node.publish_needs(scene.guest.scid, "Tenda")
    scene.liar.frames = notes(lambda _note: yesterday)
    assert await scene.pull_code() == "BEYOND_CHECKPOINT"
    scene.liar.be_honest()
    await scene.puller.pull(scene.url)
    await scene.honest.node.publish_needs(scene.guest.scid, "Lampu")
    scene.liar.frames = notes(lambda _note: yesterday)
    assert await scene.pull_code() == "CHECKPOINT_BEHIND"
    scene.liar.be_honest()
    assert (await scene.puller.pull(scene.url)).records == 1


async def test_old_heads_change_nothing(scene: Scene) -> None:
    old: list[bytes] = []
    scene.liar.heads = kept_in(old)
    await scene.puller.pull(scene.url)
    await scene.honest.node.publish_needs(scene.guest.scid, "Tenda")
    scene.liar.be_honest()
    await scene.puller.pull(scene.url)
    scene.liar.heads = lambda _body: old[0]
    assert (await scene.puller.pull(scene.url)).refused == {}
    assert (await scene.puller.node.check(scene.guest.origin)).signed_size == 6


async def test_a_node_of_the_other_network_is_refused(scene: Scene) -> None:
    scene.liar.heads = lambda body: body.replace(b'"network":"test"', b'"network":"live"')
    assert await scene.pull_code() == "NETWORK_MISMATCH"
    await scene.assert_honesty_heals()


async def test_a_log_of_the_other_network_is_refused_whatever_its_peer_says(scene: Scene) -> None:
    scene.puller.syncer.network = "live"
    scene.liar.heads = lambda body: body.replace(b'"network":"test"', b'"network":"live"')
    assert await scene.pull_code() == "NETWORK_MISMATCH"
    assert sum((await scene.answers()).values()) == 0


async def test_a_peer_whose_operator_changes_is_refused(scene: Scene) -> None:
    await scene.puller.pull(scene.url)
    scene.liar.heads = lambda body: json.dumps({**json.loads(body), "operator": scene.guest.scid}).encode()
    assert await scene.pull_code() == "PEER_OPERATOR_CHANGED"


async def test_a_peer_that_says_to_host_others_gives_them_no_trust(make_node: MakeNode) -> None:
    a, b, c = await make_node("a"), await make_node("b"), await make_node("c")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await b.add_peer(a.url)
    await b.pull(a.url)
    liar = Liar(b.url, heads=lambda body: body.replace(b'"hosted":false', b'"hosted":true'))
    async with serving(liar.app) as url:
        await c.add_peer(url)
        await c.pull(url)
        assert await c.value("select trust from participant where scid = $1", guest.scid) == "quarantined"


async def test_two_trees_of_one_size_are_reported_as_a_fork(scene: Scene, make_node: MakeNode) -> None:
    await scene.puller.pull(scene.url)
    twin = await fork_of(scene)
    scene.liar.heads = lambda body: body.replace(twin[0], twin[1])
    assert await scene.pull_code() == "LOG_FORKED"
    evidence = await scene.puller.value("select evidence from refusal where code = 'LOG_FORKED'")
    assert evidence.count(b"\n5\n") == 2


async def test_a_longer_version_of_our_own_log_is_reported_and_not_taken(scene: Scene) -> None:
    """The honest node was restored from a backup; another node still holds what it had signed."""
    await scene.puller.pull(scene.url)
    before = await scene.honest.rows("select size, edge, checkpoint from log where origin = $1", scene.guest.origin)
    await scene.honest.node.publish_needs(scene.guest.scid, "Tenda")
    await scene.puller.pull(scene.url)
    await scene.honest.value(
        "update log set size = $2, edge = $3, checkpoint = $4, checkpoint_size = $2 where origin = $1",
        scene.guest.origin, *before[0],
    )  # fmt: skip
    await scene.honest.value("delete from entry where index >= 5")
    await scene.honest.add_peer(scene.puller.url)
    done = await scene.honest.pull(scene.puller.url)
    assert done.refused == {scene.guest.origin: "OWN_LOG_LONGER"}
    assert await scene.honest.value("select size from log where origin = $1", scene.guest.origin) == 5


async def fork_of(scene: Scene) -> tuple[bytes, bytes]:
    """Return the true checkpoint and a second one of the same size, signed with the same key, as JSON writes them."""
    from federation import note
    from federation.keys import log_key_name

    true = await scene.honest.value("select checkpoint from log where origin = $1", scene.guest.origin)
    key = scene.honest.node.keys.get(log_key_name(scene.guest.scid, 0))
    false = note.sign_checkpoint(
        note.Checkpoint(scene.guest.origin, 5, bytes(32)), note.Signer(scene.guest.origin, key)
    )
    return json.dumps(true.decode(), ensure_ascii=False)[1:-1].encode(), json.dumps(false.decode(), ensure_ascii=False)[
        1:-1
    ].encode()
