"""Decide which network addresses this node may connect to on a peer's behalf. Pure.

A peer's address is a name that others can point wherever they like, also at this machine and its neighbours. What is
reached through a translation (IPv4 in IPv6, NAT64, 6to4) is judged as what it leads to.

Rules, with the error that answers each:
- V2.1 nothing connects to an address that names no single host of a network a peer can live on: unspecified,
  link-local (where clouds keep their metadata), multicast, reserved, or a cloud's metadata service elsewhere:
  PEER_ADDRESS_REFUSED.
- V2.2 private and loopback addresses are for peers whose operator here said so; on the network `test` loopback is for
  all: PEER_ADDRESS_PRIVATE.
"""

from collections.abc import Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import ClassVar, Final

from domain.errors import GotongError

Address = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_THIS_NETWORK = IPv4Network("0.0.0.0/8")
_HIDING: Final = tuple(map(IPv6Network, ("2001::/32", "64:ff9b:1::/48", "::/96")))
"""Teredo, NAT64 of a network's own, IPv4-compatible: they lead to an IPv4 address that is not to be read off them."""
_METADATA: Final = frozenset(map(ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254")))
"""Metadata services that are not link-local: Alibaba's, Oracle's, Amazon's by IPv6."""


class PeerAddressRefused(GotongError):
    """A peer's name leads to an address that no peer can have: link-local, multicast, a metadata service."""

    code: ClassVar[str] = "PEER_ADDRESS_REFUSED"


class PeerAddressPrivate(GotongError):
    """A peer's name leads into a private network or to this machine; `--private` when adding it allows that."""

    code: ClassVar[str] = "PEER_ADDRESS_PRIVATE"


class Kind(Enum):
    """What an address is to somebody who was talked into connecting to it."""

    PUBLIC = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    NEVER = "never"


Reach = frozenset[Kind]
PUBLIC: Final[Reach] = frozenset({Kind.PUBLIC})
PRIVATE: Final[Reach] = frozenset({Kind.PUBLIC, Kind.PRIVATE, Kind.LOOPBACK})
TEST: Final[Reach] = frozenset({Kind.PUBLIC, Kind.LOOPBACK})


def reach_of(network: str, *, private: bool) -> Reach:
    """Return where a peer may be, by this node's network and by what its operator said of the peer."""
    if private:
        return PRIVATE
    return TEST if network == "test" else PUBLIC


def permitted(host: str, addresses: Sequence[Address], reach: Reach) -> list[Address]:
    """Return those of a name's addresses that may be connected to, in their order.

    Raises PeerAddressPrivate or PeerAddressRefused when it has addresses and none of them may.
    """
    kinds = [kind_of(address) for address in addresses]
    found = [address for address, kind in zip(addresses, kinds, strict=True) if kind in reach]
    if addresses and not found:
        if {Kind.PRIVATE, Kind.LOOPBACK} & set(kinds):
            raise PeerAddressPrivate(
                "the peer's name leads into a private network; if it is yours: --private", host=host[:256]
            )
        raise PeerAddressRefused("the peer's name leads to an address that no peer can have", host=host[:256])
    return found


def kind_of(address: Address) -> Kind:
    """Return what an address is, or what it leads to."""
    if isinstance(address, IPv6Address):
        inner = _inner(address)
        if inner is not None:
            return kind_of(inner)
        if not address.is_loopback and any(address in network for network in _HIDING):
            return Kind.NEVER
    if address.is_loopback:
        return Kind.LOOPBACK
    if address.is_unspecified or address.is_link_local or address.is_multicast or address in _METADATA:
        return Kind.NEVER
    if isinstance(address, IPv4Address):
        if address.is_reserved or address in _THIS_NETWORK:
            return Kind.NEVER
        return Kind.PUBLIC if address.is_global else Kind.PRIVATE
    return Kind.PUBLIC if address.is_global and address in _GLOBAL_UNICAST else Kind.PRIVATE


def _inner(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that an IPv6 address is a way to, or None."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return None
