"""The did:webvh verifier against logs that other implementations wrote, good ones and bad ones."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from federation.did import webvh
from federation.did.errors import DidError, DidSyntaxInvalid
from federation.did.state import DidState, Version
from federation.did.syntax import parse
from federation.encoding.dataintegrity import sign
from federation.encoding.multikey import did_key_url, multihash_text
from federation.identity.create import public_key

HERE = Path(__file__).parents[1] / "vectors" / "didwebvh"
NOW = datetime(2026, 11, 22, tzinfo=UTC)
A_SCID = multihash_text(b"any")
LOGS = sorted(path.parent.relative_to(HERE).as_posix() for path in HERE.glob("*/*/did.jsonl"))
SELF_APPROVED = "witness-update/"
GOOD = [name for name in LOGS if not name.startswith(("negative-", SELF_APPROVED))]

REFUSED = {
    "negative-did-key-body-fragment-mismatch/ts": "DID_PROOF_INVALID",
    "negative-pre-rotation-omit-updatekeys/ts": "DID_PREROTATION_BROKEN",
    "negative-unknown-method-version/ts": "DID_METHOD_UNKNOWN",
    "negative-versiontime-non-monotonic/ts": "DID_TIME_NOT_MONOTONIC",
    "negative-zero-witness-threshold/ts": "DID_WITNESS_INVALID",
}
REFUSED_DIDS = {
    "negative-fragment-leaks-into-domain": ["127.0.0.1#x"],
    "negative-path-traversal-did": ["example.com:..:..:admin"],
    "negative-pct-encoded-traversal": ["example.com:%2E%2E:admin", "example.com:%2e%2e:admin", "example.com:a%2Fb"],
}


def _lines(name: str) -> tuple[bytes, ...]:
    return webvh.split_lines((HERE / name / "did.jsonl").read_bytes())


def _witness(name: str) -> bytes | None:
    path = HERE / name / "did-witness.json"
    return path.read_bytes() if path.exists() else None


def _verified(name: str) -> DidState:
    return webvh.verify(_lines(name), now=NOW, witness=_witness(name))


def test_no_published_log_is_left_out() -> None:
    negative = {name.split("/")[0] for name in LOGS if name.startswith("negative-")}
    assert negative == {name.split("/")[0] for name in REFUSED} | set(REFUSED_DIDS)
    assert len(GOOD) == 35


@pytest.mark.parametrize("name", GOOD)
def test_a_good_log_is_accepted(name: str) -> None:
    state = _verified(name)
    assert state.version_count == len(_lines(name))
    assert state.did.startswith(f"did:webvh:{state.scid}:example.")


RESULTS = sorted(
    path.relative_to(HERE).as_posix()
    for path in HERE.glob("*/*/resolutionResult*.json")
    if not path.relative_to(HERE).as_posix().startswith(("negative-", SELF_APPROVED))
)


@pytest.mark.parametrize("name", RESULTS)
def test_the_state_is_what_their_resolver_says(name: str) -> None:
    """All three state time and version id; what only some state (portable, SCID) must agree where it is stated.

    Their resolvers add two implicit services; a document without own services is compared without any.
    """
    result: dict[str, Any] = json.loads((HERE / name).read_text())
    state = _verified(str(Path(name).parent.as_posix()))
    stated = result["didDocumentMetadata"]
    version = state.versions[stated["versionNumber"] - 1]
    expected = _without_implicit_services(result["didDocument"])
    assert version.document == expected
    assert version.version_id == stated["versionId"]
    assert _text(version) == stated["versionTime"]
    assert f"{state.created:%Y-%m-%dT%H:%M:%SZ}" == stated["created"]
    assert stated.get("scid", state.scid) == state.scid
    assert stated.get("portable", version.parameters.portable) is version.parameters.portable
    assert stated.get("deactivated", False) is version.parameters.deactivated


def _text(version: Version) -> str:
    return f"{version.version_time:%Y-%m-%dT%H:%M:%SZ}"


def _without_implicit_services(document: dict[str, Any]) -> dict[str, Any]:
    own = [each for each in document.get("service", []) if not each["id"].endswith(("#files", "#whois"))]
    rest = {name: value for name, value in document.items() if name != "service"}
    return {**rest, "service": own} if own else rest


@pytest.mark.parametrize("name", REFUSED)
def test_a_bad_log_is_refused_for_its_reason(name: str) -> None:
    with pytest.raises(DidError) as refusal:
        _verified(name)
    assert refusal.value.code == REFUSED[name]


@pytest.mark.parametrize("name", REFUSED_DIDS)
def test_a_bad_did_is_refused_also_with_a_real_scid(name: str) -> None:
    """Their DIDs carry a SCID of zeros, which is no SCID; with a real one the rest must still be refused."""
    script = (HERE / name / "script.yaml").read_text()
    for place in REFUSED_DIDS[name]:
        published = f"did:webvh:Qm0000000000000000000000000000000000000000000000:{place}"
        assert f'"{published}"' in script
        for text in (published, f"did:webvh:{A_SCID}:{place}"):
            with pytest.raises(DidSyntaxInvalid):
                parse(text)


@pytest.mark.parametrize("writer", ["java", "python", "ts"])
def test_new_witnesses_do_not_approve_their_own_appointment(writer: str) -> None:
    """These copies lack the old list's second approval (README); with it, the log is accepted."""
    name = SELF_APPROVED + writer
    with pytest.raises(DidError) as refusal:
        _verified(name)
    assert refusal.value.code == "DID_WITNESS_PROOFS_MISSING"

    seed = bytes(31) + b"\x11"  # wit-1 in script.yaml
    version_id = webvh.version_id_of(_lines(name)[1])
    url = did_key_url(public_key(seed))
    proof = sign({"versionId": version_id}, seed, verification_method=url, created="2026-06-01T00:00:00Z")
    witness = json.loads(_witness(name) or b"")
    witness.append({"versionId": version_id, "proof": [proof]})
    state = webvh.verify(_lines(name), now=NOW, witness=json.dumps(witness).encode())
    assert state.version_count == 2


def test_their_resolver_in_python_refuses_that_log_too() -> None:
    result = json.loads((HERE / SELF_APPROVED / "python" / "resolutionResult.json").read_text())
    assert result["didResolutionMetadata"]["error"] == "invalidDid"
