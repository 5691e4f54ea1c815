"""A record's home gives its restricted part to whom the owner allows, on a proven request, and writes it all down."""

from collections.abc import Awaitable
from datetime import timedelta

import asyncpg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import GotongError
from domain.ids import RecordUri, uuid7
from federation.encoding import canonical
from federation.identity.keys import log_key_name
from federation.identity.writing import ParticipantNotHosted
from federation.lifecycle.custody import rotate
from federation.log.entry import PayloadCommitmentMismatch
from federation.moderation.suppress import set_suppressed
from federation.moderation.trust import set_participant_trust
from federation.restricted import request
from federation.restricted.asking import Waiting
from federation.restricted.release import allow, deny
from federation.sealing import sealed_to
from federation.sync.client import PeerProtocolError
from store import restricted
from tests.nodes import seed_of
from tests.restricted.nodes import PART, PHONE, Side, introduce, side_of
from tests.sockets import http_client
from tests.sync.conftest import MakeNode, client_of


async def refused(work: object) -> str:
    """Return the code that this work is refused with."""
    with pytest.raises(GotongError) as caught:
        await work  # type: ignore[misc]
    return caught.value.code


async def told(work: Awaitable[bytes | Waiting]) -> object:
    """Return the part that this work is given."""
    payload = await work
    assert isinstance(payload, bytes)
    return canonical.decode(payload)


async def allow_asker(home: Side, asker: Side) -> None:
    await allow(home.sync.database, home.guest.scid, asker.guest.scid, actor="sari")


async def test_a_participant_the_owner_chose_is_given_it_once_and_stores_nothing(home: Side, asker: Side) -> None:
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    await allow_asker(home, asker)
    assert await told(asker.asking.request(asker.guest.scid, uri)) == PART
    (release,) = await home.releases()
    assert (release.asker_scid, release.node_scid) == (asker.guest.scid, asker.sync.node.operator.scid)
    assert (release.uri, release.is_released, release.rule) == (str(uri), True, "CHOSEN")
    assert await asker.sync.value("select count(*) from payload where part = 2") == 0
    for table in await asker.sync.rows("select tablename from pg_tables where schemaname = 'public'"):
        assert PHONE not in str(await asker.sync.rows(f"select t::text from {table[0]} t"))


async def test_closed_is_the_default_and_a_refusal_is_written_down(home: Side, asker: Side) -> None:
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    assert await refused(asker.asking.request(asker.guest.scid, uri)) == "RESTRICTED_REFUSED"
    await allow_asker(home, asker)
    await asker.asking.request(asker.guest.scid, uri)
    await deny(home.sync.database, home.guest.scid, asker.guest.scid, actor="sari")
    assert await refused(asker.asking.request(asker.guest.scid, uri)) == "RESTRICTED_REFUSED"
    assert await home.rules() == ["NOT_ALLOWED", "CHOSEN", "NOT_ALLOWED"]


async def test_who_is_allowed_is_one_participant_and_not_its_node(home: Side, asker: Side) -> None:
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    await allow_asker(home, asker)
    operator = asker.sync.node.operator.scid
    assert await refused(asker.asking.request(operator, uri)) == "RESTRICTED_REFUSED"


async def test_who_is_blocked_gets_nothing_although_it_was_chosen(home: Side, asker: Side) -> None:
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    await allow_asker(home, asker)
    await set_participant_trust(home.sync.database, asker.guest.scid, "blocked", actor="sari")
    assert await refused(asker.asking.request(asker.guest.scid, uri)) == "RESTRICTED_REFUSED"
    assert await home.rules() == ["BLOCKED"]


async def test_a_neighbour_on_the_same_node_is_decided_about_like_anybody(home: Side) -> None:
    uri = await home.publish()
    neighbour = await home.sync.node.participant("tetangga")
    assert await refused(home.asking.request(neighbour.scid, uri)) == "RESTRICTED_REFUSED"
    await allow(home.sync.database, home.guest.scid, neighbour.scid, actor="sari")
    assert await told(home.asking.request(neighbour.scid, uri)) == PART
    assert await told(home.asking.request(home.guest.scid, uri)) == PART
    assert await home.rules() == ["NOT_ALLOWED", "CHOSEN", "OWNER"]


async def test_an_older_revision_than_the_homes_is_not_given(home: Side, asker: Side) -> None:
    from federation.publish.append import Draft
    from tests.nodes import fixed, need_body

    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    await allow_asker(home, asker)
    newer = {"contact": {"phone": "+628111111111"}}
    draft = Draft("need", uri.id, fixed(need_body(), restricted=newer))
    await home.sync.node.appender.append(home.guest.scid, [draft])
    assert await refused(asker.asking.request(asker.guest.scid, uri)) == "RESTRICTED_REVISED"
    await asker.sync.pull(home.sync.url)
    assert await told(asker.asking.request(asker.guest.scid, uri)) == newer
    assert await home.rules() == ["REVISED", "CHOSEN"]


async def test_what_was_destroyed_is_gone_and_what_never_was_is_not_asked_for(home: Side, asker: Side) -> None:
    uri, without = await home.publish(), await home.publish(None)
    await asker.sync.pull(home.sync.url)
    await allow_asker(home, asker)
    async with home.sync.database.acquire() as connection:
        await connection.execute("delete from payload where part = 2")
    assert await refused(asker.asking.request(asker.guest.scid, uri)) == "RESTRICTED_GONE"
    assert await refused(asker.asking.request(asker.guest.scid, without)) == "RESTRICTED_GONE"
    assert await home.rules() == ["GONE"]


async def test_a_node_asks_only_for_participants_it_hosts(home: Side, asker: Side) -> None:
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    with pytest.raises(ParticipantNotHosted):
        await asker.asking.request(home.guest.scid, uri)


async def raw(home: Side, asker: Side, body: bytes) -> str:
    """Return the cause for which the home refuses these bytes, sent by the asker's node."""
    async with client_of(asker.sync.node, home.sync.url) as client:
        with pytest.raises(PeerProtocolError) as caught:
            await client.post(
                "restricted", body, content_type="application/json", answer_type="application/json", bytes_max=100_000
            )
    return str(caught.value.details.get("cause"))


async def request_by(home: Side, asker: Side, key: Ed25519PrivateKey, *, who: str, node: str) -> bytes:
    uri = await home.publish()
    until = asker.sync.node.clock() + timedelta(days=7)
    placed = await home.sync.rows("select leaf_hash from entry order by index desc limit 1")
    return request.write_request(
        asker=who, node=node, record=str(uri), leaf=placed[0][0], key=bytes(31) + b"\x09", until=until, log_key=key
    )


async def test_only_the_participants_own_log_key_asks_for_it(home: Side, asker: Side) -> None:
    """An operator that claims to ask for somebody it does not host lacks that one's key."""
    await allow_asker(home, asker)
    operator, guest = asker.sync.node.operator.scid, asker.guest.scid
    operators_key = asker.sync.node.keys.get(log_key_name(operator, 0, 0))
    body = await request_by(home, asker, operators_key, who=guest, node=operator)
    assert await raw(home, asker, body) == "RESTRICTED_REQUEST_UNPROVEN"
    unknown = "Qm" + "1" * 44
    body = await request_by(home, asker, operators_key, who=unknown, node=operator)
    assert await raw(home, asker, body) == "RESTRICTED_REQUEST_UNPROVEN"
    assert await home.rules() == ["NOT_PROVEN", "NOT_PROVEN"]


async def test_a_request_made_for_one_node_is_of_no_use_to_another(
    home: Side, asker: Side, make_node: MakeNode
) -> None:
    await allow_asker(home, asker)
    thief = await side_of(await make_node("pencuri"), "maling")
    await introduce(home, thief)
    key = asker.sync.node.keys.get(log_key_name(asker.guest.scid, 0, 0))
    body = await request_by(home, asker, key, who=asker.guest.scid, node=asker.sync.node.operator.scid)
    assert await raw(home, thief, body) == "RESTRICTED_REQUEST_UNPROVEN"


async def test_without_a_signature_or_as_a_stranger_nothing_is_answered(
    home: Side, asker: Side, make_node: MakeNode
) -> None:

    key = asker.sync.node.keys.get(log_key_name(asker.guest.scid, 0, 0))
    body = await request_by(home, asker, key, who=asker.guest.scid, node=asker.sync.node.operator.scid)
    async with http_client() as http:
        url = f"{home.sync.url}/federation/v1/restricted"
        response = await http.post(url, content=body, headers={"content-type": "application/json"})
    assert (response.status_code, response.json()["code"]) == (401, "SIGNATURE_REQUIRED")
    stranger = await side_of(await make_node("asing"), "asing")
    assert await raw(home, stranger, body) == "CALLER_UNKNOWN"
    assert await home.rules() == []


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"not json", b'{"asker":1}', b"x" * 5000],
    ids=["empty", "no members", "a list", "no JSON", "a number", "too large"],
)
async def test_a_malformed_request_is_refused(home: Side, asker: Side, body: bytes) -> None:
    cause = "BODY_TOO_LARGE" if len(body) > 4096 else "RESTRICTED_REQUEST_MALFORMED"
    assert await raw(home, asker, body) == cause


async def test_an_answer_that_is_not_what_the_log_commits_to_is_refused(
    home: Side, asker: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A home that lies about a contact is found out by whoever holds its log."""
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    await allow_asker(home, asker)
    true_seal = sealed_to.seal

    def other(public_key: bytes, data: bytes, info: bytes) -> bytes:
        return true_seal(public_key, data.replace(PHONE.encode(), b"+629999999999"), info)

    monkeypatch.setattr(sealed_to, "seal", other)
    with pytest.raises(PayloadCommitmentMismatch):
        await asker.asking.request(asker.guest.scid, uri)


async def test_what_passes_between_the_nodes_holds_no_phone_number(
    home: Side, asker: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    await allow_asker(home, asker)
    answers: list[bytes] = []
    true_write = request.write_answer

    def kept(answer: request.Answer) -> bytes:
        answers.append(true_write(answer))
        return answers[-1]

    monkeypatch.setattr(request, "write_answer", kept)
    await asker.asking.request(asker.guest.scid, uri)
    assert len(answers) == 1
    assert PHONE.encode() not in answers[0]
    assert PHONE.encode().hex().encode() not in answers[0]


async def test_the_record_of_answers_cannot_be_changed(home: Side, asker: Side) -> None:
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    assert await refused(asker.asking.request(asker.guest.scid, uri)) == "RESTRICTED_REFUSED"
    for change in ("delete from restricted_release", "update restricted_release set rule = 'OWNER'"):
        with pytest.raises(asyncpg.RaiseError):
            await home.sync.rows(change)
    assert await home.rules() == ["NOT_ALLOWED"]


async def test_only_an_owner_at_home_decides_and_only_about_who_is_known(home: Side, asker: Side) -> None:
    database = home.sync.database
    assert await refused(allow(database, asker.guest.scid, home.guest.scid, actor="x")) == "PARTICIPANT_NOT_HOSTED"
    assert await refused(allow(database, home.guest.scid, "Qm" + "1" * 44, actor="x")) == "PARTICIPANT_NOT_FOUND"
    assert await allow(database, home.guest.scid, asker.guest.scid, actor="x") is True
    assert await allow(database, home.guest.scid, asker.guest.scid, actor="x") is False
    async with database.acquire() as connection:
        assert [each.asker_scid for each in await restricted.grants(connection, home.guest.participant_id)] == [
            asker.guest.scid
        ]


async def refusal(work: object) -> tuple[str, str, dict[str, object]]:
    """Return all that is said of a refusal, but for the record's own name."""
    with pytest.raises(GotongError) as caught:
        await work  # type: ignore[misc]
    return (
        caught.value.code,
        caught.value.message,
        {name: x for name, x in caught.value.details.items() if name != "id"},
    )


async def suppress(side: Side, uri: RecordUri, *, suppressed: bool) -> None:
    at = side.sync.node.appender.now()
    await set_suppressed(side.sync.database, uri, suppressed=suppressed, actor="sari", now=at)


@pytest.mark.parametrize("where", ["home", "asker"])
async def test_what_is_hidden_is_asked_for_as_if_it_were_not_there(home: Side, asker: Side, where: str) -> None:
    uri, unknown = await home.publish(), RecordUri(home.guest.scid, "need", uuid7(1, bytes(10)))
    await asker.sync.pull(home.sync.url)
    await allow_asker(home, asker)
    hiding = {"home": home, "asker": asker}[where]
    await suppress(hiding, uri, suppressed=True)
    if where == "asker":
        nothing = await refusal(asker.asking.request(asker.guest.scid, unknown))
        assert await refusal(asker.asking.request(asker.guest.scid, uri)) == nothing
    else:
        assert await refusal(home.asking.request(home.guest.scid, uri)) == await refusal(
            home.asking.request(home.guest.scid, unknown)
        )  # the operator hides it from its author's people as well
        nothing = await refusal(asker.asking.request(asker.guest.scid, uri))
    assert nothing[0] == "RECORD_NOT_FOUND"
    assert await home.rules() == []  # nothing was decided, as of what is not there
    await suppress(hiding, uri, suppressed=False)
    assert await told(asker.asking.request(asker.guest.scid, uri)) == PART


async def test_a_home_says_the_same_of_what_it_hides_and_of_what_never_was(home: Side, asker: Side) -> None:
    uri, unknown = await home.publish(), RecordUri(home.guest.scid, "need", uuid7(1, bytes(10)))
    await suppress(home, uri, suppressed=True)
    answers = set()
    for each in (uri, unknown):
        body = request.write_request(
            asker=asker.guest.scid,
            node=asker.sync.node.operator.scid,
            record=str(each),
            leaf=bytes(32),
            key=bytes(32),
            until=home.sync.node.clock() + timedelta(days=7),
            log_key=asker.sync.node.keys.get(log_key_name(asker.guest.scid, 0, 0)),
        )
        answers.add(str(await refusal(home.asking.releases.answer(asker.sync.node.operator.scid, body))))
    assert len(answers) == 1


async def test_what_a_participant_in_quarantine_published_is_not_asked_for(home: Side, asker: Side) -> None:
    uri, unknown = await home.publish(), RecordUri(home.guest.scid, "need", uuid7(1, bytes(10)))
    await asker.sync.pull(home.sync.url)
    await allow_asker(home, asker)
    await set_participant_trust(asker.sync.database, home.guest.scid, "quarantined", actor="sari")
    assert await refusal(asker.asking.request(asker.guest.scid, uri)) == await refusal(
        asker.asking.request(asker.guest.scid, unknown)
    )


async def test_who_has_not_heard_of_the_owners_new_key_accuses_nobody(home: Side, asker: Side) -> None:
    uri = await home.publish()
    await asker.sync.pull(home.sync.url)
    node = home.sync.node
    await rotate(node.database, node.keys, home.guest.scid, seed_of("baca-yuk"), now=node.clock())
    assert await refused(asker.asking.request(asker.guest.scid, uri)) == "RESTRICTED_ANSWER_UNPROVEN"
    assert await asker.sync.rows("select code from refusal") == []
    await asker.sync.pull(home.sync.url)
    assert await refused(asker.asking.request(asker.guest.scid, uri)) == "RESTRICTED_REFUSED"
