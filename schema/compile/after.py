"""Fill what SQL left open: one batch a kind for a whole answer, however many rows it has."""

from collections.abc import Sequence

from schema.compile.build import Asking, Hole
from schema.compile.fields import HOLE_MARK


async def filled(text: str, holes: Sequence[Hole], asking: Asking) -> bytes:
    """Return the JSON `text` as bytes, its marked places filled with what the holes' batches compute."""
    if not holes:
        return text.encode()
    pieces = text.split(HOLE_MARK)
    marks = [tuple(piece.split(":", 1)) for piece in pieces[1::2]]
    wanted: dict[int, dict[str, None]] = {}
    for number, key in marks:
        wanted.setdefault(int(number), {})[key] = None
    written: dict[tuple[str, str], bytes] = {}
    for number, keys in wanted.items():
        hole = holes[number]
        found = await hole.batch(asking.services, list(keys))
        for key in keys:
            written[str(number), key] = hole.write(found.get(key), asking)
    out = [piece.encode() for piece in pieces]
    out[1::2] = [written[number, key] for number, key in marks]
    return b"".join(out)
