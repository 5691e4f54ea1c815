"""Asked who executed erasures and who vouches, a peer answers without end, with a bomb, with too much or too slowly."""

import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from domain.errors import GotongError
from federation.erasing import acknowledge
from federation.lifecycle import vouch
from federation.lifecycle.succession import VOUCHES_MAX
from tests.erasure.story import erase
from tests.erasure.test_nodes import cared, swept
from tests.sockets import serving
from tests.sync.conftest import QUICK, MakeNode, Scene
from tests.sync.liar import Liar, drip
from tests.sync.test_hostile_peer import encoded_nothing
from tests.sync.test_vouching import claim, vouched

JSON = "application/json"
PATHS = {"erasures": "acknowledgements", "vouches": "vouches"}
TAKEN_MAX = {"erasures": acknowledge.ACKNOWLEDGEMENTS_SERVED_MAX, "vouches": VOUCHES_MAX}
KEPT = {"erasures": "select count(*) from erasure_acknowledgement", "vouches": "select count(*) from vouch"}


@pytest.fixture
async def scene(make_node: MakeNode) -> AsyncIterator[Scene]:
    """A reader that has something to ask a liar: of an erasure, and of a successor for whom its operator vouches."""
    honest, reader = await make_node("jujur"), await make_node("b")
    guest, heir = [await honest.node.participant(slug, host="jujur.gotong.test") for slug in ("lama", "baru")]
    (need,) = await honest.node.publish_needs(guest.scid, "Beras")
    await erase(honest.node, guest.scid, need)
    await claim(honest, guest.scid, heir.scid)
    await vouched(honest, guest.scid, heir.scid)
    liar = Liar(honest.url)
    async with serving(liar.app) as url:
        await reader.add_peer(url)
        await reader.pull(url)
        await swept(reader)
        yield Scene(honest, guest, reader, liar, url)


def bomb(_member: str) -> Response:
    squeezed = zlib.compressobj(wbits=31)
    body = b"".join(squeezed.compress(b" " * 1_000_000) for _ in range(20)) + squeezed.flush()
    return Response(body, media_type=JSON, headers={"content-encoding": "gzip"})


def endless(member: str) -> Response:
    async def body() -> AsyncIterator[bytes]:
        yield b'{"%s":[' % member.encode()
        async for piece in drip(b'"x",' * 10_000, 0):
            yield piece

    return StreamingResponse(body(), media_type=JSON)


def listed(*statements: Any) -> Callable[[str], Response]:
    return lambda member: Response(orjson.dumps({member: list(statements)}), media_type=JSON)


BODIES: dict[str, Callable[[str], Response]] = {
    "without end": endless,
    "a gzip bomb": bomb,
    "nothing, encoded, without end": lambda _: encoded_nothing(),
    "forty thousand statements": listed(*[""] * 40_000),
    "one of a hundred thousand bytes": listed("x" * 100_000),
    "notes of thousands of signatures": listed(*["a\n\n" + "— a AAAAAAAA\n" * 120] * 70),
    "text instead of a list": lambda member: Response(orjson.dumps({member: "x" * 100_000}), media_type=JSON),
    "numbers instead of notes": listed(*range(100)),
    "a list in lists": lambda member: Response(b'{"%s":%s' % (member.encode(), b"[" * 100_000), media_type=JSON),
    "half a character": lambda member: Response(b'{"%s":["\\ud800"]}' % member.encode(), media_type=JSON),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("body", BODIES)
async def test_answers_that_are_too_much_cost_little_and_change_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, path: str, body: str
) -> None:
    looked_at = count_takes(scene, monkeypatch)
    scene.liar.answer = lambda request, _: BODIES[body](PATHS[path]) if f"/{path}/" in request.url.path else None
    await turn(scene)
    assert looked_at[path] <= TAKEN_MAX[path]
    assert await scene.puller.value(KEPT[path]) == (1 if path == "erasures" else 0)  # what it says itself
    scene.liar.be_honest()
    assert (await turn(scene))[1] >= (0 if path == "erasures" else 1)
    assert await scene.puller.value(KEPT["vouches"]) == 1


@pytest.mark.parametrize("path", PATHS)
async def test_an_answer_that_drips_ends_the_peers_turn(scene: Scene, path: str) -> None:
    def slow(request: Request, _body: bytes) -> Response | None:
        dripping = StreamingResponse(drip(b" ", 0.2), media_type=JSON)
        return dripping if f"/{path}/" in request.url.path else None

    scene.puller.limits = QUICK
    scene.liar.answer = slow
    with pytest.raises(GotongError) as refusal:
        await cared(scene.puller, scene.url)
    assert refusal.value.code == "PEER_TIMEOUT"


async def turn(scene: Scene) -> tuple[int, int]:
    """Return what a turn of aftercare brought, nothing if what the peer sent ended it."""
    try:
        return await cared(scene.puller, scene.url)
    except GotongError as error:
        if error.code not in {"PEER_TOO_MUCH", "ACKNOWLEDGEMENT_MALFORMED"}:
            raise
        return 0, 0


def count_takes(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Return how many statements of each kind the reader looks at from now on."""
    counts = dict.fromkeys(PATHS, 0)
    for path, module in (("erasures", acknowledge), ("vouches", vouch)):

        def counted(database: Any, *given: Any, path: str = path, true: Any = module.take, **named: Any) -> Any:
            counts[path] += database is scene.puller.database
            return true(database, *given, **named)

        monkeypatch.setattr(module, "take", counted)
    return counts
