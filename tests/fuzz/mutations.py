"""Valid bytes, spoilt: what any wire format meets when a sender is broken or means harm."""

from collections.abc import Sequence

from hypothesis import strategies as st

INTERESTING = (
    b"\x00",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xed\xa0\x80",  # a lone surrogate
    b"-1",
    b"1e999",
    b"NaN",
    b"9007199254740993",
    b"99999999999999999999999999",
    b"[" * 200,
    b'{"":' * 200,
    b'"\\ud800"',
    b'"\\u0000"',
    b"\r\n",
    b"\n\n",
    b"\xe2\x80\x94 ",
    b"%2e%2e/",
    b"{}",
    b"null",
    b"",
)
EDITS_MAX = 4


@st.composite
def spoilt(draw: st.DrawFn, valid: Sequence[bytes]) -> bytes:
    """Return one of the valid inputs after one to four edits: flips, cuts, copies, insertions, parts of others."""
    data = draw(st.sampled_from(valid))
    for _ in range(draw(st.integers(1, EDITS_MAX))):
        start = draw(st.integers(0, len(data)))
        stop = min(len(data), start + draw(st.one_of(st.integers(0, 16), st.integers(0, 4096))))
        how = draw(st.sampled_from(("flip", "cut", "copy", "insert", "replace", "splice", "end")))
        match how:
            case "flip" if start < len(data):
                data = data[:start] + bytes([data[start] ^ (1 << draw(st.integers(0, 7)))]) + data[start + 1 :]
            case "cut":
                data = data[:start] + data[stop:]
            case "copy":
                data = data[:stop] + data[start:stop] + data[stop:]
            case "insert":
                data = data[:start] + draw(st.sampled_from(INTERESTING)) + data[start:]
            case "replace":
                data = (
                    data[:start] + draw(st.one_of(st.sampled_from(INTERESTING), st.binary(max_size=16))) + data[stop:]
                )
            case "splice":
                other = draw(st.sampled_from(valid))
                data = data[:start] + other[draw(st.integers(0, len(other))) :]
            case _:
                data = data[:start]
    return data
