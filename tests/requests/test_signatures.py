"""Signatures beside what others make of the same standard: the RFC's own example, and another implementation."""

import base64
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import (  # type: ignore[attr-defined, unused-ignore]
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)

from federation.encoding.multikey import multihash_text
from federation.requests import signatures
from federation.requests.signatures import Parameters, SignatureMalformed
from federation.requests.signer import message_of

KEY = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU="))
"""The RFC's test-key-ed25519."""
KEY_ID = f"did:webvh:{multihash_text(b'interop')}:lumbung.example.org:o:pengurus#request-0"
URL = "https://desa.example.org/federation/v1/pull?x=%2F"
BODY = b'{"logs":[]}'


class Ring(HTTPSignatureKeyResolver):
    """Gives the one key there is."""

    def resolve_public_key(self, key_id: str) -> object:
        return KEY.public_key()

    def resolve_private_key(self, key_id: str) -> object:
        return KEY


def test_the_example_of_the_rfc_is_signed_as_printed() -> None:
    """RFC 9421, appendix B.2.6: its list of components is not ours, its base and its signature are."""
    parameters = (
        '("date" "@method" "@path" "@authority" "content-type" "content-length")'
        ';created=1618884473;keyid="test-key-ed25519"'
    )
    values = [
        ("date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("@method", "POST"),
        ("@path", "/foo"),
        ("@authority", "example.com"),
        ("content-type", "application/json"),
        ("content-length", "18"),
    ]
    printed = "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
    assert base64.b64encode(KEY.sign(signatures.signature_base(values, parameters))).decode() == printed


def test_the_example_of_the_digest_rfc_is_hashed_as_printed() -> None:
    """RFC 9530, appendix B.1."""
    printed = "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    assert signatures.content_digest(b'{"hello": "world"}\n') == printed


def test_another_implementation_accepts_what_we_sign() -> None:
    now = datetime.now(UTC)
    request = httpx.Request("POST", URL, content=BODY, headers={"content-type": "application/json"})
    request.headers["content-digest"] = signatures.content_digest(BODY)
    created = int(now.timestamp())
    message = message_of(request)
    request.headers.update(signatures.sign(message, Parameters(created, created + 60, "n" * 20, KEY_ID), KEY))
    verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ED25519, key_resolver=Ring())
    (found,) = verifier.verify(View(request), expect_tag="gotong", body=BODY)
    assert list(found.covered_components)[:-1] == [f'"{name}"' for name in signatures.COVERED_OF_BODY]
    assert found.body == BODY


def test_what_another_implementation_signs_is_accepted() -> None:
    now = datetime.now(UTC)
    request = httpx.Request("POST", URL, content=BODY, headers={"content-type": "application/json"})
    request.headers["content-digest"] = signatures.content_digest(BODY)
    signer = HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=Ring())
    signer.sign(
        View(request),
        key_id=KEY_ID,
        created=now,
        expires=now + timedelta(seconds=60),
        nonce="n" * 20,
        tag="gotong",
        covered_component_ids=signatures.COVERED_OF_BODY,
        use_existing_digest=True,
        body=BODY,
    )
    message = message_of(request)
    signed = signatures.read(message, request.headers["signature-input"], request.headers["signature"])
    assert signed is not None
    signatures.check_window(signed, now)
    signatures.check_signature(signed, KEY.public_key().public_bytes_raw())
    signatures.check_digest(signed, BODY)


def test_a_value_cannot_add_a_line_of_its_own() -> None:
    with pytest.raises(SignatureMalformed):
        signatures.signature_base([("content-type", 'a\n"@method": GET')], "()")
    with pytest.raises(SignatureMalformed):
        signatures.signature_base([("@path", "/\xe9")], "()")


@pytest.mark.parametrize(
    ("url", "authority"),
    [
        ("https://Desa.Example.org", "desa.example.org"),
        ("https://desa.example.org:443", "desa.example.org"),
        ("http://desa.example.org:443", "desa.example.org:443"),
        ("http://127.0.0.1:8080", "127.0.0.1:8080"),
        ("http://[FD00::1]:80", "[fd00::1]"),
    ],
)
def test_our_own_name_is_spelled_as_a_client_spells_it(url: str, authority: str) -> None:
    assert signatures.authority_of(url) == authority
    assert message_of(httpx.Request("GET", url)).authority == authority


class View:
    """A request as the other implementation looks at one."""

    def __init__(self, request: httpx.Request) -> None:
        self.method = request.method
        self.url = str(request.url)
        self.headers = request.headers
