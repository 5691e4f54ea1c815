"""Run a vector's input through the function it is about, JSON in and JSON out.

The adapter between the language-neutral vectors and this implementation: it
translates names, hex and texts, and decides nothing.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from domain import ids
from federation.did import webvh
from federation.erasing import acknowledgement
from federation.identity import vouching
from federation.log import (
    add_checkpoint,
    entry,
    epochs,
    erasure,
    evidence,
    merkle,
    names,
    note,
    proof,
    tiles,
    tlog_proof,
    verify,
)
from federation.requests import signatures
from spec import functions_sealed, functions_wire
from spec.functions_sealed import stated_keys

Input = Mapping[str, Any]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _hashes(values: list[str]) -> list[bytes]:
    return [bytes.fromhex(each) for each in values]


def _edge_from_bytes(given: Input) -> Any:
    edge = merkle.Edge.from_bytes(given["size"], bytes.fromhex(given["edge"]))
    return {"root": edge.root().hex()}


def _tree(given: Input) -> Any:
    edge = merkle.Edge.EMPTY.appended(merkle.leaf_hash(leaf.encode()) for leaf in given["leaves"])
    return {"size": edge.size, "root": edge.root().hex(), "edge": edge.to_bytes().hex()}


def _verify_inclusion(given: Input) -> Any:
    leaf, root = bytes.fromhex(given["leaf"]), bytes.fromhex(given["root"])
    merkle.verify_inclusion(leaf, given["index"], given["size"], _hashes(given["proof"]), root)


def _verify_consistency(given: Input) -> Any:
    old, new = bytes.fromhex(given["old_root"]), bytes.fromhex(given["new_root"])
    merkle.verify_consistency(given["old_size"], old, given["new_size"], new, _hashes(given["proof"]))


def _parse_tile_path(given: Input) -> Any:
    tile = tiles.parse_tile_path(given["path"])
    level = "entries" if tile.level == tiles.ENTRIES else tile.level
    return {"level": level, "n": tile.n, "width": tile.width}


def _split_tile(given: Input) -> Any:
    return [each.hex() for each in tiles.split_tile(tiles.parse_tile_path(given["path"]), bytes.fromhex(given["tile"]))]


def _parse_bundle(given: Input) -> Any:
    entries = tiles.parse_bundle(tiles.parse_tile_path(given["path"]), bytes.fromhex(given["bundle"]))
    return [each.hex() for each in entries]


def _tile_data(given: Input) -> dict[tiles.TileId, bytes]:
    return {tiles.parse_tile_path(path): bytes.fromhex(data) for path, data in given["tiles"].items()}


def _prove_inclusion(given: Input) -> Any:
    return [each.hex() for each in tiles.prove_inclusion(given["index"], given["size"], _tile_data(given))]


def _prove_consistency(given: Input) -> Any:
    return [each.hex() for each in tiles.prove_consistency(given["old_size"], given["new_size"], _tile_data(given))]


def _parse_vkey(given: Input) -> Any:
    key = note.parse_vkey(given["vkey"])
    return {"name": key.name, "type": int(key.type), "public_key": key.public.hex(), "key_id": key.key_id.hex()}


def _verify_note(given: Input) -> Any:
    opened = note.verify(given["note"].encode(), [note.parse_vkey(each) for each in given["vkeys"]])
    return {"text": opened.text, "signed_by": [each.vkey() for each in opened.signed_by]}


def _checkpoint(checkpoint: note.Checkpoint) -> Any:
    return {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}


def _parse_checkpoint(given: Input) -> Any:
    return _checkpoint(note.parse_checkpoint(given["text"]))


def _verify_checkpoint(given: Input) -> Any:
    return _checkpoint(note.verify_checkpoint(given["note"].encode(), given["origin"], _hashes(given["public_keys"])))


def _verify_cosignature(given: Input) -> Any:
    at_s = note.verify_cosignature(given["note"].encode(), given["name"], bytes.fromhex(given["public_key"]))
    return {"at_s": at_s}


def _parse_origin(given: Input) -> Any:
    return names.parse_origin(given["origin"])._asdict()


def _parse_uri(given: Input) -> Any:
    found = ids.parse_uri(given["uri"])
    return {"scid": found.scid, "type": found.type, "id": None if found.id is None else str(found.id)}


def _parse_instant(given: Input) -> Any:
    since = entry.parse_instant(given["text"]) - _EPOCH
    return {"posix_ms": (since.days * 86400 + since.seconds) * 1000 + since.microseconds // 1000}


def _parse_entry(given: Input) -> Any:
    return _entry(entry.parse(given["entry"].encode()))


def _entry(found: entry.Entry) -> Any:
    return {
        "v": found.v,
        "type": found.type,
        "id": str(found.id),
        "rev": found.rev,
        "prev": found.prev,
        "at": entry.instant(found.at),
        "op": found.op,
        "core": found.core,
        "exercise": found.exercise,
        "body": None if found.body is None else found.body.hex(),
        "restricted": None if found.restricted is None else found.restricted.hex(),
        "unknown": found.unknown,
    }


def _erased_parts(given: Input) -> Any:
    return list(erasure.erased_parts(entry.parse(given["entry"].encode())))


def _check_acknowledgement(given: Input) -> Any:
    data = given["note"].encode()
    said = acknowledgement.read(data)
    acknowledgement.verify(data, said, _hashes(given["public_keys"]))
    acknowledgement.check_tree(said, bytes.fromhex(given["root"]))
    return {"operator": said.operator, "origin": said.origin, "size": said.size, "at": entry.instant(said.at)}


def _check_vouch(given: Input) -> Any:
    data = given["note"].encode()
    said = vouching.read(data)
    vouching.check_network(said, given["network"])
    vouching.verify(data, said, _hashes(given["public_keys"]))
    return {
        "operator": said.operator,
        "predecessor": said.predecessor,
        "successor": said.successor,
        "at": entry.instant(said.at),
        "withdrawn": said.withdrawn,
    }


def _supersedes_vouch(given: Input) -> Any:
    return vouching.supersedes(*(vouching.read(given[name].encode()) for name in ("note", "before")))


def _check_genesis(given: Input) -> Any:
    entry.check_genesis(entry.parse(given["entry"].encode()), given["origin"], given["network"])


def _check_payload(given: Input) -> Any:
    parsed = entry.parse(given["entry"].encode())
    return entry.check_payload(parsed, given["part"], bytes.fromhex(given["salt"]), given["payload"].encode())


def _parse_tlog_proof(given: Input) -> Any:
    found = tlog_proof.parse(given["text"])
    return {
        "index": found.index,
        "inclusion": [each.hex() for each in found.inclusion],
        "checkpoint": found.checkpoint.decode(),
    }


def _check_checkpoint(given: Input) -> Any:
    keys = stated_keys(given["keys"])
    anchor = _hashes(given.get("anchor", []))
    return _checkpoint(verify.check_checkpoint(given["note"].encode(), given["origin"], keys, anchor=anchor))


def _check_epoch(given: Input) -> Any:
    stated = given["stated"]
    start = None
    if stated is not None:
        start = entry.EpochStart(stated["size"], bytes.fromhex(stated["root"]), bytes.fromhex(stated["genesis"]))
    epochs.require_stated(entry.parse(given["entries"][0].encode()), start)
    epochs.require_whole(given["checkpoint_size"], start)
    leaves = [merkle.leaf_hash(each.encode()) for each in given["entries"]]
    if start is not None:
        epochs.require_copied(start, epochs.copied_edge(start).appended(leaves[1 : start.size]))
        held = [merkle.leaf_hash(each.encode()) for each in given.get("held", [])][: start.size]
        epochs.require_same(0, held, [start.genesis, *leaves[1:]][: len(held)])
    return None


def _extend(given: Input) -> Any:
    edge = merkle.Edge.from_bytes(given["size"], bytes.fromhex(given["edge"]))
    target = note.Checkpoint(given["target"]["origin"], given["target"]["size"], bytes.fromhex(given["target"]["root"]))
    entries = [each.encode() for each in given["entries"]]
    head = verify.extend(verify.Head(given["origin"], edge), entries, target, _hashes(given["proof"]))
    return {"size": head.edge.size, "edge": head.edge.to_bytes().hex(), "root": head.edge.root().hex()}


def _received(given: Input) -> verify.Received:
    salt, payload = given.get("salt"), given.get("payload")
    return verify.Received(
        given["entry"].encode(),
        None if salt is None else bytes.fromhex(salt),
        None if payload is None else payload.encode(),
    )


def _check_entries(given: Input) -> Any:
    received = [_received(each) for each in given["received"]]
    verified = verify.check_entries(given["origin"], given["network"], given["start_index"], received)
    return [{"index": each.index, "leaf": each.leaf.hex(), "body": each.body} for each in verified]


def _check_proof(given: Input) -> Any:
    found = proof.check(given["bundle"], entry.parse_instant(given["now"]))
    return {
        "did": found.did,
        "network": found.network,
        "uri": found.uri,
        "index": found.index,
        "leaf": found.leaf.hex(),
        "entry": _entry(found.entry),
        "body": found.body,
        "checkpoint": _checkpoint(found.checkpoint),
    }


def _verify_evidence(given: Input) -> Any:
    now = entry.parse_instant(given["now"])
    known = given["known"]
    state = None if known is None else webvh.verify([line.encode() for line in known], now=now)
    found = evidence.verify(given["evidence"].encode(), now, state)
    return {
        "id": found.id.hex(),
        "kind": found.kind,
        "scid": found.scid,
        "origin": found.origin,
        "size": found.size,
        "judged_by": found.judged_by,
    }


def _parse_add_checkpoint(given: Input) -> Any:
    request = add_checkpoint.parse(given["body"].encode())
    proof = [each.hex() for each in request.proof]
    return {"old_size": request.old_size, "proof": proof, "checkpoint": _checkpoint(request.checkpoint)}


def _check_add_checkpoint(given: Input) -> Any:
    request = add_checkpoint.parse(given["body"].encode())
    last = given["cosigned"]
    origin = request.checkpoint.origin
    cosigned = None if last is None else note.Checkpoint(origin, last["size"], bytes.fromhex(last["root"]))
    add_checkpoint.require_extension(request, cosigned, given["frozen_size"])


def _verify_request(given: Input) -> Any:
    request, headers = given["request"], given["request"]["headers"]
    message = signatures.Message(
        request["method"],
        given["authority"],
        request["path"],
        request["query"],
        headers.get("content-digest"),
        headers.get("content-type"),
    )
    signed = signatures.read(message, headers.get("signature-input"), headers.get("signature"))
    if signed is None:
        return None
    signatures.check_window(signed, entry.parse_instant(given["now"]))
    signatures.check_signature(signed, bytes.fromhex(given["public_key"]))
    signatures.check_digest(signed, request["body"].encode())
    return {"scid": signed.scid, "key": signed.fragment, "nonce": signed.parameters.nonce, "base": signed.base.decode()}


FUNCTIONS: dict[str, Callable[[Input], Any]] = {
    "tree": _tree,
    "edge_from_bytes": _edge_from_bytes,
    "verify_inclusion": _verify_inclusion,
    "verify_consistency": _verify_consistency,
    "parse_tile_path": _parse_tile_path,
    "split_tile": _split_tile,
    "parse_bundle": _parse_bundle,
    "prove_inclusion": _prove_inclusion,
    "prove_consistency": _prove_consistency,
    "parse_vkey": _parse_vkey,
    "verify_note": _verify_note,
    "parse_checkpoint": _parse_checkpoint,
    "verify_checkpoint": _verify_checkpoint,
    "verify_cosignature": _verify_cosignature,
    "parse_origin": _parse_origin,
    "parse_uri": _parse_uri,
    "parse_instant": _parse_instant,
    "parse_entry": _parse_entry,
    "check_genesis": _check_genesis,
    "erased_parts": _erased_parts,
    "check_acknowledgement": _check_acknowledgement,
    "check_vouch": _check_vouch,
    "supersedes_vouch": _supersedes_vouch,
    "check_payload": _check_payload,
    "parse_tlog_proof": _parse_tlog_proof,
    "check_checkpoint": _check_checkpoint,
    "check_epoch": _check_epoch,
    "extend": _extend,
    "check_entries": _check_entries,
    "check_proof": _check_proof,
    "parse_add_checkpoint": _parse_add_checkpoint,
    "check_add_checkpoint": _check_add_checkpoint,
    "verify_evidence": _verify_evidence,
    "verify_request": _verify_request,
    **functions_sealed.FUNCTIONS,
    **functions_wire.FUNCTIONS,
}


def expand(value: Any) -> Any:
    """Return a vector's input with every `repeat` (a text) and `list_of` (a list) written out."""
    if isinstance(value, dict):
        if value.keys() == {"repeat", "times"}:
            return value["repeat"] * value["times"]
        if value.keys() == {"list_of", "times"}:
            return [expand(value["list_of"])] * value["times"]
        return {name: expand(member) for name, member in value.items()}
    return [expand(member) for member in value] if isinstance(value, list) else value


def run(function: str, given: Input) -> Any:
    """Return what `function` makes of a vector's input, as JSON; raises what it raises."""
    return FUNCTIONS[function](expand(given))
