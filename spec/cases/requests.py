"""Cases of signed requests: one that holds, and each rule of V1 broken once."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from federation.encoding import base64text
from federation.encoding.multikey import multihash_text
from federation.log import entry
from federation.requests import signatures
from federation.requests.signatures import Message, Parameters
from spec.cases.keys import AT, Cases, private_key, public_key, refused, valid

NAME = "verify_request"
AUTHORITY = "desa.example.org"
PATH = "/federation/v1/pull"
BODY = '{"logs":[]}'
JSON = "application/json"
KEY_ID = f"did:webvh:{multihash_text(b'gotong vectors')}:lumbung.example.org:o:pengurus#request-0"
CREATED_S = 1_773_480_413
DIGEST = signatures.content_digest(BODY.encode())

Change = Callable[[str], str]


def cases() -> Cases:
    """Yield the cases of signatures.py."""
    yield valid(NAME, "post", "a pull", **asked())
    yield valid(NAME, "get", "without a body, with a query", **asked(method="GET", query="since=5e9c%3A48213"))
    yield valid(NAME, "get-without-query", "no query is a question mark", **asked(method="GET"))
    yield valid(NAME, "unsigned", "null: no signature at all", **unsigned())
    yield valid(NAME, "another-application", "null: only a label of another tag", **asked(other_tag))
    yield valid(NAME, "other-order", "parameters may come in any order", **reordered())
    spaced = changed('"@method" "@authority"', ' "@method"   "@authority" ')
    yield valid(NAME, "other-spacing", "what is signed is RFC 9651's one spelling", **asked(spaced))
    yield valid(NAME, "skew-allowed", "60 seconds either way", **asked(now_s=-60))
    yield valid(NAME, "late-but-in-time", "60 seconds after it expired", **asked(now_s=120))
    yield from _form()
    yield from _parameters()
    yield from _truth()


def asked(
    change: Change | None = None,
    *,
    method: str = "POST",
    query: str = "",
    lifetime_s: int = 60,
    created_s: int = CREATED_S,
    nonce: str = "nonceOfTwentyLetters",
    key_id: str = KEY_ID,
    signer: str = "request",
    now_s: float = 1,
    **headers: str,
) -> dict[str, Any]:
    """Return the input of a signed request, its Signature-Input changed afterwards."""
    is_post = method == "POST"
    message = Message(method, AUTHORITY, PATH, query, DIGEST if is_post else None, JSON if is_post else None)
    made = signatures.sign(message, Parameters(created_s, created_s + lifetime_s, nonce, key_id), private_key(signer))
    if change is not None:
        made["signature-input"] = change(made["signature-input"])
    if is_post:
        made |= {"content-digest": DIGEST, "content-type": JSON}
    made |= {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "authority": AUTHORITY,
        "request": {
            "method": method,
            "path": PATH,
            "query": query,
            "headers": dict(sorted(made.items())),
            "body": BODY if is_post else "",
        },
        "public_key": public_key("request").hex(),
        "now": entry.instant(AT.replace(microsecond=0) + timedelta(seconds=now_s)),
    }


def unsigned() -> dict[str, Any]:
    """Return a request without a signature."""
    given = asked()
    given["request"]["headers"] = {"content-type": JSON}
    return given


def reordered() -> dict[str, Any]:
    """Return a request whose signer wrote its parameters in another order."""
    given = asked(signer="request")
    covered = " ".join(f'"{name}"' for name in signatures.COVERED_OF_BODY)
    times = f"expires={CREATED_S + 60};created={CREATED_S}"
    stated = f';tag="gotong";alg="ed25519";nonce="nonceOfTwentyLetters";keyid="{KEY_ID}";{times}'
    values = [("@method", "POST"), ("@authority", AUTHORITY), ("@path", PATH), ("@query", "?")]
    values += [("content-digest", DIGEST), ("content-type", JSON)]
    signature = private_key("request").sign(signatures.signature_base(values, f"({covered}){stated}"))
    given["request"]["headers"]["signature-input"] = f"mine=({covered}){stated}"
    given["request"]["headers"]["signature"] = f"mine=:{base64text.encode(signature)}:"
    return given


def other_tag(text: str) -> str:
    """Return a Signature-Input of another application."""
    return text.replace('tag="gotong"', 'tag="web-bot-auth"')


def changed(before: str, after: str) -> Change:
    """Return a change of one text by another, which must be there."""

    def change(text: str) -> str:
        assert before in text, before
        return text.replace(before, after, 1)

    return change


def _form() -> Cases:
    error = "SIGNATURE_MALFORMED"
    yield refused(NAME, error, "no-signature", "an input without its signature", **asked(signature="other=:AAAA:"))
    yield refused(NAME, error, "half", "one header without the other", **_without("signature"))
    yield refused(NAME, error, "not-a-dictionary", "a quotation mark is missing", **asked(lambda t: t[:-1]))
    yield refused(NAME, error, "repeated", "a parameter twice", **asked(lambda t: f"{t};created=1"))
    yield refused(NAME, error, "two", "two signatures of ours", **asked(lambda t: f"{t}, b{t}"))
    yield refused(NAME, error, "too-long", "more than 4096 bytes", **asked(lambda t: t + " " * 4_096))
    yield refused(NAME, error, "short-signature", "63 bytes", **asked(signature=f"gotong=:{'A' * 84}:"))
    for name, before, after in (
        ("authority-not-covered", ' "@authority"', ""),
        ("digest-not-covered", ' "content-digest"', ""),
        ("other-order", '"@method" "@authority"', '"@authority" "@method"'),
        ("more-covered", '"@method"', '"date" "@method"'),
        ("parameter-of-component", '"@query"', '"@query";req'),
    ):
        yield refused(NAME, error, name, f"not the list: {name}", **asked(changed(before, after)))
    yield refused(NAME, error, "sha-512-only", "no sha-256", **asked(content_digest=f"sha-512=:{'A' * 86}==:"))
    yield refused(NAME, error, "digest-too-short", "31 bytes", **asked(content_digest=f"sha-256=:{'A' * 40}AA==:"))
    yield refused(NAME, error, "no-content-type", "a body without its type", **_without("content-type"))


def _parameters() -> Cases:
    error = "SIGNATURE_MALFORMED"
    for name, before, after in (
        ("no-nonce", ';nonce="nonceOfTwentyLetters"', ""),
        ("no-expires", ";expires=1773480473", ""),
        ("unknown-parameter", ";created", ";seen=1;created"),
        ("other-algorithm", ";created", ';alg="hmac-sha256";created'),
        ("created-not-integer", "created=1773480413", "created=1773480413.0"),
        ("created-a-date", "created=1773480413", "created=@1773480413"),
        ("created-before-1970", "created=1773480413;expires=1773480473", "created=-1;expires=59"),
        ("key-of-a-log", "#request-0", "#log-0-0"),
        ("key-with-a-zero", "#request-0", "#request-00"),
        ("key-of-nobody", "did:webvh:", "did:web:"),
    ):
        yield refused(NAME, error, name, f"a parameter: {name}", **asked(changed(before, after)))
    yield refused(NAME, error, "lifetime-too-long", "301 seconds", **asked(lifetime_s=301))
    yield refused(NAME, error, "expires-at-once", "no time at all", **asked(lifetime_s=0))
    yield refused(NAME, error, "nonce-too-short", "15 characters", **asked(nonce="n" * 15))
    yield refused(NAME, error, "nonce-of-other-letters", "a full stop", **asked(nonce="n" * 15 + "."))


def _truth() -> Cases:
    yield refused(NAME, "SIGNATURE_SKEW", "clock-ahead", "created 61 seconds ahead", **asked(now_s=-61))
    yield refused(NAME, "SIGNATURE_SKEW", "expired", "121 seconds later", **asked(now_s=121))
    yield refused(NAME, "SIGNATURE_SKEW", "of-2010", "a clock without a battery", **asked(created_s=1_262_304_000))
    error = "SIGNATURE_INVALID"
    yield refused(NAME, error, "other-key", "signed by somebody else", **asked(signer="somebody else"))
    yield refused(NAME, error, "other-node", "meant for another node", **(asked() | {"authority": "b.example.org"}))
    for member, value in (("path", "/federation/v1/deposit"), ("query", "a=b")):
        given = asked()
        given["request"][member] = value
        yield refused(NAME, error, f"other-{member}", f"another {member}", **given)
    given = asked(method="GET")
    given["request"]["method"] = "HEAD"
    yield refused(NAME, error, "other-method", "another method", **given)
    yield refused(NAME, error, "other-type", "the body under another type", **asked(content_type="text/plain"))
    yield refused(NAME, error, "other-nonce", "a new nonce", **asked(changed("OfTwenty", "OfTwelve")))
    yield refused(NAME, error, "label-swapped", "64 zeros", **asked(signature=f"gotong=:{'A' * 86}==:"))
    given = asked()
    given["request"]["body"] = '{"logs":[1]}'
    yield refused(NAME, "DIGEST_MISMATCH", "other-body", "the body was changed", **given)
    given = asked(method="GET")
    given["request"]["body"] = BODY
    yield refused(NAME, "DIGEST_MISMATCH", "body-of-a-get", "a body that nobody signed", **given)


def _without(header: str) -> dict[str, Any]:
    given = asked()
    del given["request"]["headers"][header]
    return given
