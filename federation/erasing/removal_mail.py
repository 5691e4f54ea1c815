"""Give requests for removal to the home of the record, and fetch those for records that are at home here. Shell.

Rules, with the error that answers each:
- A4.3 a request is given to the record's home (section 12), or to who deposits its log there (X3.2), if that peer is
  allowed; it is given until it is taken, for 30 days at most.
- A4.4 a home keeps a letter once, and of one peer at most OPEN_PER_PEER_MAX that nobody has settled; a mirror keeps
  those for who deposits with it in the same way, and passes them on. What is about others it does not take.
"""

from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from domain.errors import GotongError
from domain.ids import parse_uri
from federation.erasing import removal
from federation.erasing.removal import Fetch, Letter
from federation.requests.caller import CallerUnknown
from federation.sealing import sealed_to
from federation.sync.client import PeerClient
from store import peers, removals
from store.database import Database

OPEN_PER_PEER_MAX = 100
ROUNDS_MAX = 8
"""Of one exchange with a peer, which could go on for ever."""


@dataclass(frozen=True, slots=True)
class RemovalMail:
    """The requests for removal that come and go."""

    database: Database

    async def give(self, peer_id: int, fetch: Fetch, asked: bytes) -> bytes:
        """Return what waits for a peer, sealed as rule A4.2 has it, after noting what it has taken.

        Raises CallerUnknown for a peer that is not allowed, SealBroken for a key that is none.
        """
        async with self.database.transaction() as connection:
            if await peers.trust_of(connection, peer_id) != "allowed":
                raise CallerUnknown("requests for removal go to peers that are allowed here")
            await removals.note_taken(connection, peer_id, fetch.taken)
            found = await removals.give(connection, peer_id, removal.EXCHANGED_MAX)
        letters = [Letter(each.letter, each.uri, each.reason) for each in found]
        data = removal.write_letters(letters)
        return removal.write_given(sealed_to.seal(bytes.fromhex(fetch.key), data, removal.fetch_info(asked)))

    async def fetch(self, client: PeerClient, peer_id: int) -> int:
        """Return how many requests that waited at a peer are new here; raises the Peer errors and rules A4.1, A4.2."""
        new = 0
        taken: list[str] = []
        for _ in range(ROUNDS_MAX):
            key = X25519PrivateKey.generate()
            asked = removal.write_fetch(key.public_key().public_bytes_raw(), taken)
            answer = await client.post(
                "removals",
                asked,
                content_type="application/json",
                answer_type="application/json",
                bytes_max=removal.GIVEN_BYTES_MAX + len('{"sealed":""}'),
            )
            opened = sealed_to.unseal(key, removal.read_given(answer), removal.fetch_info(asked))
            taken, fresh = await self._take(peer_id, removal.read_letters(opened))
            new += fresh
            if not taken:
                break
        return new

    async def _take(self, peer_id: int, letters: list[Letter]) -> tuple[list[str], int]:
        """Return the letters that are here now, and how many of them are new."""
        taken: list[str] = []
        new = 0
        async with self.database.transaction() as connection:
            for each in letters:
                try:
                    uri = parse_uri(each.record)
                except GotongError:
                    continue
                kept = await removals.take(
                    connection, each.letter, str(uri), uri.scid, each.reason, peer_id, OPEN_PER_PEER_MAX
                )
                if kept is not None:
                    taken.append(each.letter)
                    new += kept
        return taken, new
