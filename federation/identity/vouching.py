"""Write and read how a node's operator vouches for a successor, or takes that back: a signed note, one a claim. Pure.

    gotong/vouch/v1
    <network>
    gotong:<SCID of the predecessor>
    gotong:<SCID of the successor>
    <time>

It says: I know the people, and those who begin anew as the successor are those who were the predecessor. With
`gotong/vouch-withdrawn/v1` as its first line it says: I do not vouch for that, whatever I said before. It proves that
an operator said so, not that it is true; who believes it is decided by a person on each node.

Rules, with the code that answers each:
- I1.1 the text is these five lines: the first in one of both forms, `live` or `test`, two participants' URIs (rule
  R1.3), an instant (rule E1.7): VOUCH_MALFORMED.
- I1.2 it is one signed note with one signature, named `gotong/<SCID of the operator>/vouch`: VOUCH_MALFORMED.
- I1.3 predecessor, successor and operator are three participants: VOUCH_FOR_ONESELF.
- I1.4 the network is the reader's: VOUCH_OF_ANOTHER_NETWORK.
- I1.5 a `#cosign-<n>` key of that operator's newest DID document made the signature: VOUCH_SIGNATURE_INVALID.
- I1.6 of what one operator says of one claim the statement with the later instant counts; of two of one instant the one
  that withdraws. (A definition: nothing answers it.)
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import GotongError
from domain.ids import SCID_SYNTAX, format_uri
from federation.log import operator_note
from federation.log.entry import instant, parse_instant

HEADER: Final = "gotong/vouch/v1"
WITHDRAWN_HEADER: Final = "gotong/vouch-withdrawn/v1"
VOUCH_BYTES_MAX: Final = 1_024
USE: Final = "vouch"
_NETWORKS = ("live", "test")
_URI = re.compile(rf"gotong:(?P<scid>{SCID_SYNTAX})")


class VouchMalformed(GotongError):
    """The bytes do not vouch for a successor."""

    code: ClassVar[str] = "VOUCH_MALFORMED"


class VouchForOneself(GotongError):
    """Somebody vouches for itself, as successor or predecessor."""

    code: ClassVar[str] = "VOUCH_FOR_ONESELF"


class VouchOfAnotherNetwork(GotongError):
    """An operator of the other network vouches for somebody there."""

    code: ClassVar[str] = "VOUCH_OF_ANOTHER_NETWORK"


class VouchSignatureInvalid(GotongError):
    """The operator that is said to vouch did not sign that, or is not known here."""

    code: ClassVar[str] = "VOUCH_SIGNATURE_INVALID"


@dataclass(frozen=True, slots=True)
class Vouch:
    """What an operator says: the participant `predecessor` goes on as `successor`, or `withdrawn` no longer that.

    All three are SCIDs.
    """

    operator: str
    predecessor: str
    successor: str
    network: str
    at: datetime
    withdrawn: bool = False


def sign(said: Vouch, key: Ed25519PrivateKey) -> bytes:
    """Return the statement as a note signed by the operator's cosigning key; raises VouchForOneself (rule I1.3)."""
    _require_three(said)
    header = WITHDRAWN_HEADER if said.withdrawn else HEADER
    lines = (header, said.network, format_uri(said.predecessor), format_uri(said.successor), instant(said.at))
    return operator_note.sign(lines, said.operator, USE, key)


def read(data: bytes) -> Vouch:
    """Return what a note says, its signature unverified, or raise VouchMalformed or VouchForOneself (I1.1 to I1.3)."""
    if len(data) > VOUCH_BYTES_MAX:
        raise VouchMalformed("longer than any statement", bytes_max=VOUCH_BYTES_MAX)
    try:
        operator, lines = operator_note.read(data, USE, lines=5)
        said_at = parse_instant(lines[4])
    except GotongError as error:
        raise VouchMalformed(f"nobody vouches here: {error.message}", cause=error.code) from None
    header, network = lines[:2]
    if header not in (HEADER, WITHDRAWN_HEADER) or network not in _NETWORKS:
        raise VouchMalformed("the first two lines name the form and the network")
    old, new = _URI.fullmatch(lines[2]), _URI.fullmatch(lines[3])
    if old is None or new is None:
        raise VouchMalformed("predecessor and successor are named gotong:<SCID>")
    said = Vouch(operator, old["scid"], new["scid"], network, said_at, header == WITHDRAWN_HEADER)
    _require_three(said)
    return said


def supersedes(said: Vouch, before: Vouch) -> bool:
    """Return whether a statement counts instead of another one by that operator about that claim (rule I1.6)."""
    return (said.at, said.withdrawn) > (before.at, before.withdrawn)


def check_network(said: Vouch, network: str) -> None:
    """Return if the statement is about the reader's network, or raise VouchOfAnotherNetwork (rule I1.4)."""
    if said.network != network:
        raise VouchOfAnotherNetwork("that is about the other network", network=said.network)


def verify(data: bytes, said: Vouch, public_keys: Sequence[bytes]) -> None:
    """Return if one of the operator's keys signed the note, or raise VouchSignatureInvalid (rule I1.5)."""
    try:
        operator_note.verify(data, said.operator, USE, public_keys)
    except GotongError as error:
        raise VouchSignatureInvalid(
            "no key of that operator signed this", operator=said.operator, cause=error.code
        ) from None


def _require_three(said: Vouch) -> None:
    if len({said.operator, said.predecessor, said.successor}) != 3:
        raise VouchForOneself("predecessor, successor and who vouches are three", operator=said.operator)
