"""What a verified did:webvh log says: its versions and, from the newest, the DID's present state. No I/O.

Only `federation.did.webvh` makes these; holding one means that every line was verified.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from federation.did.parameters import Parameters, WitnessRule
from federation.encoding.canonical import JSON


@dataclass(frozen=True, slots=True)
class Version:
    """One verified entry. `version_id` (number and chained hash) identifies it: compare ids, never lines.

    Two lines of one version may differ in layout or in their proof and still say the same; two *ids* of one number
    under one SCID are proof that the controller told two stories.
    """

    number: int
    version_id: str
    version_time: datetime
    did: str
    parameters: Parameters
    document_json: bytes
    canonical_bytes: int
    """Of its line, in the form in which lines are kept."""

    @property
    def document(self) -> dict[str, JSON]:
        """A fresh copy of the DID document; changing it changes nothing here."""
        return cast("dict[str, JSON]", json.loads(self.document_json))


@dataclass(frozen=True, slots=True)
class DidState:
    """A verified log: all versions, oldest first, never empty."""

    versions: tuple[Version, ...]

    @property
    def latest(self) -> Version:
        return self.versions[-1]

    @property
    def scid(self) -> str:
        return self.latest.parameters.scid

    @property
    def did(self) -> str:
        return self.latest.did

    @property
    def version_count(self) -> int:
        return len(self.versions)

    @property
    def canonical_bytes(self) -> int:
        """Of all lines, in the form in which they are kept."""
        return sum(version.canonical_bytes for version in self.versions)

    @property
    def version_id(self) -> str:
        return self.latest.version_id

    @property
    def version_time(self) -> datetime:
        return self.latest.version_time

    @property
    def created(self) -> datetime:
        return self.versions[0].version_time

    @property
    def document(self) -> dict[str, JSON]:
        """The newest document, also after deactivation: a resolver must then withhold it, a log verifier needs it."""
        return self.latest.document

    @property
    def deactivated(self) -> bool:
        return self.latest.parameters.deactivated

    @property
    def update_keys(self) -> tuple[str, ...]:
        return self.latest.parameters.update_keys

    @property
    def next_key_hashes(self) -> tuple[str, ...]:
        return self.latest.parameters.next_key_hashes

    @property
    def portable(self) -> bool:
        return self.latest.parameters.portable

    @property
    def witness(self) -> WitnessRule | None:
        return self.latest.parameters.witness
