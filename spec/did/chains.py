"""Logs whose chain, keys, proofs or moves break a rule of did:webvh."""

import json
from collections.abc import Iterator
from typing import Any

from federation.did.webvh import entry_hash
from spec.did.case import NO_PREROTATION, Case, both, drop, parameter, refused, set_, version_id
from spec.did.writer import PLACEHOLDER, Edit, Json, Writer, move, multikey, proof, witness_id


def cases() -> Iterator[Case]:
    """Yield logs that are refused for how an entry stands to the one before, or to its keys."""
    for group in (_chain, _keys, _proofs, _moves):
        yield from group()


def _chain() -> Iterator[Case]:
    case = refused("DID_VERSION_OUT_OF_ORDER")
    yield case("starts-at-two", "The first version is 2.", Writer().first(number=2))
    yield case("gap", "Version 3 after version 1.", Writer().first().next(number=3))
    first = Writer().first()
    yield case("first-again", "The first entry twice.", (first.lines[0], Writer().first().next(number=1).lines[1]))

    case = refused("DID_SCID_MISMATCH")
    host = set_("state", "service", 0, "serviceEndpoint", to="https://elsewhere.example")
    yield case("first-entry-changed", "The first entry says more than was hashed.", _first_with_old_scid(host))
    foreign = Writer().first(parameter("ttl", 60)).did
    yield case(
        "later-document",
        "A later document carries another SCID.",
        Writer().first().next(set_("state", "id", to=foreign)),
    )
    yield case("placeholder-left", "The placeholder stands in the published entry.", _placeholder_left())
    yield case("asked-another", "The log of another DID.", Writer().first(), scid=foreign.split(":")[2])

    case = refused("DID_ENTRY_HASH_MISMATCH")
    yield case(
        "first-rehashed", "Signed, but the hash is of something else.", Writer().first(resign=version_id("-Qm", "-Qn"))
    )
    changed = set_("state", "service", 0, "serviceEndpoint", to="https://elsewhere.example")
    yield case("document-changed", "Changed after hashing, then signed.", Writer().first().next(resign=changed))
    fork = Writer().first().next(predecessor=Writer().first(parameter("ttl", 60)).scid)
    yield case("other-predecessor", "Chained to an entry that is not there.", fork)

    case = refused("DID_TIME_NOT_MONOTONIC")
    yield case("equal", "The same second as the version before.", Writer().first().next(time="2026-11-01T00:00:00Z"))
    yield case("earlier", "A second before the version before.", Writer().first().next(time="2026-10-31T23:59:59Z"))
    case = refused("DID_TIME_IN_FUTURE")
    yield case("ahead", "Five minutes and a second ahead.", Writer().first(time="2026-11-22T00:05:01Z"))
    yield case("later-version", "A later version far ahead.", Writer().first().next(time="2027-11-22T00:00:00Z"))
    case = refused("DID_DEACTIVATED")
    ended = Writer().first(NO_PREROTATION).next(parameter("deactivated", True), key=1, signer=0)
    yield case("entry-after-the-end", "An entry after deactivation.", ended.next(key=1, time="2026-11-03T00:00:00Z"))


def _first_with_old_scid(edit: Edit) -> Writer:
    scid = Writer().first().scid

    def keep_old(entry: Json) -> None:
        edit(entry)
        text = json.dumps(entry).replace(PLACEHOLDER, scid)
        entry.clear()
        entry.update(json.loads(text))

    return Writer().first(keep_old)


def _placeholder_left() -> Writer:
    """The hash is the same with the SCID or the placeholder in its place: two first entries under one SCID."""
    writer = Writer().first(set_("state", "note", to=PLACEHOLDER))
    scid = writer.scid

    def put_back(entry: Json) -> None:
        entry["state"]["note"] = PLACEHOLDER
        unsigned = {name: value for name, value in entry.items() if name not in ("versionId", "proof")}
        entry["versionId"] = f"1-{entry_hash(unsigned, scid)}"

    return Writer().first(set_("state", "note", to=PLACEHOLDER), resign=put_back)


def _keys() -> Iterator[Case]:
    case = refused("DID_KEY_NOT_AUTHORIZED")
    yield case(
        "stranger-creates",
        "The first entry is signed by a key it does not name.",
        Writer().first(parameter("updateKeys", [multikey(1)])),
    )
    yield case("old-key", "With pre-rotation the old key no longer signs.", Writer().first().next(signer=0))
    none = Writer().first(parameter("updateKeys", []))
    yield case("nobody", "A first entry that authorizes nobody.", none)
    fresh = Writer().first(NO_PREROTATION).next(key=1)
    yield case("new-key-too-soon", "Without pre-rotation a new key signs only after its entry.", fresh)

    case = refused("DID_PREROTATION_BROKEN")
    second: dict[str, tuple[Edit, int]] = {
        "update-keys-omitted": (drop("parameters", "updateKeys"), 0),
        "next-hashes-omitted": (drop("parameters", "nextKeyHashes"), 1),
        "other-key": (parameter("updateKeys", [multikey(5)]), 5),
        "old-key-kept": (parameter("updateKeys", [multikey(1), multikey(0)]), 1),
        "no-keys": (parameter("updateKeys", []), 1),
    }
    for name, (edit, signer) in second.items():
        yield case(name, f"Pre-rotation is on: {name.replace('-', ' ')}.", Writer().first().next(edit, signer=signer))


def _proofs() -> Iterator[Case]:
    case = refused("DID_PROOF_INVALID")

    def with_proof(**changes: Any) -> Edit:
        return lambda entry: entry.update(proof=[proof(entry, 0, **changes)])

    url = f"{witness_id(5)}#{multikey(0)}"
    wrong: dict[str, Edit] = {
        "other-cryptosuite": with_proof(cryptosuite="eddsa-rdfc-2022"),
        "other-purpose": with_proof(proofPurpose="authentication"),
        "other-type": with_proof(type="Ed25519Signature2020"),
        "no-cryptosuite": drop("proof", 0, "cryptosuite"),
        "fragment-differs": lambda entry: entry.update(proof=[proof(entry, 5, verificationMethod=url)]),
        "no-fragment": with_proof(verificationMethod=witness_id(0)),
        "own-context": with_proof(**{"@context": ["https://example.com"]}),
        "own-context-empty": lambda entry: entry.update(
            proof=[proof({**entry, "@context": []}, 0, **{"@context": []})]
        ),
        "signature-of-another": lambda entry: entry.update(proof=[proof({**entry, "versionTime": "x"}, 0)]),
        "options-changed": set_("proof", 0, "created", to="2026-11-01T00:00:01Z"),
        "no-signature": drop("proof", 0, "proofValue"),
        "short-signature": set_("proof", 0, "proofValue", to="z3"),
        "other-base": set_("proof", 0, "proofValue", to="uAAAA"),
        "empty": set_("proof", to=[]),
        "not-a-list": lambda entry: entry.update(proof=entry["proof"][0]),
        "not-an-object": set_("proof", to=["proof"]),
        "second-one-wrong": lambda entry: entry["proof"].append({**entry["proof"][0], "created": "later"}),
        "too-many": lambda entry: entry.update(proof=entry["proof"] * 17),
    }
    for name, edit in wrong.items():
        yield case(name, f"The proof: {name.replace('-', ' ')}.", Writer().first(tamper=edit))


def _moves() -> Iterator[Case]:
    case = refused("DID_PORTABILITY_REFUSED")
    fixed = parameter("portable", False)
    yield case("not-portable", "A DID that never was portable moves.", Writer().first(fixed).next(move))
    yield case("omitted", "Portable must be stated.", Writer().first(drop("parameters", "portable")).next(move))
    given_up = Writer().first().next(fixed).next(move, key=2, time="2026-11-03T00:00:00Z")
    yield case("given-up", "Portability was given up.", given_up)
    yield case(
        "set-later",
        "Only the first entry makes a DID portable.",
        Writer().first(fixed).next(parameter("portable", True)),
    )
    yield case(
        "set-again", "Not even a portable one says it again.", Writer().first().next(parameter("portable", True))
    )
    case = refused("DID_MOVE_NOT_STATED")
    unstated = Writer().first().next(lambda entry: move(entry, stated=False))
    yield case("unstated", "The document has no alsoKnownAs.", unstated)
    strange = Writer().first().next(both(move, set_("state", "alsoKnownAs", to=["did:web:example.com"])))
    yield case("names-another", "alsoKnownAs names something else than the old DID.", strange)
