"""GraphQL over WebSocket: the protocol graphql-transport-ws, and no other.

One socket carries many operations. What is to be sent waits in one bounded
queue a socket; who reads too slowly is cut off and resumes by the cursor of
the last event it got.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from typing import Any

import orjson
import structlog
from graphql import OperationType
from msgspec.structs import replace

from api.gate import Gate, cost_json
from api.graphql_request import BadRequest, from_parameters, languages
from auth.tokens import TokenInvalid, Viewer
from domain.errors import GotongError
from schema import errors
from schema.compile.follow import Event
from schema.compile.plan import Answer, RequestRefused
from schema.context import Caller, Charge
from schema.engine import Engine, Operation, Prepared
from schema.following import Following

PROTOCOL = "graphql-transport-ws"
INIT_TIMEOUT_S = 10.0
MESSAGE_CHARS_MAX = 128 * 1024
OPERATIONS_PER_SOCKET_MAX = 50
OPERATION_ID_CHARS_MAX = 256
FRAMES_QUEUED_MAX = 512
QUEUED_BYTES_MAX = 16 * 1024 * 1024
"""Of one socket; a single larger answer is queued all the same when nothing else is."""
SOCKETS_MAX = 10_000

BAD_MESSAGE = 4400
UNAUTHORIZED = 4401
INIT_TIMED_OUT = 4408
PROTOCOL_UNKNOWN = 4406
ID_IN_USE = 4409
INIT_REPEATED = 4429
TOO_SLOW = 4413
TRY_AGAIN_LATER = 1013
GOING_AWAY = 1001

_log = structlog.get_logger()

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class Closing(Exception):
    """The socket is to be closed with a code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class SocketEndpoint:
    """All sockets of this process, and the one task that tells their followers what happens."""

    def __init__(self, engine: Engine, gate: Gate) -> None:
        self.engine = engine
        self.gate = gate
        self.following = Following(engine.services)
        self._sockets: set[Socket] = set()
        self._task: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[Answer]] = set()

    async def open(self) -> None:
        """Start telling followers."""
        self._task = asyncio.create_task(self.following.run(), name="following")

    async def close(self) -> None:
        """Stop, and close every socket: clients come back to another process."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        await asyncio.gather(*self._writing, return_exceptions=True)
        for socket in list(self._sockets):
            socket.end(Closing(GOING_AWAY, "The node is stopping."))

    def finishing(self, writing: Coroutine[Any, Any, Answer]) -> asyncio.Task[Answer]:
        """Return a task of a mutation that goes on when its socket is gone."""
        task = asyncio.create_task(writing)
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        return task

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one socket until it closes."""
        await receive()  # websocket.connect
        if PROTOCOL not in scope.get("subprotocols", ()):
            await send({"type": "websocket.accept"})
            await send(_close(Closing(PROTOCOL_UNKNOWN, f"Speak {PROTOCOL}.")))
            return
        await send({"type": "websocket.accept", "subprotocol": PROTOCOL})
        if len(self._sockets) >= SOCKETS_MAX:
            await send(_close(Closing(TRY_AGAIN_LATER, "Too many sockets are open here.")))
            return
        peer = scope["client"][0] if scope.get("client") else None
        socket = Socket(self, peer, dict(scope["headers"]), receive, send)
        self._sockets.add(socket)
        try:
            await socket.serve()
        finally:
            self._sockets.discard(socket)


class Socket:
    """One connection."""

    def __init__(
        self, endpoint: SocketEndpoint, peer: str | None, headers: dict[bytes, bytes], receive: Receive, send: Send
    ) -> None:
        self._endpoint = endpoint
        self._engine = endpoint.engine
        self._gate = endpoint.gate
        self._peer = peer
        self._headers = headers
        self._receive = receive
        self._send = send
        self._languages = languages(headers)
        self._caller: Caller | None = None
        self._initialised = False
        self._operations: dict[str, asyncio.Task[None]] = {}
        self._frames: deque[bytes] = deque()
        self._queued_bytes = 0
        self._ready = asyncio.Event()
        self._drained = asyncio.Event()
        self._closing: asyncio.Future[Closing] = asyncio.get_running_loop().create_future()

    async def serve(self) -> None:
        """Read and write until either side is done; then end what still runs."""
        loop = asyncio.get_running_loop()
        timer = loop.call_later(INIT_TIMEOUT_S, self._check_initialised)
        reader, writer = asyncio.create_task(self._read()), asyncio.create_task(self._write())
        try:
            ends: list[asyncio.Future[Any]] = [reader, writer, self._closing]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            tasks = [reader, writer, *self._operations.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._closing.cancel()
        if self._closing.done() and not self._closing.cancelled():
            with contextlib.suppress(Exception):  # the other side may be gone by now
                await self._send(_close(self._closing.result()))

    def end(self, closing: Closing) -> None:
        """Close the socket; the first reason counts."""
        if not self._closing.done():
            self._closing.set_result(closing)

    def put(self, frame: bytes) -> bool:
        """Queue a frame and return whether there was room; without room the socket is closed."""
        is_heavy = bool(self._frames) and self._queued_bytes + len(frame) > QUEUED_BYTES_MAX
        if len(self._frames) >= FRAMES_QUEUED_MAX or is_heavy:
            self.end(Closing(TOO_SLOW, "You read too slowly; go on after the last cursor you have."))
            return False
        self._frames.append(frame)
        self._queued_bytes += len(frame)
        self._ready.set()
        return True

    async def room(self) -> None:
        """Return when the queue is less than half full."""
        while not self._is_half_empty():
            self._drained.clear()
            await self._drained.wait()

    def _is_half_empty(self) -> bool:
        return len(self._frames) <= FRAMES_QUEUED_MAX // 2 and self._queued_bytes <= QUEUED_BYTES_MAX // 2

    async def _write(self) -> None:
        while True:
            await self._ready.wait()
            self._ready.clear()
            while self._frames:
                frame = self._frames.popleft()
                self._queued_bytes -= len(frame)
                if self._is_half_empty():
                    self._drained.set()
                await self._send({"type": "websocket.send", "text": frame.decode()})

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            if message["type"] == "websocket.disconnect":
                return
            try:
                self._take(_parsed(message))
            except Closing as closing:
                self.end(closing)
                return

    def _check_initialised(self) -> None:
        if not self._initialised:
            self.end(Closing(INIT_TIMED_OUT, "Connection initialisation timeout"))

    def _take(self, message: dict[str, Any]) -> None:
        match message.get("type"):
            case "connection_init":
                self._initialise(message.get("payload"))
            case "ping":
                self.put(b'{"type":"pong"}')
            case "pong":
                return
            case "subscribe":
                self._subscribe(_operation_id(message), message.get("payload"))
            case "complete":
                task = self._operations.pop(_operation_id(message), None)
                if task is not None:
                    task.cancel()
            case _:
                raise Closing(BAD_MESSAGE, "Unknown message type")

    def _initialise(self, payload: Any) -> None:
        if self._initialised:
            raise Closing(INIT_REPEATED, "Too many initialisation requests")
        if payload is not None and not isinstance(payload, dict):
            raise Closing(BAD_MESSAGE, "The payload of connection_init is no object")
        try:
            viewer = self._viewer(payload or {})
        except GotongError as error:
            raise Closing(UNAUTHORIZED, f"{error.code}: {error.message}"[:120]) from None
        self._initialised = True
        self._caller = Caller(viewer, self._languages)
        self.put(b'{"type":"connection_ack"}')
        if viewer is not None:
            left_s = (viewer.expires_at - self._engine.services.clock()).total_seconds()
            expired = Closing(UNAUTHORIZED, "TOKEN_EXPIRED: get a new access token")
            asyncio.get_running_loop().call_later(max(0.0, left_s), self.end, expired)

    def _viewer(self, payload: dict[str, Any]) -> Viewer | None:
        given = payload.get("Authorization", payload.get("authorization"))
        if given is None:
            return None
        if not isinstance(given, str) or not given.lower().startswith("bearer "):
            raise TokenInvalid("Give the access token as `Authorization: Bearer <token>`.")
        services = self._engine.services
        return services.verifier.verify(given[len("bearer ") :].strip(), services.clock())

    def _subscribe(self, operation_id: str, payload: Any) -> None:
        if self._caller is None:
            raise Closing(UNAUTHORIZED, "Unauthorized")
        if operation_id in self._operations:
            raise Closing(ID_IN_USE, f"Subscriber for {operation_id[:64]} already exists")
        if not isinstance(payload, dict):
            raise Closing(BAD_MESSAGE, "The payload of subscribe is no object")
        if len(self._operations) >= OPERATIONS_PER_SOCKET_MAX:
            limit = f"A socket carries at most {OPERATIONS_PER_SOCKET_MAX} operations."
            self._fail(operation_id, [errors.refused(limit, "TOO_MANY_OPERATIONS")])
            return
        self._operations[operation_id] = asyncio.create_task(self._operate(operation_id, payload, self._caller))

    async def _operate(self, operation_id: str, payload: dict[str, Any], caller: Caller) -> None:
        task = asyncio.current_task()
        try:
            operation = self._engine.operation(from_parameters(payload, self._gate.documents))
            if operation.kind is OperationType.SUBSCRIPTION:
                await self._follow(operation_id, operation, caller)
                return
            prepared = self._engine.prepare(operation, caller.languages)
            charge = self._charge(caller, prepared.cost)
            answer = await self._executed(prepared, replace(caller, charge=charge))
            if self.put(_next(operation_id, answer.json(cost_json(charge, prepared.cost)))):
                self.put(_message("complete", operation_id))
        except BadRequest as error:
            self.end(Closing(BAD_MESSAGE, error.message[:120]))
        except RequestRefused as refused:
            self._fail(operation_id, refused.errors)
        except Exception as error:
            self._fail(operation_id, [errors.formatted(error)])
        finally:
            if self._operations.get(operation_id) is task:
                del self._operations[operation_id]

    async def _executed(self, prepared: Prepared, caller: Caller) -> Answer:
        """Return the answer; what was asked to be written is written, whoever waits for it."""
        running = self._engine.execute(prepared, caller)
        if prepared.operation.kind is not OperationType.MUTATION:
            return await running
        return await asyncio.shield(self._endpoint.finishing(running))

    async def _follow(self, operation_id: str, operation: Operation, caller: Caller) -> None:
        self._charge(caller, self._engine.follow_cost(operation))  # what is too costly is not worth compiling
        plan, asking = self._engine.follow(operation, caller)
        head = b'{"id":%b,"type":"next","payload":{"data":' % orjson.dumps(operation_id)

        def tell(event: Event) -> bool:
            return self.put(b"%b%b}}" % (head, event.data))

        async with self._endpoint.following.follow(plan, asking, tell, self.room) as lost:
            await lost  # or until the client completes or the socket closes

    def _charge(self, caller: Caller, cost: int) -> Charge:
        return self._gate.charge(self._peer, self._headers, caller.viewer, cost)

    def _fail(self, operation_id: str, found: list[errors.Formatted]) -> None:
        self.put(_message("error", operation_id, found))


def _parsed(message: MutableMapping[str, Any]) -> dict[str, Any]:
    text = message.get("text")
    if text is None:
        raise Closing(BAD_MESSAGE, "Messages are text")
    if len(text) > MESSAGE_CHARS_MAX:
        raise Closing(BAD_MESSAGE, "The message is too long")
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError:
        raise Closing(BAD_MESSAGE, "The message is not JSON") from None
    if not isinstance(parsed, dict):
        raise Closing(BAD_MESSAGE, "The message is no object")
    return parsed


def _operation_id(message: dict[str, Any]) -> str:
    operation_id = message.get("id")
    if not isinstance(operation_id, str) or not 0 < len(operation_id) <= OPERATION_ID_CHARS_MAX:
        raise Closing(BAD_MESSAGE, "The message lacks an id")
    return operation_id


def _message(kind: str, operation_id: str, payload: Any = None) -> bytes:
    message = {"id": operation_id, "type": kind}
    return orjson.dumps(message if payload is None else {**message, "payload": payload})


def _next(operation_id: str, payload: bytes) -> bytes:
    return b'{"id":%b,"type":"next","payload":%b}' % (orjson.dumps(operation_id), payload)


def _close(closing: Closing) -> dict[str, Any]:
    return {"type": "websocket.close", "code": closing.code, "reason": closing.reason}
