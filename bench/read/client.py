"""Ask a server as fast as it answers, from a process of its own: `python -m bench.read.client <<< '{...}'`.

One thread, plain sockets and epoll: about ten microseconds a request, so that on two cores the asking
leaves the cores to those who answer. Every connection sends its next request when the answer is complete.
"""

import contextlib
import json
import select
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any

RECEIVE_BYTES = 1 << 18
CHUNKED_END = b"\r\n0\r\n\r\n"


@dataclass(slots=True)
class Wire:
    """One connection: what has arrived of the answer, how long it will be, and when the question was sent."""

    socket: socket.socket
    received: bytearray
    expected_bytes: int
    sent_at: float
    turn: int


class Refused(Exception):
    """The server answered with another status than 200, with GraphQL errors, or not at all."""


def requests(port: int, bodies: list[Any]) -> list[bytes]:
    """Return the bytes of one POST a body."""
    head = (
        "POST /graphql HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        "Accept: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    encoded = [json.dumps(body, separators=(",", ":")).encode() for body in bodies]
    return [head.format(port=port, length=len(body)).encode() + body for body in encoded]


def ask(port: int, bodies: list[Any], connections: int, seconds: float) -> dict[str, float]:
    """Return requests per second and latencies (ms) of asking for `seconds`; raises Refused."""
    wanted = requests(port, bodies)
    latencies: list[float] = []
    clock = time.perf_counter
    with contextlib.ExitStack() as stack:
        poll = stack.enter_context(select.epoll())
        wires: dict[int, Wire] = {}
        for number in range(connections):
            opened = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            wires[opened.fileno()] = Wire(opened, bytearray(), 0, 0.0, number * len(wanted) // connections)
            poll.register(opened, select.EPOLLIN)
        began = clock()
        until = began + seconds
        for wire in wires.values():
            _send(wire, wanted, clock())
        while (now := clock()) < until:
            for descriptor, _ in poll.poll(until - now):
                wire = wires[descriptor]
                if _complete(wire):
                    now = clock()
                    latencies.append(now - wire.sent_at)
                    _send(wire, wanted, now)
        elapsed_s = clock() - began
    latencies.sort()
    if not latencies:
        raise Refused("no answer in time")
    return {
        "per_second": len(latencies) / elapsed_s,
        "requests": len(latencies),
        "p50_ms": latencies[len(latencies) // 2] * 1000,
        "p99_ms": latencies[len(latencies) * 99 // 100] * 1000,
        "client_us": time.process_time() / len(latencies) * 1e6,
    }


def _send(wire: Wire, wanted: list[bytes], now: float) -> None:
    wire.sent_at = now
    wire.socket.sendall(wanted[wire.turn % len(wanted)])
    wire.turn += 1


def _complete(wire: Wire) -> bool:
    """Take what has arrived; return whether the answer is whole. Raises Refused."""
    data = wire.socket.recv(RECEIVE_BYTES)
    if not data:
        raise Refused("the server closed the connection")
    received = wire.received
    received += data
    if not wire.expected_bytes:
        end = received.find(b"\r\n\r\n")
        if end < 0:
            return False
        wire.expected_bytes = _length(bytes(received[:end]).lower(), end + 4)
    if wire.expected_bytes < 0:
        if not received.endswith(CHUNKED_END):
            return False
    elif len(received) < wire.expected_bytes:
        return False
    if not received.startswith(b"HTTP/1.1 200") or b'"errors":' in received:
        raise Refused(bytes(received[:1000]).decode(errors="replace"))
    received.clear()
    wire.expected_bytes = 0
    return True


def _length(head: bytes, head_bytes: int) -> int:
    """Return the bytes of the whole answer, -1 where it comes in chunks."""
    _, found, rest = head.partition(b"content-length:")
    return head_bytes + int(rest.partition(b"\r\n")[0]) if found else -1


if __name__ == "__main__":
    print(json.dumps(ask(**json.load(sys.stdin))))
