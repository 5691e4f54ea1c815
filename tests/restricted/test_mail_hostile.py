"""A mirror that alters, replays, swaps, withholds or makes up requests and answers delays them, and nothing worse."""

import dataclasses
import json
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from domain.errors import GotongError
from domain.ids import RecordUri
from federation.moderation.trust import set_participant_trust
from federation.restricted import request
from federation.restricted.asking import Waiting
from federation.restricted.mail import Brought, write_brought
from federation.restricted.mailbox import Mailbox
from federation.restricted.release import MAIL_ROUNDS_MAX, deny
from federation.sealing import sealed_to
from tests.clock import FrozenClock
from tests.mirror.conftest import Mirror
from tests.restricted.away import Away, MakeAway
from tests.restricted.nodes import PART, asking_of
from tests.restricted.test_mail import asked, asker, home
from tests.restricted.test_release import refused, told
from tests.sync.conftest import MakeNode, client_of

__all__ = ["asker", "home"]


def mailbox(mirror: Mirror) -> Mailbox:
    return asking_of(mirror.served.node).mailbox


async def request_of(asker: Away, uri: RecordUri) -> bytes:
    rows = await asker.laptop.rows("select request from restricted_asked where uri = $1", str(uri))
    return bytes(rows[0][0])


async def waits_still(mirror: Mirror, home: Away, asker: Away, uri: RecordUri) -> None:
    """The asker is told what is wrong, goes on waiting, and is answered when the mirror is honest again."""
    assert await refused(asker.ask(uri)) == "RESTRICTED_ANSWER_UNPROVEN"
    reports = await asker.laptop.rows("select code from refusal")
    assert reports == [("RESTRICTED_ANSWER_UNPROVEN",)]
    await mirror.served.rows("update restricted_mail set answer = null")
    assert isinstance(await asker.ask(uri), Waiting)
    await home.online()
    assert await told(asker.ask(uri)) == PART
    assert await home.rules() == ["CHOSEN"]


# ---- towards the home -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", ["asker", "node", "record", "leaf", "key", "until"])
async def test_an_altered_request_is_not_answered_and_leaves_no_trace(
    mirror: Mirror, home: Away, asker: Away, member: str
) -> None:
    uri = await asked(home, asker)
    other = await home.publish(title="Air")
    stated = json.loads(await request_of(asker, uri))
    stated[member] = {
        "asker": home.scid,
        "node": mirror.served.node.operator.scid,
        "record": str(other),
        "leaf": "00" * 32,
        "key": "09" + "00" * 31,
        "until": "2026-03-20T09:26:53.589Z",
    }[member]
    altered = json.dumps(stated, separators=(",", ":"), sort_keys=True).encode()
    await mirror.served.rows("update restricted_mail set request = $1", altered)
    await home.online()
    assert await home.releases() == []
    assert await mirror.served.rows("select answer from restricted_mail") == [(None,)]


async def test_a_request_that_comes_again_is_answered_again_and_written_down_once(
    mirror: Mirror, home: Away, asker: Away
) -> None:
    await asked(home, asker)
    for _ in range(3):
        await home.online()
        assert await mirror.served.value("select answer is not null from restricted_mail")
        await mirror.served.rows("update restricted_mail set answer = null")
    assert await home.rules() == ["CHOSEN"]
    await deny(home.laptop.database, home.scid, asker.scid, actor="sari")
    await home.online()
    assert await home.rules() == ["CHOSEN", "NOT_ALLOWED"]


async def test_a_request_out_of_time_is_not_answered_however_long_a_mirror_keeps_it(
    mirror: Mirror, home: Away, asker: Away
) -> None:
    uri = await home.publish()
    await asker.online()
    await asker.ask(uri)
    await home.online()
    await home.allow(asker.scid)
    await mirror.served.rows("update restricted_mail set answer = null, until = until + interval '1 year'")
    home.laptop.node.clock.now += timedelta(days=7)
    await home.online()
    assert await home.rules() == ["NOT_ALLOWED"]


async def test_a_home_whose_clock_is_wrong_answers_all_the_same(mirror: Mirror, home: Away, asker: Away) -> None:
    """Its battery is flat: it says 2010, and knows from its mirror how wrong that is."""
    uri = await asked(home, asker)
    behind = timedelta(days=5_900)
    node = dataclasses.replace(home.laptop.node, clock=FrozenClock(home.laptop.node.clock() - behind))
    async with client_of(node, mirror.url, skew_ms=-round(behind.total_seconds() * 1000)) as client:
        assert await asking_of(node).releases.answer_mail(client) == 1
    assert await told(asker.ask(uri)) == PART


async def test_a_request_given_to_another_depositor_is_of_no_use_there(
    mirror: Mirror, home: Away, asker: Away, make_away: MakeAway
) -> None:
    uri = await asked(home, asker)
    thief = await make_away("pencuri")
    await mirror.served.rows(
        "update participant set home_peer_id = (select id from peer where operator_scid = $1) where scid = $2",
        thief.scid,
        home.scid,
    )
    await thief.online()
    forged = await forged_answer(asker, uri, thief.laptop.node.keys.get(f"log-{thief.scid}-0-0"))
    await mailbox(mirror).exchange(thief.scid, [forged])
    assert await mirror.served.rows("select answer from restricted_mail") == [(None,)]
    assert isinstance(await asker.ask(uri), Waiting)


async def test_a_home_stops_when_a_mirror_gives_for_ever(
    home: Away, mirror: Mirror, asker: Away, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = await asked(home, asker)
    body = await request_of(asker, uri)
    given = 0

    async def again(self: Mailbox, operator_scid: str, brought: Any) -> list[bytes]:
        nonlocal given
        given += 1
        log_key = asker.laptop.node.keys.get(f"log-{asker.scid}-0-0")
        read = request.read_request(body)
        made = request.write_request(
            asker=read.asker,
            node=read.node,
            record=read.record,
            leaf=bytes.fromhex(read.leaf),
            key=(given + 9).to_bytes(32, "little"),
            until=read.until_at,
            log_key=log_key,
        )
        return [made, body, b"{}"]

    monkeypatch.setattr(Mailbox, "exchange", again)
    await home.laptop.syncer.once(mirror.url)
    assert given == MAIL_ROUNDS_MAX


@pytest.mark.parametrize("given", [b"", b"{}", b'{"requests":[""]}', b'{"requests":[1]}', b"[" * 5000])
async def test_a_mirror_that_gives_nonsense_keeps_nobody_from_copying(
    home: Away, mirror: Mirror, asker: Away, given: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    await asked(home, asker)
    monkeypatch.setattr("api.federation_restricted.write_given", lambda _requests: given)
    await asker.publish(title="Selimut")
    done = await home.laptop.syncer.once(mirror.url)
    assert (done.entries, done.mail) == (1, 1)
    assert await home.releases() == []


# ---- towards the one who asks ---------------------------------------------------------------------------------------


async def forged_answer(asker: Away, uri: RecordUri, key: Ed25519PrivateKey) -> Brought:
    """Return a refusal of the asker's request that somebody else signed: sealing needs no secret."""
    body = await request_of(asker, uri)
    to = bytes.fromhex(request.read_request(body).key)
    sealed = sealed_to.seal(to, request.refused("RESTRICTED_REFUSED"), request.answer_info(body))
    return Brought(request.request_hash(body).hex(), request.sign_answer(sealed, request=body, log_key=key))


async def test_a_refusal_that_the_mirror_makes_up_is_told_from_the_owners(
    mirror: Mirror, home: Away, asker: Away
) -> None:
    uri = await asked(home, asker)
    forged = await forged_answer(asker, uri, Ed25519PrivateKey.generate())
    await mirror.served.rows("update restricted_mail set answer = $1", request.write_answer(forged.answer))
    await waits_still(mirror, home, asker, uri)


async def test_answers_that_are_swapped_are_told_apart(mirror: Mirror, home: Away, asker: Away) -> None:
    uri = await asked(home, asker)
    other = await home.publish({"contact": {"phone": "+628222222222"}}, title="Air")
    await asker.online()
    await asker.ask(other)
    await home.online()
    await mirror.served.rows(
        """
        update restricted_mail mine set answer = theirs.answer from restricted_mail theirs
        where mine.uri = $1 and theirs.uri = $2
        """,
        str(uri),
        str(other),
    )
    assert await refused(asker.ask(uri)) == "RESTRICTED_ANSWER_UNPROVEN"
    assert await told(asker.ask(other)) == {"contact": {"phone": "+628222222222"}}
    await mirror.served.rows("update restricted_mail set answer = null")
    await home.online()
    assert await told(asker.ask(uri)) == PART


async def test_an_answer_with_a_bit_flipped_is_refused(mirror: Mirror, home: Away, asker: Away) -> None:
    uri = await asked(home, asker)
    await home.online()
    await mirror.served.rows(
        """
        update restricted_mail set answer = convert_to(overlay(
            convert_from(answer, 'UTF8') placing
            case when substr(convert_from(answer, 'UTF8'), 40, 1) = '0' then '1' else '0' end from 40), 'UTF8')
        """
    )
    await waits_still(mirror, home, asker, uri)


async def test_an_answer_is_of_no_use_to_another_node(
    mirror: Mirror, home: Away, asker: Away, make_away: MakeAway
) -> None:
    """Who saw a request cannot have its answer: the request names the node, and the key to open it is there."""
    uri = await asked(home, asker)
    await home.online()
    body = await request_of(asker, uri)
    thief = await make_away("pencuri")
    async with thief.laptop.client(mirror.url) as client:
        with pytest.raises(GotongError) as caught:
            await client.post(
                "restricted", body, content_type="application/json", answer_type="application/json", bytes_max=100_000
            )
    assert caught.value.details["cause"] == "RESTRICTED_REQUEST_UNPROVEN"


@pytest.mark.parametrize(
    "code", ["RESTRICTED_REFUSED", "RESTRICTED_GONE", "RECORD_NOT_FOUND", "RESTRICTED_REQUEST_UNPROVEN"]
)
async def test_a_refusal_that_nobody_signed_ends_no_waiting(
    mirror: Mirror, home: Away, asker: Away, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = await asked(home, asker)

    class Refused(GotongError):
        """What the mirror says."""

    async def refuse(*_: Any) -> bytes:
        error = Refused("no")
        error.code = code  # type: ignore[misc]
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(Mailbox, "take", refuse)
        found = await refused(asker.ask(uri))
    assert found not in ("RESTRICTED_REFUSED", "RESTRICTED_GONE")
    await home.online()
    assert await told(asker.ask(uri)) == PART


# ---- how much, and who ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("limit", ["MAIL_PER_ASKER_MAX", "MAIL_PER_NODE_MAX", "MAIL_PER_HOME_MAX", "bytes"])
async def test_a_flood_of_requests_is_stopped_and_what_waits_is_answered(
    mirror: Mirror, home: Away, asker: Away, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = await asked(home, asker)
    more = [await home.publish(title=title) for title in ("Air", "Obat")]
    await asker.online()
    name, value = ("MAIL_BYTES_PER_HOME_MAX", 900) if limit == "bytes" else (limit, 2)
    monkeypatch.setattr(f"federation.restricted.mailbox.{name}", value)
    assert isinstance(await asker.ask(more[0]), Waiting)
    with pytest.raises(GotongError) as caught:
        await asker.ask(more[1])
    assert (caught.value.code, caught.value.details["status"]) == ("PEER_BUSY", 429)
    assert caught.value.details["retry_after_s"] == 3_600
    assert isinstance(await asker.ask(uri), Waiting)  # what waits is asked again all the same
    await home.online()
    assert await told(asker.ask(uri)) == PART


async def test_requests_for_who_is_blocked_or_is_not_at_home_here_are_not_kept(
    mirror: Mirror, home: Away, asker: Away, make_node: MakeNode
) -> None:
    uri = await home.publish()
    await asker.online()
    await set_participant_trust(mirror.served.database, asker.scid, "quarantined", actor="x")
    assert await refused(asker.ask(uri)) == "RESTRICTED_REQUEST_UNPROVEN"
    await set_participant_trust(mirror.served.database, asker.scid, "allowed", actor="x")
    await mirror.served.rows("update peer set deposits_here = false where operator_scid = $1", home.scid)
    assert await refused(asker.ask(uri)) == "RECORD_NOT_FOUND"
    assert await mirror.served.value("select count(*) from restricted_mail") == 0


async def test_only_depositors_fetch_and_only_what_is_theirs(mirror: Mirror, home: Away, asker: Away) -> None:
    await asked(home, asker)
    assert await mailbox(mirror).exchange(asker.scid, []) == []
    assert len(await mailbox(mirror).exchange(home.scid, [])) == 1
    with pytest.raises(GotongError) as caught:
        await mailbox(mirror).exchange(mirror.served.node.operator.scid, [])
    assert caught.value.code == "DEPOSIT_NOT_INVITED"


async def test_an_answer_that_does_not_hold_is_left_out_and_the_others_are_kept(
    mirror: Mirror, home: Away, asker: Away
) -> None:
    uri = await asked(home, asker)
    own_key = home.laptop.node.keys.get(f"log-{home.scid}-0-0")
    forged = await forged_answer(asker, uri, Ed25519PrivateKey.generate())
    true = await forged_answer(asker, uri, own_key)
    unknown = Brought("00" * 32, true.answer)
    body = write_brought([(bytes.fromhex(each.request), each.answer) for each in (forged, unknown, true)])
    async with home.laptop.client(mirror.url) as client:
        kind = "application/json"
        given = await client.post("restricted/mail", body, content_type=kind, answer_type=kind, bytes_max=100_000)
    assert json.loads(given) == {"requests": []}
    assert await refused(asker.ask(uri)) == "RESTRICTED_REFUSED"
