"""Write did:webvh logs that break one rule at a time: a writer that asks no verifier, unlike `identity.create`.

Every hash and signature it makes is right for what it was told to write, so that a case breaks the rule it is named
after and no other. All keys come from fixed seeds; use them for nothing else.
"""

import copy
import json
from collections.abc import Callable
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from federation.did.webvh import entry_hash
from federation.encoding.canonical import encode_any
from federation.encoding.dataintegrity import hash_data
from federation.encoding.multikey import did_key, did_key_url, encode_multikey, multibase_encode, multihash_text
from federation.identity.create import next_key_hash, public_key

Json = dict[str, Any]
Edit = Callable[[Json], None]

NOW = "2026-11-22T00:00:00.000Z"
HOST = "mawar.gotong.test%3A8443"
PATH = "o:rt05"
PLACEHOLDER = "{SCID}"


def seed(number: int) -> bytes:
    """Return private key `number` of the vectors: 0 to 9 update keys, 10 to 19 log keys, 20 up witnesses."""
    return bytes([0xD1, number]) * 16


def multikey(number: int) -> str:
    return encode_multikey(public_key(seed(number)))


def witness_id(number: int) -> str:
    return did_key(public_key(seed(number)))


def key_hash(number: int) -> str:
    return next_key_hash(public_key(seed(number)))


def document(did: str, log_key: int = 10) -> Json:
    """Return the document of a guest with one log key."""
    return {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": did,
        "verificationMethod": [method(did, "#log-0-0", log_key)],
        "assertionMethod": [f"{did}#log-0-0"],
        "service": [
            {
                "id": f"{did}#gotong",
                "type": "GotongLog",
                "serviceEndpoint": "https://mawar.gotong.test:8443",
                "network": "test",
                "epoch": 0,
                "keys": [{"id": "#log-0-0"}],
            }
        ],
    }


def method(did: str, fragment: str, number: int) -> Json:
    return {"id": did + fragment, "type": "Multikey", "controller": did, "publicKeyMultibase": multikey(number)}


class Writer:
    """A log in the making. `edit` changes an entry before hashing, `resign` before signing, `tamper` after signing."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.scid = ""
        self._last: Json = {}

    @property
    def did(self) -> str:
        return str(self._last["state"]["id"])

    def first(
        self,
        edit: Edit | None = None,
        *,
        key: int = 0,
        time: str = "2026-11-01T00:00:00Z",
        number: int = 1,
        resign: Edit | None = None,
        tamper: Edit | None = None,
    ) -> Self:
        entry: Json = {
            "versionTime": time,
            "parameters": {
                "method": "did:webvh:1.0",
                "scid": PLACEHOLDER,
                "portable": True,
                "updateKeys": [multikey(key)],
                "nextKeyHashes": [key_hash(1)],
            },
            "state": document(f"did:webvh:{PLACEHOLDER}:{HOST}:{PATH}"),
        }
        if edit:
            edit(entry)
        self.scid = multihash_text(encode_any({**entry, "versionId": PLACEHOLDER}))
        entry = json.loads(json.dumps(entry).replace(PLACEHOLDER, self.scid))
        return self._append(entry, number, self.scid, key, resign, tamper)

    def next(
        self,
        edit: Edit | None = None,
        *,
        key: int = 1,
        signer: int | None = None,
        time: str = "2026-11-02T00:00:00Z",
        number: int | None = None,
        predecessor: str | None = None,
        resign: Edit | None = None,
        tamper: Edit | None = None,
    ) -> Self:
        """Append an update by key `key`, which commits to the key after it."""
        entry: Json = {
            "versionTime": time,
            "parameters": {"updateKeys": [multikey(key)], "nextKeyHashes": [key_hash(key + 1)]},
            "state": copy.deepcopy(self._last["state"]),
        }
        if edit:
            edit(entry)
        return self._append(
            entry,
            len(self.lines) + 1 if number is None else number,
            predecessor or self._last["versionId"],
            key if signer is None else signer,
            resign,
            tamper,
        )

    def witnessed(self, *approvals: tuple[int, int]) -> str:
        """Return a witness file with (version number, witness) proofs over this log's version ids."""
        records = []
        for number, witness in approvals:
            version_id = json.loads(self.lines[number - 1])["versionId"]
            records.append({"versionId": version_id, "proof": [witness_proof(version_id, witness)]})
        return json.dumps(records)

    def _append(
        self, entry: Json, number: int, predecessor: str, signer: int, resign: Edit | None, tamper: Edit | None
    ) -> Self:
        entry["versionId"] = f"{number}-{entry_hash(entry, predecessor)}"
        if resign:
            resign(entry)
        entry["proof"] = [proof(entry, signer)]
        if tamper:
            tamper(entry)
        self.lines.append(encode_any(entry))
        self._last = entry
        return self


def proof(entry: Json, signer: int, **changes: Any) -> Json:
    """Return a proof whose options are as `changes` say, and whose signature is right for them."""
    url = did_key_url(public_key(seed(signer)))
    unsigned = {name: value for name, value in entry.items() if name != "proof"}
    options: Json = {
        "type": "DataIntegrityProof",
        "cryptosuite": "eddsa-jcs-2022",
        "verificationMethod": url,
        "created": "2026-11-01T00:00:00Z",
        "proofPurpose": "assertionMethod",
        **changes,
    }
    signature = Ed25519PrivateKey.from_private_bytes(seed(signer)).sign(hash_data(unsigned, options))
    return {**options, "proofValue": multibase_encode(signature)}


def witness_proof(version_id: str, witness: int) -> Json:
    return proof({"versionId": version_id}, witness)


def move(entry: Json, host: str = "melati.gotong.test", *, stated: bool = True, path: str = PATH) -> None:
    """Change every mention of the DID to another host, naming the old one in alsoKnownAs if `stated`."""
    old = str(entry["state"]["id"])
    new = f"{old.rsplit(':', 3)[0]}:{host}:{path}"
    entry["state"] = json.loads(json.dumps(entry["state"]).replace(old, new))
    if stated:
        entry["state"]["alsoKnownAs"] = [old]
