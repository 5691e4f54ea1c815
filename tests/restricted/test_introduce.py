"""A peer learns of changed keys from DID entries that prove themselves, whoever brings them."""

import pytest

from api.federation_backup import BackupEdge
from api.federation_identity import IdentityEdge
from domain.errors import GotongError
from federation.lifecycle.custody import rotate
from federation.lifecycle.introduce import take_lines, tell_operator
from store import participants
from tests.nodes import seed_of
from tests.restricted.nodes import Side
from tests.sockets import http_client
from tests.sync.conftest import client_of


def serve_identities(side: Side) -> None:
    edge = IdentityEdge(side.sync.database, side.sync.node.clock, side.sync.callers)
    side.sync.app.router.routes.extend(edge.routes())


async def lines_of(side: Side, scid: str) -> list[bytes]:
    async with side.sync.database.acquire() as connection:
        found = await participants.find(connection, scid)
        assert found is not None
        return await participants.did_lines(connection, found.id)


async def code_of(side: Side, scid: str, body: bytes) -> str:
    with pytest.raises(GotongError) as caught:
        await take_lines(side.sync.database, scid, body, now=side.sync.node.clock())
    return caught.value.code


async def test_a_node_with_new_keys_is_known_again_when_it_told_of_them(home: Side, asker: Side) -> None:
    serve_identities(asker)
    asker.sync.app.router.routes.extend(BackupEdge(asker.sync.database, asker.sync.callers).routes())
    operator = home.sync.node.operator.scid
    home.sync.node.clock.advance(seconds=90)
    await rotate(
        home.sync.database, home.sync.node.keys, operator, seed_of("desa.gotong.test"), now=home.sync.node.clock()
    )

    async def asked() -> str:
        async with client_of(home.sync.node, asker.sync.url) as client:
            with pytest.raises(GotongError) as caught:
                await client.post(
                    "backup", b"{}", content_type="application/json", answer_type="application/json", bytes_max=4096
                )
        return str(caught.value.details.get("cause"))

    assert await asked() == "CALLER_UNKNOWN"
    async with client_of(home.sync.node, asker.sync.url) as client:
        await tell_operator(home.sync.database, client)
        await tell_operator(home.sync.database, client)  # again does no harm
    assert await asked() == "BACKUP_MALFORMED"
    assert await lines_of(asker, operator) == await lines_of(home, operator)


async def test_lines_of_others_and_of_strangers_are_refused(home: Side, asker: Side) -> None:
    operator, guest = home.sync.node.operator.scid, home.guest.scid
    mine, other = await lines_of(home, operator), await lines_of(home, guest)
    assert await code_of(asker, operator, b"\n".join(other)) == "DID_LINES_UNKNOWN"
    assert await code_of(asker, operator, b"") == "DID_LINES_UNKNOWN"
    assert await code_of(asker, "Qm" + "1" * 44, b"\n".join(mine)) == "DID_LINES_UNKNOWN"
    assert await code_of(asker, operator, b"\n".join([*mine, *other])) != "DID_LINES_UNKNOWN"
    assert await lines_of(asker, operator) == mine


async def test_what_is_too_large_is_not_read(asker: Side) -> None:
    serve_identities(asker)
    url = f"{asker.sync.url}/federation/v1/did/{asker.guest.scid}/did.jsonl"
    async with http_client() as http:
        response = await http.post(url, content=b"x" * (4 * 1024 * 1024 + 1))
    assert (response.status_code, response.json()["code"]) == (413, "BODY_TOO_LARGE")
