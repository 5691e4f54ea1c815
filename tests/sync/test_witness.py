"""A node cosigns its peers' logs exactly as C2SP tlog-witness says, and its own logs are cosigned by them."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from federation.encoding import base64text
from federation.identity.keys import log_key_name
from federation.lifecycle.enroll import Enrolled
from federation.log import add_checkpoint, note
from federation.log.cosigners import cosigner_name
from federation.log.evidence import LogFrozen
from federation.log.merkle import EMPTY_ROOT
from federation.log.note import Checkpoint, Signer
from spec.cases import naive
from tests.sockets import http_client
from tests.sync.conftest import MakeNode, SyncNode

PATH = "/federation/v1/add-checkpoint"


@dataclass
class Asked:
    """A log hosted by one node, and another node that is asked to cosign it."""

    home: SyncNode
    guest: Enrolled
    witness: SyncNode
    http: httpx.AsyncClient

    async def post(self, body: bytes) -> httpx.Response:
        return await self.http.post(self.witness.url + PATH, content=body)

    async def note(self) -> bytes:
        found: bytes = await self.home.value("select checkpoint from log where origin = $1", self.guest.origin)
        return found

    async def leaves(self) -> list[bytes]:
        query = "select leaf_hash from entry join log on log.id = log_id where origin = $1 order by index"
        return [row[0] for row in await self.home.rows(query, self.guest.origin)]

    async def proof(self, old: int) -> list[bytes]:
        return naive.consistency(old, await self.leaves())

    def signed(self, size: int, root: bytes, *, origin: str | None = None) -> bytes:
        """Return a checkpoint of any tree, signed with the log's true key."""
        name = origin or self.guest.origin
        key = self.home.node.keys.get(log_key_name(self.guest.scid, 0, 0))
        text = f"{name}\n{size}\n{base64text.encode(root)}\n"
        return note.sign(text, Signer(name, key))


@pytest.fixture
async def asked(make_node: MakeNode) -> AsyncIterator[Asked]:
    home, witness = await make_node("a"), await make_node("b")
    guest = await home.node.participant("ojol", host="a.gotong.test")
    await home.node.publish_needs(guest.scid, "Beras", "Air bersih", "Selimut", "Obat")
    await witness.add_peer(home.url)
    await witness.pull(home.url)
    async with http_client() as http:
        yield Asked(home, guest, witness, http)


async def test_a_known_log_is_cosigned_by_the_operators_key(asked: Asked) -> None:
    answer = await asked.post(add_checkpoint.write(0, [], await asked.note()))
    assert answer.status_code == 200
    assert answer.text.startswith("— ")
    assert answer.text.endswith("\n")
    operator = asked.witness.node.operator
    key = asked.witness.node.keys.get(f"cosign-{operator.scid}-0").public_key().public_bytes_raw()
    cosigned = await asked.note() + answer.content
    at_s = note.verify_cosignature(cosigned, cosigner_name(operator.scid), key)
    assert at_s == int(asked.witness.node.clock().timestamp())
    origin_hash = hashlib.sha256(asked.guest.origin.encode()).hexdigest()
    kept = await asked.http.get(f"{asked.witness.url}/federation/v1/{origin_hash}/checkpoint")
    assert kept.content == cosigned


async def test_the_old_size_has_to_be_the_one_cosigned_last(asked: Asked) -> None:
    first = await asked.note()
    assert (await asked.post(add_checkpoint.write(0, [], first))).status_code == 200
    await asked.home.node.publish_needs(asked.guest.scid, "Tenda", "Lampu")
    answer = await asked.post(add_checkpoint.write(0, [], await asked.note()))
    assert (answer.status_code, answer.text, answer.headers["content-type"]) == (409, "5\n", "text/x.tlog.size")
    grown = add_checkpoint.write(5, await asked.proof(5), await asked.note())
    assert (await asked.post(grown)).status_code == 200
    again = await asked.post(grown)
    assert (again.status_code, again.text) == (409, "7\n")
    assert (await asked.post(add_checkpoint.write(7, [], await asked.note()))).status_code == 200
    assert (await asked.post(add_checkpoint.write(5, [], first))).status_code == 409


async def test_what_does_not_extend_is_not_cosigned(asked: Asked) -> None:
    await asked.post(add_checkpoint.write(0, [], await asked.note()))
    five = bytes(32)
    for body in (
        add_checkpoint.write(5, [], asked.signed(5, five)),
        add_checkpoint.write(5, [five], await asked.note()),
        add_checkpoint.write(5, [five, five, five], asked.signed(7, five)),
        add_checkpoint.write(5, [], asked.signed(7, five)),
        add_checkpoint.write(0, [], asked.signed(0, five)),
    ):
        answer = await asked.post(body)
        assert (answer.status_code, answer.text.split(":")[0]) == (422, "CHECKPOINT_NOT_EXTENDING")
    assert await asked.witness.value("select max(size) from cosignature") == 5
    assert await asked.witness.value("select size from witnessed") == 5


async def test_a_proof_from_nothing_is_refused(asked: Asked) -> None:
    assert (await asked.post(add_checkpoint.write(0, [bytes(32)], await asked.note()))).status_code == 422


async def test_the_empty_tree_may_be_cosigned(asked: Asked) -> None:
    assert (await asked.post(add_checkpoint.write(0, [], asked.signed(0, EMPTY_ROOT)))).status_code == 200
    assert (await asked.post(add_checkpoint.write(0, [], await asked.note()))).status_code == 200


async def test_unknown_logs_are_not_found(asked: Asked) -> None:
    stranger = await asked.home.node.participant("baru", host="a.gotong.test")
    unknown = await asked.home.value("select checkpoint from log where origin = $1", stranger.origin)
    own = await asked.witness.value("select checkpoint from log where origin = $1", asked.witness.node.operator.origin)
    other = asked.signed(5, bytes(32), origin="example.com/log")
    later = asked.signed(5, bytes(32), origin=f"gotong/{asked.guest.scid}/1")
    for each in (unknown, own, other, later):
        assert (await asked.post(add_checkpoint.write(0, [], each))).status_code == 404
    missing = await asked.http.get(f"{asked.witness.url}/federation/v1/{'0' * 64}/checkpoint")
    assert missing.status_code == 404


async def test_a_blocked_participants_log_is_not_found(asked: Asked) -> None:
    await asked.witness.value("update participant set trust = 'blocked' where scid = $1", asked.guest.scid)
    assert (await asked.post(add_checkpoint.write(0, [], await asked.note()))).status_code == 404


async def test_only_the_logs_key_speaks_for_it(asked: Asked) -> None:
    true = await asked.note()
    stranger = Signer(asked.guest.origin, asked.home.node.keys.get(log_key_name(asked.home.node.operator.scid, 0, 0)))
    forged = note.sign_checkpoint(Checkpoint(asked.guest.origin, 5, bytes(32)), stranger)
    text, _, line = true.rpartition(b"\n\n")
    broken = text.replace(b"\n5\n", b"\n6\n") + b"\n\n" + line
    for each in (forged, broken):
        assert (await asked.post(add_checkpoint.write(0, [], each))).status_code == 403
    both = note.with_signatures(true, note.parse_note(forged).signatures)
    assert (await asked.post(add_checkpoint.write(0, [], both))).status_code == 200  # unknown keys are ignored


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"old 0\n",
        b"old 0\n\n",
        b"old 00\n\n%b",
        b"old -1\n\n%b",
        b"old 6\n\n%b",
        b"old 9007199254740993\n\n%b",
        b"new 0\n\n%b",
        b"old 0\nnot base64\n\n%b",
        b"old 0\n" + b"AAAA\n" + b"\n%b",
        b"old 5\n" + b"A" * 43 + b"=\n" * 1 + (b"A" * 43 + b"=\n") * 63 + b"\n%b",
        b"\xff\xfe\n\n%b",
        b"old 0\n\n%b" + b"x" * 200_000,
    ],
)
async def test_a_malformed_request_is_refused(asked: Asked, body: bytes) -> None:
    answer = await asked.post(body.replace(b"%b", await asked.note()))
    assert answer.status_code in (400, 413)
    assert await asked.witness.value("select count(*) from witnessed") == 0


async def test_of_two_requests_at_once_one_is_cosigned(asked: Asked) -> None:
    """Without the lock both would find size 5, and the smaller one could be remembered last."""
    await asked.post(add_checkpoint.write(0, [], await asked.note()))
    bodies = []
    for title in ("Tenda", "Lampu", "Genset"):
        await asked.home.node.publish_needs(asked.guest.scid, title)
        bodies.append(add_checkpoint.write(5, await asked.proof(5), await asked.note()))
    answers = await asyncio.gather(*(asked.post(body) for body in bodies))
    assert sorted(each.status_code for each in answers) == [200, 409, 409]
    size = await asked.witness.value("select size from witnessed")
    assert [each.text for each in answers if each.status_code == 409] == [f"{size}\n"] * 2


async def test_peers_cosign_what_is_published_and_pass_cosignatures_on(make_node: MakeNode) -> None:
    a, b, c = await make_node("a"), await make_node("b"), await make_node("c")
    guest = await a.node.participant("ojol", host="a.gotong.test")
    await a.node.publish_needs(guest.scid, "Beras")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await a.add_peer(b.url)
    await a.pull(b.url)
    assert await a.ask_for_cosignatures() == 2  # the operator's log and the guest's
    assert await a.ask_for_cosignatures() == 0  # said lately
    await c.add_peer(b.url)
    await c.add_peer(a.url)
    await c.pull(a.url)
    await c.pull(b.url)
    await c.pull(a.url)
    query = """
        select cosigner.scid, cosignature.size from cosignature join log on log.id = log_id
        join participant cosigner on cosigner.id = cosigner_id where origin = $1
    """
    assert await c.rows(query, guest.origin) == [(b.node.operator.scid, 2)]
    await a.node.publish_needs(guest.scid, "Air bersih")
    assert await a.ask_for_cosignatures() == 1
    async with http_client() as http:
        served = await http.get(f"{a.url}/federation/v1/log/{guest.scid}/0/checkpoint")
    names = [each.name for each in note.parse_note(served.content).signatures]
    assert names == [guest.origin, cosigner_name(b.node.operator.scid)]
    assert await a.value("select count(*) from cosignature join log on log.id = log_id where origin = $1",
                         guest.origin) == 1  # fmt: skip


async def test_a_cosignature_of_a_clock_that_is_off_is_not_kept(make_node: MakeNode) -> None:
    a, b = await make_node("a"), await make_node("b")
    await b.add_peer(a.url)
    await b.pull(a.url)
    await a.add_peer(b.url)
    await a.pull(b.url)
    a.node.clock.advance(minutes=-16)  # one clock object serves both: b signs now, a reads later
    at = a.node.clock()
    b.node.clock.advance(minutes=16)
    assert await a.ask_for_cosignatures() == 1
    await a.value("delete from cosignature")
    a.witnessing.clock = lambda: at
    await b.value("update witnessed set size = 0, note = ''")
    assert await a.ask_for_cosignatures() == 0


async def test_a_log_that_a_witness_does_not_cosign_holds_up_no_other(asked: Asked) -> None:
    """It cosigned a tree of which the home has lost the end, and will never cosign another one in its place."""
    await asked.home.add_peer(asked.witness.url)
    await asked.home.pull(asked.witness.url)
    refused = asked.home.node.operator
    await asked.home.node.publish_needs(refused.scid, "Tikar")
    await asked.witness.pull(asked.home.url)
    key = asked.home.node.keys.get(log_key_name(refused.scid, 0, 0))
    lost = note.sign(f"{refused.origin}\n1\n{base64text.encode(bytes(32))}\n", Signer(refused.origin, key))
    await asked.witness.rows(
        "insert into witnessed (log_id, size, note) select id, 1, $2 from log where origin = $1", refused.origin, lost
    )
    assert await asked.home.ask_for_cosignatures() == 1
    assert await asked.home.rows("select origin from cosignature join log on log.id = log_id") == [
        (asked.guest.origin,)
    ]
    await asked.home.node.publish_needs(asked.guest.scid, "Tenda")
    assert await asked.home.ask_for_cosignatures() == 1


async def test_an_announcement_has_the_home_asked(asked: Asked) -> None:
    await asked.witness.value("update peer set next_pull_at = 'infinity'")
    await asked.post(add_checkpoint.write(0, [], await asked.note()))
    assert await asked.witness.value("select next_pull_at = 'infinity' from peer")  # it holds all of that
    await asked.home.node.publish_needs(asked.guest.scid, "Tenda")
    await asked.post(add_checkpoint.write(5, await asked.proof(5), await asked.note()))
    assert await asked.witness.value("select next_pull_at = 'epoch' from peer")


def test_a_witness_of_a_longer_tree_needs_a_longer_proof() -> None:
    """The pure half: what it may cosign is decided from its memory alone."""
    leaves = [naive.leaf(bytes([index])) for index in range(9)]
    origin = "gotong/QmVectorsVectorsVectorsVectorsVectorsVectors12/0"
    cosigned = Checkpoint(origin, 4, naive.root(leaves[:4]))
    body = add_checkpoint.write(4, naive.consistency(4, leaves), _unsigned(Checkpoint(origin, 9, naive.root(leaves))))
    request = add_checkpoint.parse(body)
    add_checkpoint.require_extension(request, cosigned, None)
    with pytest.raises(add_checkpoint.WitnessAtOtherSize):
        add_checkpoint.require_extension(request, None, None)
    with pytest.raises(LogFrozen):
        add_checkpoint.require_extension(request, cosigned, 4)
    with pytest.raises(add_checkpoint.CheckpointNotExtending):
        add_checkpoint.require_extension(request, Checkpoint(origin, 4, bytes(32)), None)


def _unsigned(checkpoint: Checkpoint) -> bytes:
    return note.Note(note.checkpoint_text(checkpoint), (note.Signature("x", b"abcd", b"e"),)).to_bytes()
