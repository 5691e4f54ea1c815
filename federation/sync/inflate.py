"""Undo a response's content coding in steps of bounded size. Pure.

A few kilobytes of gzip can stand for gigabytes, so the output is asked for in
pieces and counted while it comes, never after.
"""

import zlib
from collections.abc import Iterator
from typing import ClassVar

from domain.errors import GotongError

PIECE_BYTES_MAX = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS


class ContentCodingInvalid(GotongError):
    """A response names a content coding that was not offered, or its bytes are not of that coding."""

    code: ClassVar[str] = "CONTENT_CODING_INVALID"


class Inflater:
    """Turns the bytes of a body into what was encoded, piece by piece; `coding` is the Content-Encoding header."""

    def __init__(self, coding: str) -> None:
        """Raises ContentCodingInvalid for any coding but gzip and identity."""
        name = coding.strip().lower()
        if name not in ("", "identity", "gzip"):
            raise ContentCodingInvalid("only gzip was offered", coding=name[:32])
        self._gzip = zlib.decompressobj(_GZIP) if name == "gzip" else None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Yield what `data` decodes to, at most PIECE_BYTES_MAX at a time, or raise ContentCodingInvalid."""
        if self._gzip is None:
            yield data
            return
        while data:
            if self._gzip.eof:
                raise ContentCodingInvalid("bytes follow the end of the gzip stream")
            try:
                piece = self._gzip.decompress(data, PIECE_BYTES_MAX)
            except zlib.error:
                raise ContentCodingInvalid("not a gzip stream") from None
            data = self._gzip.unconsumed_tail or self._gzip.unused_data
            if piece:
                yield piece

    def finish(self) -> None:
        """Return if the body may end here, else raise ContentCodingInvalid."""
        if self._gzip is not None and not self._gzip.eof:
            raise ContentCodingInvalid("the gzip stream is cut off")
