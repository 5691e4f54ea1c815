"""Frames: what is written is read again however it is cut, and any other bytes are refused in bounded memory."""

import contextlib
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.errors import GotongError
from federation.log.entry import ENTRY_BYTES_MAX, PAYLOAD_BYTES_MAX
from federation.log.merkle import TREE_SIZE_MAX
from federation.sync.frames import (
    FRAME_BYTES_MAX,
    CheckpointNote,
    Decoder,
    DidLine,
    End,
    EndOfLog,
    EndReason,
    EntryData,
    Evidence,
    Frame,
    FrameMalformed,
    FrameTooLarge,
    FrameTruncated,
    FrameUnknown,
    Log,
    Mark,
    RetryAfter,
    Witness,
    encode,
)
from federation.sync.sections import Assembler

data = st.binary(max_size=400)
hashes = st.binary(min_size=32, max_size=32)
frames_ = st.one_of(
    st.builds(Log, st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=80)),
    st.builds(DidLine, data),
    st.builds(Witness, data),
    st.builds(CheckpointNote, data),
    st.builds(EntryData, data),
    st.builds(EntryData, data, st.binary(min_size=16, max_size=16), data),
    st.builds(Mark, st.integers(0, TREE_SIZE_MAX), st.lists(hashes, max_size=5).map(tuple)),
    st.builds(EndOfLog, st.sampled_from(EndReason)),
    st.builds(RetryAfter, st.integers(0, 86_400)),
    st.just(End()),
    st.builds(Evidence, data),
)
CODES = {"FRAME_UNKNOWN", "FRAME_TOO_LARGE", "FRAME_MALFORMED", "FRAME_TRUNCATED"}


@contextlib.contextmanager
def refused_by(codes: set[str]) -> Iterator[None]:
    """Let the work end well or with one of these codes; anything else it raises is a fault."""
    try:
        yield
    except GotongError as error:
        if error.code not in codes:
            raise


def fed(decoder: Decoder, stream: bytes, step: int) -> list[Frame]:
    found: list[Frame] = []
    for at in range(0, len(stream), step):
        found += decoder.feed(stream[at : at + step])
        assert decoder.pending_bytes <= FRAME_BYTES_MAX + step
    return found


@given(st.lists(frames_, max_size=8), st.integers(1, 700))
def test_what_is_written_is_read_again_however_it_is_cut(sent: list[Frame], step: int) -> None:
    decoder = Decoder()
    assert fed(decoder, b"".join(map(encode, sent)), step) == sent
    decoder.finish()


@given(st.lists(frames_, min_size=1, max_size=4), st.data())
def test_a_stream_that_ends_inside_a_frame_is_truncated(sent: list[Frame], draw: st.DataObject) -> None:
    last = encode(sent[-1])
    whole = b"".join(map(encode, sent[:-1]))
    decoder = Decoder()
    assert decoder.feed(whole + last[: draw.draw(st.integers(1, len(last) - 1))]) == sent[:-1]
    with pytest.raises(FrameTruncated):
        decoder.finish()


@given(st.binary(max_size=2_000), st.integers(1, 300))
@example(b"\x05\x00\x00\x00\x01\x00", 1)
@example(b"\x06\x00\x00\x00\x08" + b"\xff" * 8, 3)
def test_any_bytes_are_frames_or_are_refused_by_code(noise: bytes, step: int) -> None:
    with refused_by(CODES):
        decoder = Decoder()
        fed(decoder, noise, step)
        decoder.finish()


@given(st.lists(frames_, max_size=8), st.data())
def test_a_changed_byte_is_read_or_refused_by_code(sent: list[Frame], draw: st.DataObject) -> None:
    stream = bytearray(b"".join(map(encode, sent)) or b"\x09")
    stream[draw.draw(st.integers(0, len(stream) - 1))] ^= draw.draw(st.integers(1, 255))
    with refused_by(CODES):
        decoder = Decoder()
        fed(decoder, bytes(stream), 64)
        decoder.finish()


@given(st.lists(frames_, max_size=30))
def test_frames_in_any_order_make_events_or_are_refused_by_code(sent: list[Frame]) -> None:
    with refused_by({"STREAM_OUT_OF_ORDER", "STREAM_LOG_UNEXPECTED", "FRAME_TRUNCATED"}):
        assembler = Assembler({"gotong/x/0"})
        for frame in sent:
            assembler.take(frame)
        assembler.finish()


def test_a_length_is_refused_before_its_data_come() -> None:
    for kind, bytes_max in ((1, 128), (5, 2 + ENTRY_BYTES_MAX + 16 + PAYLOAD_BYTES_MAX), (9, 0)):
        with pytest.raises(FrameTooLarge):
            Decoder().feed(bytes([kind]) + (bytes_max + 1).to_bytes(4, "big"))
        assert Decoder().feed(bytes([kind]) + bytes_max.to_bytes(4, "big")) in ([], [End()])


def test_nothing_larger_than_a_reader_takes_is_written() -> None:
    with pytest.raises(FrameTooLarge):
        encode(DidLine(bytes(2**16 + 1)))


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"\x00\x00\x00\x00\x00", FrameUnknown),
        (b"\x0b\x00\x00\x00\x00", FrameUnknown),
        (b"\x01\x00\x00\x00\x00", FrameMalformed),
        (b"\x01\x00\x00\x00\x01\xff", FrameMalformed),
        (b"\x05\x00\x00\x00\x01\x00", FrameMalformed),
        (b"\x05\x00\x00\x00\x02\x00\x01", FrameMalformed),
        (b"\x05\x00\x00\x00\x04\x00\x01xy", FrameMalformed),
        (b"\x06\x00\x00\x00\x07" + bytes(7), FrameMalformed),
        (b"\x06\x00\x00\x00\x09" + bytes(9), FrameMalformed),
        (b"\x06\x00\x00\x00\x08" + b"\xff" * 8, FrameMalformed),
        (b"\x07\x00\x00\x00\x01\x02", FrameMalformed),
        (b"\x07\x00\x00\x00\x00", FrameMalformed),
        (b"\x08\x00\x00\x00\x04\xff\xff\xff\xff", FrameMalformed),
    ],
)
def test_data_without_the_form_of_their_type_are_refused(stream: bytes, error: type[GotongError]) -> None:
    with pytest.raises(error):
        Decoder().feed(stream)


def test_a_long_frame_that_comes_byte_by_byte_is_not_copied_again_and_again() -> None:
    decoder = Decoder()
    stream = encode(Witness(bytes(200_000)))
    assert [frame for at in range(len(stream)) for frame in decoder.feed(stream[at : at + 1])] == [
        Witness(bytes(200_000))
    ]
