"""Bytes of whole files and streams, spoilt: an answer or a documented refusal, in bounded memory."""

import contextlib
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import GotongError
from federation.did import webvh
from federation.log import service
from federation.sync.frames import (
    CheckpointNote,
    Decoder,
    DidLine,
    End,
    EndOfLog,
    EndReason,
    EntryData,
    Evidence,
    Frame,
    Log,
    Mark,
    RetryAfter,
    Witness,
    encode,
)
from federation.sync.inflate import Inflater
from federation.sync.messages import HeadOfLog, Pull, Wanted, read_heads, read_pull, write_heads, write_pull
from federation.sync.sections import Assembler
from tests.fuzz.mutations import spoilt
from tests.house.source import ROOT

EXAMPLES = 300
NOW = datetime(2026, 11, 22, tzinfo=UTC)
SCID = "QmQ8dFYj8KKMjGkuBWZ7Uf2Xx59DtfnXm2gQ3P1jDsx3fy"
ORIGIN = f"gotong/{SCID}/0"
FRAMES: list[Frame] = [
    Log(ORIGIN),
    DidLine(b'{"versionId":"1-x"}'),
    Witness(b"[]"),
    CheckpointNote(b"a note\n"),
    EntryData(b'{"v":1}', bytes(16), b"{}"),
    EntryData(b'{"v":1}', None, None),
    Mark(2, (bytes(32), bytes(32))),
    EndOfLog(EndReason.COMPLETE),
    Evidence(b'{"kind":"fork"}'),
    RetryAfter(3),
    End(),
]
STREAM = b"".join(map(encode, FRAMES))
HEADS = write_heads(
    network="test", operator=SCID, now=NOW, since="here:12", logs=[HeadOfLog(ORIGIN, 7, "a note", 1, hosted=True)]
)
PULL = write_pull(Pull([Wanted(ORIGIN, 4, 1, 1000)]))


def read_stream(data: bytes) -> None:
    """Decode and assemble a stream that comes in small pieces."""
    decoder, assembler = Decoder(), Assembler(None)
    for start in range(0, len(data), 7):
        for frame in decoder.feed(data[start : start + 7]):
            assembler.take(frame)
        assert decoder.pending_bytes <= len(data)
    decoder.finish()
    assembler.finish()


def read_did_log(data: bytes) -> None:
    """Verify a DID log and ask of it what Gotong asks."""
    service.require_gotong(webvh.verify(webvh.split_lines(data), now=NOW))


def inflated(data: bytes) -> None:
    """Decode a gzip body."""
    inflater = Inflater("gzip")
    for piece in inflater.feed(data):
        assert len(piece) <= 1 << 20
    inflater.finish()


def did_logs() -> list[bytes]:
    """Return the DID logs of the vectors, valid and invalid."""
    vectors = [json.loads(path.read_text())["input"] for path in sorted((ROOT / "spec/vectors/did").glob("*/*.json"))]
    logs = [each["lines"] for each in vectors if isinstance(each.get("lines"), list)]
    return ["\n".join(lines).encode() for lines in logs if all(isinstance(line, str) for line in lines)]


FORMATS: dict[str, tuple[Callable[[bytes], object], list[bytes]]] = {
    "a stream of frames": (read_stream, [STREAM]),
    "heads": (read_heads, [HEADS]),
    "a pull request": (read_pull, [PULL]),
    "a DID log": (read_did_log, did_logs()),
    "a gzip body": (inflated, [zlib.compress(STREAM * 50, 1, 31)]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_spoilt_bytes_are_read_or_refused_by_a_rule(name: str) -> None:
    read, valid = FORMATS[name]
    assert valid
    for each in valid:
        if name != "a DID log":
            read(each)

    @settings(max_examples=EXAMPLES)
    @given(st.one_of(spoilt(valid), st.binary(max_size=200)))
    def check(data: bytes) -> None:
        with contextlib.suppress(GotongError):
            read(data)

    check()
