"""Connections go to the address that was checked: real sockets, names that lie, certificates that count."""

import asyncio
import contextlib
import datetime
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from federation.requests.addresses import PUBLIC, TEST, Address, PeerAddressPrivate, PeerAddressRefused
from federation.requests.outbound import ADDRESSES_KEPT_S, OutboundTransport, check
from federation.sync.client import PeerClient, PeerProtocolError, PeerUnreachable
from tests.sockets import http_client

Handler = Callable[[bytes], bytes]


class Names:
    """A resolver that gives its answers one after the other, the last one for ever."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def __call__(self, host: str) -> list[Address]:
        self.asked += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return [ip_address(each) for each in answer]


@contextlib.asynccontextmanager
async def listening(
    handler: Handler, host: str = "127.0.0.1", context: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Yield the port of a server that answers each request's head with what `handler` makes of it, and the heads."""
    heads: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(handler(heads[-1]))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, host, 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1], heads


def ok(_head: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"


async def fetched(transport: OutboundTransport, url: str) -> str:
    async with http_client(transport=transport) as http:
        return (await http.get(url)).text


async def test_a_name_is_asked_once_and_the_checked_address_connected_to() -> None:
    """DNS rebinding: the first answer is good, the second leads elsewhere; nobody asks a second time."""
    names = Names(["127.0.0.1"], ["169.254.169.254"])
    async with listening(ok) as (port, heads):
        assert await fetched(OutboundTransport(TEST, resolve=names), f"http://desa.example.org:{port}/x") == "ok"
    assert names.asked == 1
    assert f"Host: desa.example.org:{port}".lower().encode() in heads[0].lower()


async def test_a_name_that_leads_inside_is_not_connected_to() -> None:
    async with listening(ok) as (port, heads):
        with pytest.raises(PeerAddressPrivate):
            await fetched(OutboundTransport(PUBLIC, resolve=Names(["127.0.0.1"])), f"http://desa.example.org:{port}/")
        with pytest.raises(PeerAddressPrivate):
            await fetched(OutboundTransport(PUBLIC), f"http://[::ffff:127.0.0.1]:{port}/")
        with pytest.raises(PeerAddressPrivate):
            await fetched(OutboundTransport(PUBLIC), f"http://2130706433:{port}/")
        with pytest.raises(PeerAddressRefused):
            await fetched(
                OutboundTransport(TEST, resolve=Names(["169.254.169.254"])), f"http://desa.example.org:{port}/"
            )
    assert heads == []


async def test_a_kept_answer_is_checked_again_when_it_is_old(monkeypatch: pytest.MonkeyPatch) -> None:
    names = Names(["127.0.0.1"], ["10.0.0.1"])
    transport = OutboundTransport(TEST, resolve=names)
    async with listening(ok) as (port, _), http_client(transport=transport) as http:
        url = f"http://desa.example.org:{port}/"
        assert (await http.get(url)).text == "ok"
        loop = asyncio.get_running_loop()
        later_s = loop.time() + ADDRESSES_KEPT_S + 1
        transport._known = {host: (until_s - later_s, found) for host, (until_s, found) in transport._known.items()}
        with pytest.raises(PeerAddressPrivate):
            await http.get(url)


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async with listening(ok) as (port, _):
        names = Names(["127.0.0.2", "127.0.0.1"])
        assert await fetched(OutboundTransport(TEST, resolve=names), f"http://desa.example.org:{port}/") == "ok"


async def test_a_name_without_an_address_is_a_peer_that_is_down() -> None:
    async def nobody(_host: str) -> list[Address]:
        raise OSError("no such name")

    for resolve in (Names([]), nobody):
        async with PeerClient("http://desa.example.org", transport=OutboundTransport(TEST, resolve=resolve)) as client:
            with pytest.raises(PeerUnreachable):
                await client.heads()


async def test_adding_a_peer_inside_needs_the_operators_word() -> None:
    with pytest.raises(PeerAddressPrivate):
        await check("http://127.0.0.1:8080", PUBLIC)
    await check("http://127.0.0.1:8080", TEST)
    with pytest.raises(PeerAddressRefused):
        await check("http://169.254.169.254", TEST)
    await check("http://nobody.invalid", PUBLIC)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", PeerProtocolError),
        (b"HTTP/1.1 307 Temporary\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n", PeerProtocolError),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 1_000_000 + b"\r\n\r\n", PeerUnreachable),
        (b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000 + b"\r\n", PeerUnreachable),
        (b"HTTP/1.1 401 No\r\ncontent-length: 9999999\r\n\r\n" + b"[" * 100_000, PeerProtocolError),
        (b'HTTP/1.1 401 No\r\ncontent-length: 13\r\n\r\n{"code": null', PeerProtocolError),
    ],
    ids=["redirect", "redirect to itself", "a huge header", "many headers", "an endless refusal", "half a refusal"],
)
async def test_an_answer_that_is_none_is_refused_within_bounds(answer: bytes, error: type[Exception]) -> None:
    async with (
        listening(lambda _head: answer) as (port, heads),
        PeerClient(f"http://127.0.0.1:{port}", reach=TEST) as client,
    ):
        with pytest.raises(error):
            await client.heads()
    assert len(heads) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[[str], Awaitable[tuple[ssl.SSLContext, ssl.SSLContext]]]:
    """Call it with a host name for a server's context and that of a client which trusts its certificate."""

    async def make(name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .sign(key, hashes.SHA256())
        )
        file = tmp_path / "both.pem"
        pem = made.public_bytes(serialization.Encoding.PEM)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file.write_bytes(private + pem)
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(file)
        return server, ssl.create_default_context(cadata=pem.decode())

    return make


async def test_a_certificate_is_checked_for_the_name_and_not_for_the_address(
    certificate: Callable[[str], Awaitable[tuple[ssl.SSLContext, ssl.SSLContext]]],
) -> None:
    server, trusting = await certificate("desa.example.org")
    async with listening(ok, context=server) as (port, _):
        names = Names(["127.0.0.1"])
        transport = OutboundTransport(TEST, resolve=names, verify=trusting)
        assert await fetched(transport, f"https://desa.example.org:{port}/") == "ok"
        for other in ("lain.example.org", "127.0.0.1"):
            transport = OutboundTransport(TEST, resolve=names, verify=trusting)
            with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
                await fetched(transport, f"https://{other}:{port}/")


@pytest.mark.parametrize("host", ["a..example.org", "a" * 64 + ".example.org"])
async def test_what_is_no_name_of_a_host_leads_nowhere(host: str) -> None:
    """Anybody's identity can state such an address."""
    async with PeerClient(f"http://{host}") as client:
        with pytest.raises(PeerUnreachable):
            await client.heads()
