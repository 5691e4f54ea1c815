"""An identity with two faces: one newest version told here, another there. Whoever meets both tellings can prove it."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from starlette.responses import Response

from federation.did import webvh
from federation.identity import create
from federation.identity.cards import update_key
from federation.identity.create import public_key
from federation.lifecycle.enroll import Enrolled
from federation.lifecycle.introduce import take_lines
from federation.lifecycle.recover import recover
from federation.log import evidence
from federation.log.service import log_service
from federation.witness.freeze import accept
from store import participants
from tests.nodes import seed_of
from tests.sockets import serving
from tests.sync.conftest import MakeNode, SyncNode
from tests.sync.liar import Liar

FROZEN = "select frozen_size from log where origin = $1"
KINDS = "select kind from evidence"


@dataclass
class Faces:
    """A guest of a home, and two nodes that copy from it and relay it."""

    home: SyncNode
    left: SyncNode
    right: SyncNode
    guest: Enrolled

    async def line(self, after: list[bytes], address: str) -> bytes:
        """Return a valid next entry of the guest's DID log that says it is at some address."""
        state = webvh.verify(after, now=self.home.node.clock(), scid=self.guest.scid)
        number = state.version_count
        return create.update(
            state,
            update_key=update_key(seed_of("ojol"), number),
            next_public_key=public_key(update_key(seed_of("ojol"), number + 1)),
            now=self.home.node.clock.advance(minutes=1),
            service=replace(log_service(state), base_url=address),
        )

    async def lines(self) -> list[bytes]:
        async with self.home.database.acquire() as connection:
            return await participants.did_lines(connection, self.guest.participant_id)

    async def tell(self, node: SyncNode, lines: list[bytes]) -> None:
        body = b"\n".join(lines)
        await take_lines(node.database, self.guest.scid, body, now=self.home.node.clock())


@pytest.fixture
async def faces(make_node: MakeNode) -> Faces:
    home, left, right = [await make_node(name) for name in ("rumah", "kiri", "kanan")]
    guest = await home.node.participant("ojol", host="rumah.gotong.test")
    await home.node.publish_needs(guest.scid, "Beras")
    for node in (left, right):
        await node.add_peer(home.url)
        assert (await node.pull(home.url)).refused == {}
    await right.add_peer(left.url)
    return Faces(home, left, right, guest)


@pytest.mark.parametrize("more", [0, 1])
async def test_two_newest_versions_are_found_when_two_nodes_meet_though_nothing_was_refused(
    faces: Faces, more: int
) -> None:
    """`more`: how many versions one of them has beyond the one that is told in two ways."""
    begun = await faces.lines()
    one, other = [[*begun, await faces.line(begun, f"https://{name}.example.org")] for name in ("kiri", "kanan")]
    for _ in range(more):
        other.append(await faces.line(other, "https://lagi.example.org"))
    await faces.tell(faces.left, one)
    await faces.tell(faces.right, other)
    assert (await faces.right.pull(faces.left.url)).refused == {}
    assert await faces.right.rows(KINDS) == [("identity",)]
    assert await faces.right.value(FROZEN, faces.guest.origin) == 2


async def test_the_log_that_is_gone_on_with_is_frozen_whichever_telling_the_evidence_puts_last(faces: Faces) -> None:
    """One of the two entries began an epoch: the other one's log is history to those who took it."""
    home, right, guest = faces.home, faces.right, faces.guest
    begun = await faces.lines()
    stayed = await faces.line(begun, "https://kiri.example.org")
    now = home.node.clock.advance(minutes=1)
    await recover(home.database, home.node.keys, guest.scid, seed_of("ojol"), size=2, now=now)
    assert (await right.pull(home.url)).refused == {}
    data = evidence.build_identity([*begun, stayed], None, (await faces.lines())[1])
    finding = await accept(right.database, data, now)
    assert finding is not None
    assert finding.origin == f"gotong/{guest.scid}/1"
    assert await right.value(FROZEN, finding.origin) == 2


async def test_a_peer_that_is_behind_or_ahead_is_no_fork(faces: Faces) -> None:
    begun = await faces.lines()
    grown = [*begun, await faces.line(begun, "https://baru.example.org")]
    await faces.tell(faces.right, grown)
    assert (await faces.right.pull(faces.left.url)).refused == {}
    await faces.tell(faces.left, grown)
    grown.append(await faces.line(grown, "https://lagi.example.org"))
    await faces.tell(faces.left, grown)
    assert (await faces.right.pull(faces.left.url)).refused == {}
    assert await faces.right.value("select did_version from participant where scid = $1", faces.guest.scid) == 3
    assert await faces.right.rows(KINDS) == []


@pytest.mark.parametrize("seed", range(8))
async def test_whatever_hash_and_did_log_a_peer_shows_nobody_is_accused_who_told_one_story(
    faces: Faces, seed: int
) -> None:
    chance = random.Random(seed)
    begun = await faces.lines()
    grown = [*begun, await faces.line(begun, "https://baru.example.org")]
    for node in (faces.left, faces.right):
        await faces.tell(node, grown)
    liar = Liar(faces.left.url, heads=_lying_hash(chance))
    liar.answer = lambda request, body: _lying_log(chance, request.url.path, body)
    async with serving(liar.app) as url:
        await faces.right.add_peer(url)
        for _ in range(4):
            assert (await faces.right.pull(url)).refused == {}
    assert await faces.right.rows(KINDS) == []
    assert await faces.right.value(FROZEN, faces.guest.origin) is None
    assert await faces.right.value("select count(*) from refusal") == 0


def _lying_hash(chance: random.Random) -> Callable[[bytes], bytes]:
    def tamper(body: bytes) -> bytes:
        heads = json.loads(body)
        for log in heads["logs"]:
            log["did_hash"] = chance.choice(["Qm" + "1" * 44, "", log["did_hash"][::-1], "x" * 64])
            log["did_version"] = chance.choice([1, 2, 2])
        return json.dumps(heads).encode()

    return tamper


def _lying_log(chance: random.Random, path: str, body: bytes) -> Response | None:
    if not path.endswith("did.jsonl"):
        return None
    lines = body.splitlines()
    kind = chance.randrange(5)
    if kind == 0:  # the last one altered
        lines[-1] = lines[-1].replace(b"baru.example.org", b"lain.example.org")
    elif kind == 1:  # with another id
        lines[-1] = lines[-1].replace(b'"versionId":"2-', b'"versionId":"2-Qm')
    elif kind == 2:  # in another order
        lines.reverse()
    elif kind == 3:
        lines = [b"no line"]
    else:
        lines = lines[:1]
    return Response(b"\n".join(lines), media_type="text/jsonl")
