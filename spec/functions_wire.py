"""Run vectors of single values and of the wire: frames, heads, pulls, canonical JSON, keys, addresses."""

import json
from collections.abc import Callable, Mapping
from ipaddress import ip_address
from typing import Any

from federation.encoding import canonical, multikey
from federation.requests import addresses
from federation.sync import frames, messages
from federation.sync.sections import Assembler

Input = Mapping[str, Any]


def _stream(given: Input) -> bytes:
    stream = given["stream"]
    return bytes.fromhex(stream if isinstance(stream, str) else "".join(stream))


def _decode_frames(given: Input) -> Any:
    decoder = frames.Decoder()
    found = decoder.feed(_stream(given))
    decoder.finish()
    return [type(each).__name__ for each in found]


def _read_stream(given: Input) -> Any:
    decoder, assembler = frames.Decoder(), Assembler(given["asked"])
    events = [assembler.take(frame) for frame in decoder.feed(_stream(given))]
    decoder.finish()
    assembler.finish()
    return [type(each).__name__ for each in events if each is not None]


def _body(given: Input) -> bytes:
    return given["body"].encode() if "body" in given else json.dumps(given["value"]).encode()


def _read_heads(given: Input) -> Any:
    heads = messages.read_heads(_body(given))
    return {"network": heads.network, "since": heads.since, "logs": [[each.origin, each.size] for each in heads.logs]}


def _read_pull(given: Input) -> Any:
    pull = messages.read_pull(_body(given))
    logs = [[each.origin, each.size, each.did_version, each.upto] for each in pull.logs]
    return {"bytes_max": pull.bytes_max, "logs": logs}


def _decode_canonical(given: Input) -> Any:
    return canonical.decode(bytes.fromhex(given["bytes"]))


def _decode_multikey(given: Input) -> Any:
    return multikey.decode_multikey(given["key"]).hex()


def _permitted_addresses(given: Input) -> Any:
    reach = addresses.reach_of(given["network"], private=given["private"])
    found = [ip_address(each) for each in given["addresses"]]
    return [str(each) for each in addresses.permitted("peer.example.org", found, reach)]


def _read_evidence(given: Input) -> Any:
    return [[each.number, each.id] for each in messages.read_evidence(_body(given))]


FUNCTIONS: dict[str, Callable[[Input], Any]] = {
    "decode_frames": _decode_frames,
    "read_stream": _read_stream,
    "read_heads": _read_heads,
    "read_pull": _read_pull,
    "decode_canonical": _decode_canonical,
    "decode_multikey": _decode_multikey,
    "permitted_addresses": _permitted_addresses,
    "read_evidence": _read_evidence,
}
