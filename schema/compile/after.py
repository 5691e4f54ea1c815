"""Fill what SQL left open: one batch a kind for a whole answer, however many rows it has."""

from collections.abc import Sequence

from schema.compile.build import Asking, Hole
from schema.compile.fields import HOLE_MARK


async def filled(text: str, holes: Sequence[Hole], asking: Asking) -> bytes:
    """Return the JSON `text` as bytes, its marked places filled with what the holes' batches compute."""
    if not holes:
        return text.encode()
    pieces = text.split(HOLE_MARK)
    wanted: dict[int, dict[str, None]] = {}
    for mark in pieces[1::2]:
        number, _, key = mark.partition(":")
        wanted.setdefault(int(number), {})[key] = None
    written: dict[str, bytes] = {}
    for place, keys in wanted.items():
        found = await holes[place].batch(asking.services, list(keys))
        for key in keys:
            written[f"{place}:{key}"] = holes[place].write(found.get(key), asking)
    out = [piece.encode() for piece in pieces]
    out[1::2] = [written[mark] for mark in pieces[1::2]]
    return b"".join(out)
