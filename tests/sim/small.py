"""Small numbers where nodes have large ones, so that short logs meet all that long ones do.

Pages of two entries, tiles of four hashes: a log of twenty entries comes in several batches and has tiles of three
levels.
"""

import contextlib
from collections.abc import Iterator
from unittest.mock import patch

from federation.backup import sealed
from federation.log import static, tiles
from federation.sync import client, serve
from federation.witness import tellings

ENTRIES_PER_PAGE = 2
TILE_HEIGHT = 2
TILE_WIDTH = 2**TILE_HEIGHT
CHUNK_BYTES = 512
"""Of a backup: so that the smallest has several."""


@contextlib.contextmanager
def small_numbers() -> Iterator[None]:
    """Within, every node in this process counts so."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(patch.object(serve, "PAGE_ENTRIES_MAX", ENTRIES_PER_PAGE))
        stack.enter_context(patch.object(sealed, "CHUNK_BYTES_MAX", CHUNK_BYTES))
        for module in (tiles, static, tellings, client):
            stack.enter_context(patch.object(module, "TILE_WIDTH", TILE_WIDTH))
        for module in (tiles, static, tellings):
            stack.enter_context(patch.object(module, "TILE_HEIGHT", TILE_HEIGHT))
        yield
