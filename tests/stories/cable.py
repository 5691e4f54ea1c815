"""A cable of a story that needs no rights: a TCP relay on this machine that can be cut and mended.

While it is cut no byte passes and nobody is told: open connections stay open and new ones are accepted and not
answered, as with a pulled plug. What waited passes when it is mended, if its ends still want it.
"""

import asyncio
import contextlib
import socket
import threading
from types import TracebackType

LOOPBACK = "127.0.0.1"
CHUNK_BYTES = 64 * 1024


class Cable:
    """Carries connections from `port` to `to_port` between `with` and its end."""

    def __init__(self, port: int, to_port: int) -> None:
        self._listening = socket.create_server((LOOPBACK, port))
        self._to_port = to_port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),), daemon=True)
        self._whole = asyncio.Event()
        self._whole.set()
        self._ended = asyncio.Event()

    def __enter__(self) -> "Cable":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Let nothing pass from now on."""
        self._loop.call_soon_threadsafe(self._whole.clear)

    def mend(self) -> None:
        """Let everything pass again, what waited first."""
        self._loop.call_soon_threadsafe(self._whole.set)

    async def _run(self) -> None:
        carried: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.ensure_future(self._carry(reader, writer))
            carried.add(task)
            task.add_done_callback(carried.discard)

        server = await asyncio.start_server(accept, sock=self._listening)
        await self._ended.wait()
        server.close()
        for task in carried:
            task.cancel()
        await asyncio.gather(*carried, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(OSError):
            await self._whole.wait()
            far_reader, far_writer = await asyncio.open_connection(LOOPBACK, self._to_port)
            with contextlib.closing(far_writer):
                await asyncio.gather(self._pass(reader, far_writer), self._pass(far_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(CHUNK_BYTES):
            await self._whole.wait()
            writer.write(data)
            await writer.drain()
        await self._whole.wait()
        writer.write_eof()
