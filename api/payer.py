"""Decide whose budget a request is paid from, without an account: the address, and what the client says of itself.

Hundreds of phones can share one address behind a carrier's NAT, and nothing
in a request tells them apart that cannot be made up. So a name a client gives
itself only divides what its address has; it never adds to it (docs/adr/0014).
"""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from auth.tokens import Viewer
from schema.context import UNMETERED

ADDRESS_CLIENTS = 50  # an address may spend as much as this many clients
CROWD_CLIENTS = 25  # those of an address that look alike may spend as much as this many
CLIENT_CHARS_MAX = 64
FORWARDED_BYTES_MAX = 2_048
FORWARDED_HOPS_MAX = 20
LOOKS_BYTES_MAX = 256
PAYERS_CACHED_MAX = 4_096
IPV6_PREFIX_BITS = 64  # what one customer has at the least

Networks = Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]


@dataclass(frozen=True, slots=True)
class Rates:
    """What callers may spend a minute: each client without a token, each holder of one."""

    anonymous_per_min: int
    token_per_min: int


class Payer(NamedTuple):
    """The buckets a request is paid from, each with what it holds when full; all of them must have enough."""

    buckets: tuple[tuple[str, int], ...]


class Payers:
    """Knows who pays. `trusted` are the proxies whose word about a client's address is taken."""

    def __init__(self, rates: Rates, trusted: Sequence[str]) -> None:
        self._rates = rates
        self._trusted = networks(trusted)
        self._anonymous = lru_cache(PAYERS_CACHED_MAX)(self._of_nobody)

    def payer(self, peer: str | None, headers: Mapping[bytes, bytes], viewer: Viewer | None) -> Payer:
        """Return who pays for a request of `peer`, the other side of the connection."""
        if viewer is not None:
            return Payer(((f"t {viewer.subject}", self._rates.token_per_min),))
        return self._anonymous(
            peer,
            headers.get(b"x-forwarded-for", b"")[-FORWARDED_BYTES_MAX:],
            headers.get(b"x-client-id", b""),
            headers.get(b"user-agent", b"")[:LOOKS_BYTES_MAX],
            headers.get(b"accept-language", b"")[:LOOKS_BYTES_MAX],
        )

    def _of_nobody(self, peer: str | None, forwarded: bytes, name: bytes, agent: bytes, language: bytes) -> Payer:
        address, is_local = client_address(peer, forwarded, self._trusted)
        if is_local:
            return Payer(((address, UNMETERED),))
        client_max = self._rates.anonymous_per_min
        if 0 < len(name) <= CLIENT_CHARS_MAX:
            own = (f"c {address} {name.decode('latin-1')}", client_max)
        else:
            own = (f"l {address} {hash((agent, language))}", client_max * CROWD_CLIENTS)
        return Payer((own, (f"a {address}", client_max * ADDRESS_CLIENTS)))


def client_address(peer: str | None, forwarded: bytes, trusted: Networks) -> tuple[str, bool]:
    """Return a client's address as a key, and whether it is this machine itself.

    `peer` is the other side of the connection, `forwarded` the X-Forwarded-For that counts if that is a trusted proxy.
    """
    address = _parsed(peer or "")
    if address is None:
        return "unknown", False
    hops = forwarded[-FORWARDED_BYTES_MAX:].decode("latin-1").split(",")[-FORWARDED_HOPS_MAX:] if forwarded else []
    while hops and any(address in network for network in trusted):
        further = _parsed(hops.pop().strip())
        if further is None:
            break
        address = further
    if address.version == 6:
        prefix = ipaddress.ip_network((address, IPV6_PREFIX_BITS), strict=False)
        return str(prefix.network_address), address.is_loopback
    return str(address), address.is_loopback


def networks(trusted: Sequence[str]) -> Networks:
    """Return trusted proxies, given as addresses or networks, to look addresses up in."""
    return [ipaddress.ip_network(network, strict=False) for network in trusted]


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address in `text`, an IPv4 one inside IPv6 as itself, or None."""
    text = text.removeprefix("[").partition("]")[0]
    if text.count(":") == 1:  # address:port
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address
