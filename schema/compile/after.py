"""Fill what SQL left open: one batch a kind for a whole answer, however many rows it has."""

from collections.abc import Sequence

from schema.compile.build import Asking, Hole
from schema.compile.fields import HOLE_MARK

_MARK = HOLE_MARK.encode()


async def filled(text: str, holes: Sequence[Hole], asking: Asking) -> bytes:
    """Return the JSON `text` as bytes, its marked places filled with what the holes' batches compute."""
    if not holes:
        return text.encode()
    pieces = text.encode().split(_MARK)
    marks = pieces[1::2]
    wanted: dict[int, list[bytes]] = {}
    for mark in dict.fromkeys(marks):
        wanted.setdefault(int(mark.partition(b":")[0]), []).append(mark)
    written: dict[bytes, bytes] = {}
    for place, unlike in wanted.items():
        keys = [mark.partition(b":")[2].decode() for mark in unlike]
        found = await holes[place].batch(asking.services, asking.caller, keys)
        for key, mark in zip(keys, unlike, strict=True):
            written[mark] = holes[place].write(found.get(key), asking)
    pieces[1::2] = [written[mark] for mark in marks]
    return b"".join(pieces)
