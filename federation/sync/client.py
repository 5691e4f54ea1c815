"""Ask one peer: its heads, its logs, its news. Shell; the only place that speaks HTTP to other nodes.

It decides what a peer may cost: how long it may take, how many bytes it may
send and how slowly. It follows no redirect, sends no credentials but its
signature, and connects to nothing but what `outbound` permits for this peer.
It believes nothing it hears: what it returns goes through `sections` and
`verify`.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass
from typing import ClassVar, Self
from urllib.parse import urlsplit

import httpx

from domain.errors import GotongError
from federation.log.evidence import EVIDENCE_BYTES_MAX
from federation.log.merkle import HASH_BYTES
from federation.log.tiles import TILE_WIDTH, TileId, tile_path
from federation.log.verify import BATCH_BYTES_MAX
from federation.requests.addresses import PUBLIC, Reach
from federation.requests.outbound import OutboundTransport
from federation.requests.refusal import Refusal, read_refusal
from federation.requests.signer import Sender, Signer
from federation.sync.directory import DIRECTORY_BYTES_MAX, Listing, read_directory
from federation.sync.frames import Decoder, Frame
from federation.sync.inflate import Inflater
from federation.sync.interest import Interest, parameters
from federation.sync.messages import (
    HEADS_BYTES_MAX,
    PULL_BYTES_MAX,
    Heads,
    OfferedEvidence,
    Pull,
    read_evidence,
    read_heads,
    write_pull,
)
from federation.sync.news import News, read_news, split_events
from federation.sync.sections import DID_BYTES_MAX

URL_CHARS_MAX = 512
NEWS_BUFFER_BYTES_MAX = 64 * 1024
PULL_SLACK_BYTES = DID_BYTES_MAX + BATCH_BYTES_MAX
CODING_SLACK_BYTES = 64 * 1024
"""By how much an encoded answer may be longer than what it says; gzip adds a few bytes to each piece."""
"""How far a pull response may go beyond the bytes asked for: it ends with a whole batch."""
COSIGNATURES_BYTES_MAX = 16 * 1024
EVIDENCE_LIST_BYTES_MAX = 128 * 1024
FRAMES_TYPE = "application/vnd.gotong.frames"


class PeerUrlInvalid(GotongError):
    """A peer's address is http(s)://host[:port][/path] without credentials, query or fragment."""

    code: ClassVar[str] = "PEER_URL_INVALID"


class PeerUnreachable(GotongError):
    """The peer does not answer, or the connection was cut."""

    code: ClassVar[str] = "PEER_UNREACHABLE"


class PeerTimeout(GotongError):
    """The peer took too long, or sends too slowly."""

    code: ClassVar[str] = "PEER_TIMEOUT"


class PeerProtocolError(GotongError):
    """The peer's answer is not one of this protocol: a status, a content type, a redirect."""

    code: ClassVar[str] = "PEER_PROTOCOL_ERROR"


class PeerTooMuch(GotongError):
    """The peer sends more bytes than were asked for."""

    code: ClassVar[str] = "PEER_TOO_MUCH"


class PeerBusy(GotongError):
    """The peer asks to be left alone for a while; `retry_after_s` says how long."""

    code: ClassVar[str] = "PEER_BUSY"


class PeerWitnessesOther(GotongError):
    """The peer cosigned another size of the log than it was shown a proof from; `size` says which."""

    code: ClassVar[str] = "PEER_WITNESSES_OTHER"

    def __init__(self, message: str, *, size: int) -> None:
        super().__init__(message, size=size)
        self.size = size


class LogUnknownThere(GotongError):
    """The peer does not know the log that it was asked to cosign."""

    code: ClassVar[str] = "LOG_UNKNOWN_THERE"


@dataclass(frozen=True, slots=True)
class Limits:
    """What a peer may cost. A body may take `grace_s` plus the time its bytes need at `rate_bytes_per_s_min`."""

    connect_s: float = 10.0
    read_s: float = 20.0
    grace_s: float = 30.0
    rate_bytes_per_s_min: int = 2_048
    silence_s: float = 45.0
    heads_bytes_max: int = HEADS_BYTES_MAX
    pull_bytes_max: int = PULL_BYTES_MAX


DEFAULT_LIMITS = Limits()
RETRY_AFTER_S_DEFAULT = 30
RETRY_AFTER_S_MAX = 3_600


def checked_url(url: str) -> str:
    """Return a peer's address without a final slash, or raise PeerUrlInvalid; where it leads is not looked at."""
    text = url.strip().rstrip("/")
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or len(text) > URL_CHARS_MAX or not text.isascii() or any(each in text for each in " \\?#@"):
        raise PeerUrlInvalid("a peer's address is http(s)://host[:port][/path], without a user, query or fragment")
    if any(not each.isprintable() for each in text):
        raise PeerUrlInvalid("a peer's address holds no control characters")
    return text


class PeerClient:
    """A client for one peer; an async context manager. Raises the Peer errors above and those of what it decodes.

    With a `signer` it signs what it sends. `skew_ms` is how far our clock is ahead of the peer's, as far as is known;
    the peer may correct it.
    """

    def __init__(
        self,
        url: str,
        *,
        limits: Limits = DEFAULT_LIMITS,
        reach: Reach = PUBLIC,
        signer: Signer | None = None,
        skew_ms: int = 0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base = f"{checked_url(url)}/federation/v1"
        self._limits = limits
        self._http = httpx.AsyncClient(
            timeout=httpx.Timeout(limits.read_s, connect=limits.connect_s),
            headers={"accept-encoding": "gzip", "user-agent": "gotong"},
            follow_redirects=False,
            trust_env=False,  # no proxy or credentials that the operator did not give for this peer
            transport=transport or OutboundTransport(reach),
        )
        self._sender = Sender(self._http, signer, skew_ms)

    @property
    def skew_ms(self) -> int:
        """How far our clock is ahead of the peer's, as it said last."""
        return self._sender.skew_ms

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def heads(self, since: str | None = None, interest: Interest | None = None) -> Heads:
        """Return what the peer holds, or what changed since its own hint; raises HeadsMalformed.

        With an `interest`, as far as it lies in that, as the peer says.
        """
        asked = parameters(interest) | ({} if since is None else {"since": since})
        request = self._http.build_request("GET", f"{self._base}/heads", params=asked)
        body = bytearray()
        async with self._answer(request, "application/json") as response:
            async for piece in self._pieces(response, self._limits.heads_bytes_max):
                body += piece
        return read_heads(bytes(body))

    async def read(self, path: str, params: dict[str, str], *, answer_type: str, bytes_max: int) -> bytes:
        """Return what a GET under /federation/v1 answers; raises PeerProtocolError when the peer does not have it."""
        request = self._http.build_request("GET", f"{self._base}/{path}", params=params)
        body = bytearray()
        async with self._answer(request, answer_type) as response:
            async for piece in self._pieces(response, bytes_max):
                body += piece
        return bytes(body)

    async def directory(self, region: str) -> list[Listing]:
        """Return the nodes that the peer names for a region; raises DirectoryMalformed."""
        request = self._http.build_request("GET", f"{self._base}/directory", params={"region": region})
        body = bytearray()
        async with self._answer(request, "application/json") as response:
            async for piece in self._pieces(response, DIRECTORY_BYTES_MAX):
                body += piece
        return read_directory(bytes(body))

    async def post(self, path: str, content: bytes, *, content_type: str, answer_type: str, bytes_max: int) -> bytes:
        """Return the answer to a POST under /federation/v1 that is never sent unsigned, for what strangers do not get.

        Raises PeerProtocolError, whose detail `cause` is the peer's own code if it gave one.
        """
        request = self._http.build_request(
            "POST", f"{self._base}/{path}", content=content, headers={"content-type": content_type}
        )
        body = bytearray()
        async with self._answer(request, answer_type, is_public=False) as response:
            async for piece in self._pieces(response, bytes_max):
                body += piece
        return bytes(body)

    async def get(self, path: str, *, headers: dict[str, str], answer_type: str, bytes_max: int) -> bytes:
        """Return the answer to a GET under /federation/v1 that needs no signature; raises as `post` does."""
        request = self._http.build_request("GET", f"{self._base}/{path}", headers=headers)
        body = bytearray()
        async with self._answer(request, answer_type) as response:
            async for piece in self._pieces(response, bytes_max):
                body += piece
        return bytes(body)

    async def pull(self, pull: Pull) -> AsyncGenerator[list[Frame], None]:
        """Yield the frames of the answer as they come; raises what `frames.Decoder` raises."""
        request = self._http.build_request(
            "POST", f"{self._base}/pull", content=write_pull(pull), headers={"content-type": "application/json"}
        )
        decoder = Decoder()
        bytes_max = min(pull.bytes_max, self._limits.pull_bytes_max) + PULL_SLACK_BYTES
        async with (
            self._answer(request, FRAMES_TYPE) as response,
            contextlib.aclosing(self._pieces(response, bytes_max)) as pieces,
        ):
            async for piece in pieces:
                if frames := decoder.feed(piece):
                    yield frames
        decoder.finish()

    async def news(self, last_event_id: str | None = None) -> AsyncGenerator[News, None]:
        """Yield whenever the peer says that logs have grown: which, and the id to resume from, if it gave one.

        The first one names none and comes when the connection stands. Ends or raises when the peer goes away or falls
        silent.
        """
        headers = {"accept": "text/event-stream", "accept-encoding": "identity"}
        if last_event_id is not None:
            headers["last-event-id"] = last_event_id
        timeout = httpx.Timeout(self._limits.silence_s, connect=self._limits.connect_s)
        request = self._http.build_request("GET", f"{self._base}/stream", headers=headers, timeout=timeout)
        async with self._answer(request, "text/event-stream") as response:
            yield News(unnamed=True)
            rest = b""
            with _peer_errors():
                async for data in response.aiter_raw():
                    events, rest = split_events(rest + data)
                    if len(rest) > NEWS_BUFFER_BYTES_MAX:
                        raise PeerTooMuch("an event without an end", bytes_max=NEWS_BUFFER_BYTES_MAX)
                    news = read_news(events)
                    if news is not None:
                        yield news

    async def tile(self, scid: str, epoch: int, tile: TileId) -> bytes:
        """Return a Merkle tile of a log as the peer holds it; nothing of it is verified."""
        path = f"log/{scid}/{epoch}/{tile_path(tile)}"
        return await self._read(path, "application/octet-stream", TILE_WIDTH * HASH_BYTES)

    async def did_log(self, scid: str) -> bytes:
        """Return a participant's `did.jsonl` as the peer holds it; nothing of it is verified."""
        return await self._read(f"did/{scid}/did.jsonl", "text/jsonl", DID_BYTES_MAX)

    async def evidence_after(self, number: int) -> list[OfferedEvidence]:
        """Return what evidence the peer has beyond its own number; raises EvidenceListMalformed."""
        return read_evidence(await self._read(f"evidence?after={number}", "application/json", EVIDENCE_LIST_BYTES_MAX))

    async def evidence(self, id_: str) -> bytes:
        """Return one piece of evidence; nothing of it is verified."""
        return await self._read(f"evidence/{id_}", "application/json", EVIDENCE_BYTES_MAX)

    async def _read(self, path: str, content_type: str, bytes_max: int) -> bytes:
        request = self._http.build_request("GET", f"{self._base}/{path}")
        async with self._answer(request, content_type) as response:
            return b"".join([piece async for piece in self._pieces(response, bytes_max)])

    async def add_checkpoint(self, body: bytes) -> bytes:
        """Return the signature lines that a witness answers, unverified; raises PeerWitnessesOther, LogUnknownThere."""
        request = self._http.build_request(
            "POST", f"{self._base}/add-checkpoint", content=body, headers={"content-type": "text/plain; charset=utf-8"}
        )
        with _peer_errors():
            async with asyncio.timeout(self._limits.grace_s):
                response = await self._http.send(request, stream=True)
        try:
            answer = b"".join([piece async for piece in self._pieces(response, COSIGNATURES_BYTES_MAX)])
        finally:
            with contextlib.suppress(httpx.HTTPError):
                await response.aclose()
        if response.status_code == httpx.codes.CONFLICT:
            text = answer.decode("ascii", "replace").removesuffix("\n")
            if not (text.isascii() and text.isdecimal() and len(text) <= 16):
                raise PeerProtocolError("a witness at another size says which")
            raise PeerWitnessesOther("the witness cosigned another size last", size=int(text))
        if response.status_code == httpx.codes.NOT_FOUND:
            raise LogUnknownThere("the peer does not know that log, or witnesses nothing")
        _check_status(response)
        return answer

    @contextlib.asynccontextmanager
    async def _answer(
        self, request: httpx.Request, content_type: str, *, is_public: bool = True
    ) -> AsyncIterator[httpx.Response]:
        """Yield the response, its body unread, if it is a 200 of that type; else raise for what it is."""
        with _peer_errors():
            async with asyncio.timeout(self._limits.grace_s):
                response, refusal = await self._sender.send(request, is_public=is_public)
                if refusal is None and httpx.codes.is_client_error(response.status_code):
                    refusal = await read_refusal(response)
        try:
            _check_status(response, refusal)
            found = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if found != content_type:
                raise PeerProtocolError("not the content type asked for", expected=content_type, found=found[:64])
            yield response
        finally:
            with contextlib.suppress(httpx.HTTPError):
                await response.aclose()

    async def _pieces(self, response: httpx.Response, bytes_max: int) -> AsyncGenerator[bytes, None]:
        """Yield the body decoded, in bounded pieces, within the limits of size and time."""
        inflater = Inflater(response.headers.get("content-encoding", ""))
        left_bytes = bytes_max
        raw = response.aiter_raw()
        waited_s = 0.0
        received_bytes = 0
        clock = asyncio.get_running_loop().time
        while True:
            allowed_s = self._limits.grace_s + received_bytes / self._limits.rate_bytes_per_s_min - waited_s
            began_s = clock()
            with _peer_errors():
                async with asyncio.timeout(max(0.0, allowed_s)):
                    data = await anext(raw, None)
            waited_s += clock() - began_s  # time spent waiting for the peer, not time we took ourselves
            if data is None:
                break
            received_bytes += len(data)
            if received_bytes > bytes_max + CODING_SLACK_BYTES:  # encoded nothing comes for ever, too
                raise PeerTooMuch("the answer is longer than was asked for", bytes_max=bytes_max)
            for piece in inflater.feed(data):
                left_bytes -= len(piece)
                if left_bytes < 0:
                    raise PeerTooMuch("the answer is longer than was asked for", bytes_max=bytes_max)
                yield piece
                await asyncio.sleep(0)  # a little that came can stand for much: others have their turn in between
        inflater.finish()


def _check_status(response: httpx.Response, refusal: Refusal | None = None) -> None:
    status = response.status_code
    if status == httpx.codes.OK:
        return
    if status in (httpx.codes.SERVICE_UNAVAILABLE, httpx.codes.TOO_MANY_REQUESTS):
        raise PeerBusy("the peer is busy", status=status, retry_after_s=_retry_after_s(response))
    if response.is_redirect:
        raise PeerProtocolError("redirects are not followed", status=status)
    cause = refusal.code if refusal and refusal.code else None
    raise PeerProtocolError("the peer answers with an error", status=status, **({"cause": cause} if cause else {}))


def _retry_after_s(response: httpx.Response) -> int:
    text = response.headers.get("retry-after", "")
    seconds = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else RETRY_AFTER_S_DEFAULT
    return min(seconds, RETRY_AFTER_S_MAX)


@contextlib.contextmanager
def _peer_errors() -> Iterator[None]:
    """Call what the HTTP client raises by its name here."""
    try:
        yield
    except (httpx.TimeoutException, TimeoutError) as error:
        raise PeerTimeout("the peer takes too long", reason=type(error).__name__) from error
    except httpx.DecodingError as error:
        raise PeerProtocolError("the answer cannot be decoded") from error
    except httpx.HTTPError as error:
        raise PeerUnreachable("the peer cannot be reached", reason=type(error).__name__) from error
    except (OSError, httpx.InvalidURL) as error:
        raise PeerUnreachable("the peer cannot be reached", reason=type(error).__name__) from error
