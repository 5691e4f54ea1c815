"""Run vectors of single values and of what nodes and mirrors say to each other: frames, heads, links, deposits."""

import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from federation.bundles import trim
from federation.encoding import canonical, multikey
from federation.log.verify import Received
from federation.mirror import deposit, link
from federation.requests import addresses
from federation.sync import directory, frames, interest, messages, news, sections
from federation.sync.sections import Pulled
from federation.witness import brought

Input = Mapping[str, Any]


def _stream(given: Input) -> bytes:
    stream = given["stream"]
    return bytes.fromhex(stream if isinstance(stream, str) else "".join(stream))


def _decode_frames(given: Input) -> Any:
    decoder = frames.Decoder()
    found = decoder.feed(_stream(given))
    decoder.finish()
    return [_frame(each) for each in found]


def _frame(frame: frames.Frame) -> Any:
    match frame:
        case frames.Log(origin):
            return {"type": "LOG", "origin": origin}
        case frames.DidLine(line):
            return {"type": "DID_LINE", "line": line.decode()}
        case frames.Witness(proofs):
            return {"type": "WITNESS", "proofs": proofs.decode()}
        case frames.CheckpointNote(note):
            return {"type": "CHECKPOINT", "note": note.decode()}
        case Received():
            return {"type": "ENTRY", **_entry(frame)}
        case frames.Mark(size, proof):
            return {"type": "MARK", "size": size, "proof": [each.hex() for each in proof]}
        case frames.EndOfLog(reason):
            return {"type": "END_OF_LOG", "reason": reason.value}
        case frames.RetryAfter(seconds):
            return {"type": "RETRY_AFTER", "seconds": seconds}
        case frames.End():
            return {"type": "END"}
        case frames.Evidence(data):
            return {"type": "EVIDENCE", "evidence": data.decode()}


def _entry(received: Received) -> Any:
    salt, body = received.salt, received.body
    return {
        "entry": received.data.decode(),
        "salt": None if salt is None else salt.hex(),
        "payload": None if body is None else body.decode(),
    }


def _read_stream(given: Input) -> Any:
    decoder, assembler = frames.Decoder(), sections.Assembler(given["asked"])
    events = [assembler.take(frame) for frame in decoder.feed(_stream(given))]
    decoder.finish()
    assembler.finish()
    return [_event(each) for each in events if each is not None]


def _event(event: sections.Event) -> Any:
    match event:
        case sections.Opened(origin, lines, witness, note):
            section = {"origin": origin, "did_lines": [each.decode() for each in lines], "note": note.decode()}
            return {"event": "section", **section, "witness": None if witness is None else witness.decode()}
        case sections.Pulled(origin, entries, size, proof):
            batch = {"origin": origin, "received": [_entry(each) for each in entries], "size": size}
            return {"event": "batch", **batch, "proof": [each.hex() for each in proof]}
        case sections.Closed(origin, reason):
            return {"event": "end_of_section", "origin": origin, "reason": reason.value}
        case sections.Pause(seconds):
            return {"event": "pause", "seconds": seconds}
        case sections.Shown(data):
            return {"event": "evidence", "evidence": data.decode()}


def _body(given: Input) -> bytes:
    """Return a body's text, or the JSON of a value too long to be written out (`list_of`)."""
    return given["body"].encode() if "body" in given else json.dumps(given["value"]).encode()


def _read_heads(given: Input) -> Any:
    heads = messages.read_heads(_body(given))
    return {"network": heads.network, "since": heads.since, "logs": [[each.origin, each.size] for each in heads.logs]}


def _read_news(given: Input) -> Any:
    events, _ = news.split_events(given["text"].encode())
    told = news.read_news(events)
    return None if told is None else {"resume_from": told.id, "grown": dict(told.sizes), "mail": told.mail}


def _read_pull(given: Input) -> Any:
    pull = messages.read_pull(_body(given))
    logs = [[each.origin, each.size, each.did_version, each.upto] for each in pull.logs]
    return {"bytes_max": pull.bytes_max, "logs": logs}


def _decode_canonical(given: Input) -> Any:
    return canonical.decode(bytes.fromhex(given["bytes"]))


def _document_of_others(given: Input) -> Any:
    return canonical.encode_any(canonical.decode_any(bytes.fromhex(given["bytes"]))).decode()


def _decode_multikey(given: Input) -> Any:
    return multikey.decode_multikey(given["key"]).hex()


def _permitted_addresses(given: Input) -> Any:
    reach = addresses.reach_of(given["network"], private=given["private"])
    found = [ip_address(each) for each in given["addresses"]]
    return [str(each) for each in addresses.permitted("peer.example.org", found, reach)]


def _read_evidence(given: Input) -> Any:
    return [[each.number, each.id] for each in messages.read_evidence(_body(given))]


def _read_cosignatures(given: Input) -> Any:
    return [[each.origin, each.size, each.line] for each in brought.read_brought(_body(given))]


def _parse_mirror_link(given: Input) -> Any:
    found = link.parse_link(given["link"])
    return {
        "address": found.url,
        "network": found.network,
        "operator": found.operator_scid,
        "host": found.host,
        "slug": found.slug,
        "code": found.code,
    }


def _read_join(given: Input) -> Any:
    link.read_join(given["body"].encode())


def _read_interest(given: Input) -> Any:
    found = interest.read_interest(given.get("region"), given.get("scid"))
    return None if found is None else {"regions": list(found.regions), "scids": list(found.scids)}


def _read_deposit_answer(given: Input) -> Any:
    found = deposit.read_answer(given["answer"].encode(), given["asked"])
    return [{"origin": each.origin, "size": each.size, "refused": each.refused} for each in found]


def _read_directory(given: Input) -> Any:
    return [each.url for each in directory.read_directory(given["directory"].encode())]


def _trim_lines(given: Input) -> Any:
    return [line.decode() for line in trim.new_lines([line.encode() for line in given["lines"]], given["held"])]


def _trim_entries(given: Input) -> Any:
    entries = [Received(each.encode()) for each in given["entries"]]
    left = trim.new_entries(Pulled("gotong/any/0", entries, given["mark"], ()), given["held"])
    return None if left is None else [each.data.decode() for each in left.entries]


FUNCTIONS: dict[str, Callable[[Input], Any]] = {
    "parse_mirror_link": _parse_mirror_link,
    "read_join": _read_join,
    "read_interest": _read_interest,
    "read_deposit_answer": _read_deposit_answer,
    "read_directory": _read_directory,
    "trim_lines": _trim_lines,
    "trim_entries": _trim_entries,
    "decode_frames": _decode_frames,
    "read_stream": _read_stream,
    "read_heads": _read_heads,
    "read_news": _read_news,
    "read_pull": _read_pull,
    "decode_canonical": _decode_canonical,
    "document_of_others": _document_of_others,
    "decode_multikey": _decode_multikey,
    "permitted_addresses": _permitted_addresses,
    "read_evidence": _read_evidence,
    "read_cosignatures": _read_cosignatures,
}
