"""Be told about new needs as they become visible, and miss none.

    NODE=http://localhost:8080 python follow.py cursor.txt --region 32

Prints a line a need. The cursor is saved after the need was dealt with: after a crash, a need may come twice, and
none is lost. Connections end for good reasons (a restart, a slow reader); it connects again and goes on.
"""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

NODE = os.environ.get("NODE", "http://localhost:8080")
PROTOCOL: Any = "graphql-transport-ws"
RETRY_FIRST_S, RETRY_MAX_S = 0.2, 60.0

FOLLOW = """
subscription Follow($filter: NeedFilter, $after: String) {
  needPublished(filter: $filter, after: $after) {
    cursor
    need { id title urgency place { region { name } } publisher { name } }
  }
}
"""


class Refused(Exception):
    """The node will not answer this question: connecting again would not help."""


def deal_with(need: dict[str, Any]) -> None:
    """Do what your app does; here: print a line."""
    print(json.dumps(need, ensure_ascii=False), flush=True)


class Cursor:
    """The place of the last event dealt with, in a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> str | None:
        """Return it, or None before the first event."""
        return self.path.read_text() if self.path.exists() else None

    def write(self, cursor: str) -> None:
        """Keep it; the rename makes that all or nothing."""
        beside = self.path.with_suffix(".new")
        beside.write_text(cursor)
        beside.replace(self.path)


async def subscribe(socket: ClientConnection, region: str, after: str | None) -> None:
    """Open the conversation and ask."""
    await socket.send(json.dumps({"type": "connection_init"}))
    acknowledged = json.loads(await socket.recv())
    assert acknowledged["type"] == "connection_ack", acknowledged
    variables = {"filter": {"region": region}, "after": after}
    payload = {"query": FOLLOW, "variables": variables}
    await socket.send(json.dumps({"id": "1", "type": "subscribe", "payload": payload}))


async def listen(socket: ClientConnection, cursor: Cursor) -> None:
    """Deal with events until the connection ends; raises Refused."""
    async for text in socket:
        message = json.loads(text)
        match message["type"]:
            case "next" if "errors" not in message["payload"]:
                event = message["payload"]["data"]["needPublished"]
                deal_with(event["need"])
                cursor.write(event["cursor"])
            case "ping":
                await socket.send(json.dumps({"type": "pong"}))
            case "next":
                raise Refused(message["payload"]["errors"][0]["extensions"]["code"])
            case "error":  # STREAM_CHANGED: ask needs(filter: {receivedAfter: ...}) once, then begin without a cursor
                raise Refused(message["payload"][0]["extensions"]["code"])
            case "complete":
                return


async def follow(region: str, cursor: Cursor) -> None:
    """Follow for ever, connecting again whenever the connection ends."""
    address = NODE.replace("http", "ws", 1) + "/graphql"
    retry_s = RETRY_FIRST_S
    while True:
        try:
            async with connect(address, subprotocols=[PROTOCOL]) as socket:
                await subscribe(socket, region, cursor.read())
                retry_s = RETRY_FIRST_S
                await listen(socket, cursor)
        except (OSError, ConnectionClosed) as error:
            print(f"connecting again in {retry_s:g} s: {error}", file=sys.stderr)
        await asyncio.sleep(retry_s)
        retry_s = min(retry_s * 2, RETRY_MAX_S)


def main() -> None:
    """Read the arguments and follow until interrupted."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("cursor", type=Path, help="the file that keeps the place")
    arguments.add_argument("--region", default="32", help="a region's code: everything inside it is told")
    given = arguments.parse_args()
    try:
        asyncio.run(follow(given.region, Cursor(given.cursor)))
    except Refused as refused:
        sys.exit(str(refused))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
