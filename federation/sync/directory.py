"""Read and write a node's directory: itself and the peers that agreed to be named, with where their people are. Pure.

For a new node that looks for the communities of a region. Nothing in it is believed, and nothing is added because of
it: it is an answer to "whom could I ask", and each of them has to be added by a person.

Rules, with the error that answers each:
- U1.1 a directory lists at most LISTED_MAX nodes, each with `url` (http or https, printable ASCII), `operator` (an
  SCID), `name`, `regions` (codes, at most REGIONS_MAX) and `participants`: DIRECTORY_MALFORMED.
"""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from domain.errors import GotongError

LISTED_MAX = 200
REGIONS_MAX = 64
DIRECTORY_BYTES_MAX = 512 * 1024
_REGION = r"^[0-9]{2}(\.[0-9]{2}(\.[0-9]{2}(\.[0-9]{4})?)?)?\Z"


class DirectoryMalformed(GotongError):
    """A peer's directory is not of the form that the protocol gives it."""

    code: ClassVar[str] = "DIRECTORY_MALFORMED"


class Listing(msgspec.Struct, frozen=True):
    """A node that may be named: where it answers, whose it is, in which regions its participants are and how many."""

    url: Annotated[str, Meta(pattern=r"^https?://[!-~]+\Z", max_length=512)]
    operator: Annotated[str, Meta(pattern=r"^Qm[1-9A-HJ-NP-Za-km-z]{44}\Z")]
    name: Annotated[str, Meta(max_length=200)]
    regions: Annotated[list[Annotated[str, Meta(pattern=_REGION)]], Meta(max_length=REGIONS_MAX)]
    participants: Annotated[int, Meta(ge=0, le=1_000_000)]


class _Directory(msgspec.Struct, frozen=True):
    nodes: Annotated[list[Listing], Meta(max_length=LISTED_MAX)]


_directory = msgspec.json.Decoder(_Directory)


def read_directory(data: bytes) -> list[Listing]:
    """Return the nodes that a directory lists, or raise DirectoryMalformed (rule U1.1)."""
    try:
        nodes = _directory.decode(data).nodes
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DirectoryMalformed(f"not a directory: {error}"[:200]) from None
    if any(not each.isprintable() for node in nodes for each in node.name):
        raise DirectoryMalformed("a name holds no control characters")
    return nodes


def write_directory(nodes: Sequence[Listing]) -> bytes:
    """Return the bytes of a directory."""
    return msgspec.json.encode(_Directory(list(nodes)))
