"""Which addresses a peer may have, and what those that hide one lead to."""

from ipaddress import ip_address

import pytest

from federation.requests.addresses import (
    PRIVATE,
    PUBLIC,
    TEST,
    Kind,
    PeerAddressPrivate,
    PeerAddressRefused,
    kind_of,
    permitted,
    reach_of,
)

KINDS = {
    Kind.PUBLIC: ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1"],
    Kind.LOOPBACK: ["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "64:ff9b::127.0.0.1", "2002:7f00:1::"],
    Kind.PRIVATE: [
        *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.64.0.1", "198.18.0.1", "192.0.2.1", "fd00::1", "fec0::1"),
        *("::ffff:10.0.0.1", "64:ff9b::10.0.0.1", "2002:c0a8:101::", "2001:db8::1"),
    ],
    Kind.NEVER: [
        *("0.0.0.0", "::", "169.254.169.254", "fe80::1", "224.0.0.1", "ff02::1", "255.255.255.255", "240.0.0.1"),
        *("100.100.100.200", "192.0.0.192", "fd00:ec2::254", "::ffff:169.254.169.254", "64:ff9b::169.254.169.254"),
        *("2002:a9fe:a9fe::", "2001:0:5ef5:79fd::1", "64:ff9b:1::1", "::7f00:1", "::ffff:0.0.0.0", "0.1.2.3"),
    ],
}


@pytest.mark.parametrize(("text", "kind"), [(text, kind) for kind, texts in KINDS.items() for text in texts])
def test_an_address_is_what_it_leads_to(text: str, kind: Kind) -> None:
    assert kind_of(ip_address(text)) is kind


@pytest.mark.parametrize(
    ("network", "private", "reach"),
    [("live", False, PUBLIC), ("live", True, PRIVATE), ("test", False, TEST), ("test", True, PRIVATE)],
)
def test_the_operators_word_and_the_network_say_where_a_peer_may_be(network: str, private: bool, reach: object) -> None:
    assert reach_of(network, private=private) == reach


def test_a_name_with_good_and_bad_addresses_has_the_good_ones() -> None:
    mixed = [ip_address(each) for each in ("169.254.169.254", "8.8.8.8", "10.0.0.1", "2606:2800::1")]
    assert permitted("desa.example.org", mixed, PUBLIC) == [mixed[1], mixed[3]]
    assert permitted("desa.example.org", mixed, PRIVATE) == mixed[1:]
    assert permitted("desa.example.org", [], PUBLIC) == []


def test_a_refusal_says_whether_the_operator_could_allow_it() -> None:
    with pytest.raises(PeerAddressPrivate):
        permitted("desa.lan", [ip_address("192.168.1.1"), ip_address("169.254.1.1")], PUBLIC)
    with pytest.raises(PeerAddressPrivate):
        permitted("localhost", [ip_address("127.0.0.1")], PUBLIC)
    with pytest.raises(PeerAddressRefused):
        permitted("metadata", [ip_address("169.254.169.254")], PRIVATE)
