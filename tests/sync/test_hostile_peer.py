"""A peer that lies, floods, stalls or breaks off: refused with the rule's code, kept as a report, nothing answered."""

import json
import random
import resource
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace

import pytest
from msgspec import structs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from domain.errors import GotongError
from federation.log.verify import Batch, Head, VerifiedBatch, check_batch
from federation.peers import exchange
from federation.peers.exchange import Exchange, Exchanged
from federation.sync import receive
from federation.sync.client import FRAMES_TYPE
from federation.sync.frames import DidLine, EntryData, Frame, Log, Mark, RetryAfter, encode, encode_entry
from tests.sync.conftest import QUICK, MakeNode, Scene
from tests.sync.liar import (
    FrameTamper,
    drip,
    each_entry,
    flipped,
    kept_in,
    lines,
    notes,
    of_log,
    swapped_entries,
    without,
)

MEMORY_GROWTH_BYTES_MAX = 200 * 1024 * 1024


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


def encoded_nothing() -> Response:
    """Return a gzip stream whose empty blocks never end and say nothing."""
    head = zlib.compressobj(wbits=31).flush(zlib.Z_SYNC_FLUSH)[:10]

    async def blocks() -> AsyncIterator[bytes]:
        yield head
        async for block in drip(b"\x00\x00\x00\xff\xff" * 10_000, 0):
            yield block

    return StreamingResponse(blocks(), media_type="application/json", headers={"content-encoding": "gzip"})


MISBEHAVIOUR: dict[str, tuple[Callable[[Request, bytes], Response | None], str]] = {
    "entries without end": (
        instead("/pull", endless(encode_entry(b"{}" * 500, None, None))),
        "STREAM_OUT_OF_ORDER",
    ),
    "pauses without end": (instead("/pull", endless(encode(RetryAfter(1)) * 1_000)), "STREAM_OUT_OF_ORDER"),
    "one byte now and then": (
        instead("/heads", lambda: StreamingResponse(drip(b" ", 0.2), media_type="application/json")),
        "PEER_TIMEOUT",
    ),
    "silence in the middle of a pull": (
        instead("/pull", lambda: StreamingResponse(drip(b"\x01", 60), media_type=FRAMES_TYPE)),
        "PEER_TIMEOUT",
    ),
    "a gzip bomb": (instead("/heads", bomb), "PEER_TOO_MUCH"),
    "nothing, encoded, without end": (instead("/heads", encoded_nothing), "PEER_TOO_MUCH"),
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
    if code == "PEER_TIMEOUT":
        scene.puller.limits = QUICK
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


async def test_what_this_program_fails_over_in_one_log_stops_no_other(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(head: Head, network: str, batch: Batch) -> VerifiedBatch:
        if head.origin == scene.guest.origin:
            raise ZeroDivisionError
        return check_batch(head, network, batch)

    monkeypatch.setattr(receive, "check_batch", failing)
    assert await scene.pull_code() == "ENTRIES_NOT_STORED"
    assert await scene.puller.value("select count(*) from participant where slug = 'pengurus' and not hosted") == 1
    assert await scene.puller.value("select last_error_code from peer") is None
    monkeypatch.undo()
    await scene.assert_honesty_heals()


async def test_a_peer_over_which_this_program_fails_is_left_alone_for_longer_each_time(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(_self: Exchange, _since: str | None) -> Exchanged:
        raise ZeroDivisionError

    monkeypatch.setattr(Exchange, "run", failing)
    pauses = []
    for _ in range(3):
        with pytest.raises(ZeroDivisionError):
            await scene.puller.pull(scene.url)
        [(code, at)] = await scene.puller.rows("select last_error_code, next_pull_at from peer")
        pauses.append(at)
        assert code == "EXCHANGE_FAILED"
    assert pauses == sorted(set(pauses))
    assert await scene.reports() == []  # it may be our own fault


async def test_a_nul_in_what_breaks_a_rule_keeps_nobody_from_being_reported(scene: Scene) -> None:
    """PostgreSQL keeps none in a text; whoever put one there was not reported, and the whole exchange failed."""
    scene.liar.frames = lines(lambda line: line.replace(b'"parameters":{', b'"parameters":{"a\\u0000b":1,'))
    assert await scene.pull_code() == "DID_PARAMETERS_INVALID"
    assert "DID_PARAMETERS_INVALID" in await scene.reports()
    scene.liar.heads = lambda body: body.replace(b'"operator":"Qm', b'"operator":"Q\\u0000m')
    assert await scene.pull_code() == "HEADS_MALFORMED"
    await scene.assert_honesty_heals()


async def test_of_a_great_many_refusals_in_one_exchange_some_are_kept(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "REFUSED_MAX", 3)

    def more(body: bytes) -> bytes:
        heads = json.loads(body)
        heads["logs"] += [{**heads["logs"][0], "origin": f"no log {number}"} for number in range(10)]
        return json.dumps(heads).encode()

    scene.liar.heads = more
    assert len((await scene.puller.pull(scene.url)).refused) == 3
    assert await scene.reports() == ["ORIGIN_MALFORMED"] * 3
    await scene.assert_honesty_heals()
