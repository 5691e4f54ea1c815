"""What a restored node lost of its own logs comes back in a file, or from a reader that nobody can ask."""

import zlib
from base64 import b64decode, b64encode
from pathlib import Path

import pytest

from federation.lifecycle.custody import rotate
from federation.lifecycle.moving import take_back
from federation.moderation.trust import add_peer
from federation.sync import serve
from federation.sync.frames import CheckpointNote, Decoder, FrameTruncated, Mark, encode
from tests.mirror.conftest import Laptop, MakeNode, Mirror, SyncNode, exported, imported
from tests.nodes import seed_of
from tests.sync.test_forks import HEAD, roll_back, titles
from tests.sync.test_guard import begun, ended, guard_of, publishes

__all__ = ["ended"]

IDENTITY = "select did_version, did_hash from participant where scid = $1"
STREAM = "select stream_id from node_state"
REPORTED = "select code from refusal order by id"


async def lost(node: SyncNode) -> bytes:
    """Have a node lose the two newest of its operator's three needs, and return a bundle from before that."""
    who = node.node.operator
    await node.node.publish_needs(who.scid, "Beras")
    [backup] = await node.rows(HEAD, who.origin)
    await node.node.publish_needs(who.scid, "Air bersih", "Selimut")
    data = await exported(node)
    await node.value("update node_state set seen = true")
    await roll_back(node, who.origin, backup)
    return data


async def begins(node: SyncNode, data: bytes, *, marks: int = 0) -> None:
    """Import a bundle of one log that breaks off after so many of its batches."""
    frames = Decoder().feed(zlib.decompress(data, 16 + zlib.MAX_WBITS))
    ends = [place for place, frame in enumerate(frames) if isinstance(frame, Mark)]
    with pytest.raises(FrameTruncated):
        await imported(node, b"".join(map(encode, frames[: ends[marks]])))


async def test_a_log_of_our_own_is_taken_back_from_a_file_and_goes_on_from_there(
    make_node: MakeNode, tmp_path: Path
) -> None:
    home, reader = await make_node("rumah"), await make_node("lsm")
    who = home.node.operator
    data = await lost(home)
    await imported(reader, data)
    stream = await home.value(STREAM)
    taken = (await imported(home, data))[who.origin]
    assert (taken.entries, taken.error) == (2, None)
    assert await home.rows(REPORTED) == [("OWN_LOG_LONGER",)]
    assert await home.value(STREAM) != stream
    assert await titles(home, who.scid) == ["Beras", "Air bersih", "Selimut"]
    await guard_of(home, tmp_path).confirm()
    await begun(home, tmp_path)
    assert await publishes(home)
    await reader.add_peer(home.url)
    assert (await reader.pull(home.url)).refused == {}
    assert (await reader.node.check(who.origin)).signed_size == 5


async def test_nothing_is_signed_until_all_that_a_broken_off_file_tells_of_is_back(
    make_node: MakeNode, tmp_path: Path
) -> None:
    home = await make_node("rumah")
    data = await lost(home)
    await begins(home, data)
    await guard_of(home, tmp_path).confirm()
    await begun(home, tmp_path)
    assert not await publishes(home)
    assert (await imported(home, data))[home.node.operator.origin].entries == 2
    assert await publishes(home)


async def test_what_a_longer_file_told_of_is_waited_for_although_a_shorter_one_comes_in_pieces(
    make_node: MakeNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = await make_node("rumah")
    [backup] = await home.rows(HEAD, home.node.operator.origin)
    await home.node.publish_needs(home.node.operator.scid, "Beras", "Air bersih", "Selimut")
    monkeypatch.setattr(serve, "PAGE_ENTRIES_MAX", 1)
    shorter = await exported(home)
    await home.node.publish_needs(home.node.operator.scid, "Tenda")
    longer = await exported(home)
    await home.value("update node_state set seen = true")
    await roll_back(home, home.node.operator.origin, backup)
    await begins(home, longer)
    await begins(home, shorter, marks=2)
    assert await home.value("select size from log") == 2
    assert (await imported(home, shorter))[home.node.operator.origin].entries == 2
    await guard_of(home, tmp_path).confirm()
    await begun(home, tmp_path)
    assert not await publishes(home)
    assert (await imported(home, longer))[home.node.operator.origin].entries == 1
    assert await publishes(home)


async def test_the_same_longer_note_is_told_once_however_often_it_comes(make_node: MakeNode) -> None:
    home = await make_node("rumah")
    data = await lost(home)
    await begins(home, data)
    stream = await home.value(STREAM)
    for _ in range(2):
        await begins(home, data)
    assert await home.value(STREAM) == stream
    assert await home.rows(REPORTED) == [("OWN_LOG_LONGER",)]


async def test_a_change_of_keys_that_was_lost_comes_back_in_a_file(make_node: MakeNode) -> None:
    """Else the key that was retired would sign on, for which its owner is held to account."""
    home = await make_node("rumah")
    who = home.node.operator
    await home.node.publish_needs(who.scid, "Beras")
    [head] = await home.rows(HEAD, who.origin)
    [identity] = await home.rows(IDENTITY, who.scid)
    now = home.node.clock.advance(minutes=1)
    await rotate(home.database, home.node.keys, who.scid, seed_of("rumah.gotong.test"), now=now)
    unchanged = await exported(home)
    await home.node.publish_needs(who.scid, "Selimut")
    grown = await exported(home)
    for data, entries in ((unchanged, 0), (grown, 1)):
        await roll_back(home, who.origin, head)
        await home.value("delete from did_line where version > $1", identity[0])
        await home.value(
            "update participant set did_version = $2, did_hash = $3, hosted = true where scid = $1", who.scid, *identity
        )
        await home.value("update log set key_number = 0")
        taken = (await imported(home, data))[who.origin]
        assert (taken.entries, taken.error) == (entries, None)
        assert await home.rows("select did_version, hosted from participant") == [(identity[0] + 1, False)]
        assert await home.rows(REPORTED) == []
        await take_back(home.database, home.node.keys, who.scid)
    assert await titles(home, who.scid) == ["Beras", "Selimut"]
    assert await publishes(home)


async def test_a_longer_note_that_is_not_ours_holds_nothing_up(make_node: MakeNode, tmp_path: Path) -> None:
    home = await make_node("rumah")
    frames = Decoder().feed(zlib.decompress(await lost(home), 16 + zlib.MAX_WBITS))
    forged = [CheckpointNote(_resigned(each.note)) if isinstance(each, CheckpointNote) else each for each in frames]
    taken = (await imported(home, b"".join(map(encode, forged))))[home.node.operator.origin]
    assert taken.error is not None
    assert taken.error.code == "CHECKPOINT_SIGNATURE_INVALID"
    await guard_of(home, tmp_path).confirm()
    await begun(home, tmp_path)
    assert await publishes(home)


def _resigned(own: bytes) -> bytes:
    """Return the note with another signature under the same name and key number."""
    text, line = own.rsplit(b" ", 1)
    signature = b64decode(line)
    return text + b" " + b64encode(signature[:4] + bytes(len(signature) - 4)) + b"\n"


async def test_a_laptop_gives_its_mirror_back_what_only_it_has(mirror: Mirror, laptop: Laptop) -> None:
    home = mirror.served
    who = home.node.operator
    await home.node.publish_needs(who.scid, "Beras")
    [backup] = await home.rows(HEAD, who.origin)
    await home.node.publish_needs(who.scid, "Selimut")
    await laptop.syncer.once(mirror.url)
    await roll_back(home, who.origin, backup)
    await laptop.syncer.once(mirror.url)
    assert await titles(home, who.scid) == ["Beras", "Selimut"]
    assert (await home.node.check(who.origin)).signed_size == 3
    assert await home.rows(REPORTED) == [("OWN_LOG_LONGER",)]
    await home.node.publish_needs(who.scid, "Tenda")
    assert (await laptop.syncer.once(mirror.url)).refused == {}
    assert await laptop.value("select count(*) from evidence") == 0


async def test_a_laptop_sends_nobody_what_others_publish(mirror: Mirror, laptop: Laptop, make_node: MakeNode) -> None:
    """Whoever publishes it is asked by the mirror itself: on the laptop's network each byte costs."""
    other = await make_node("desa")
    for one in (mirror.served, laptop):
        await add_peer(one.database, other.url, trust="allowed", actor="test")
        await one.syncer.once(other.url)
    await other.node.publish_needs(other.node.operator.scid, "Beras")
    await laptop.syncer.once(other.url)
    done = await laptop.syncer.once(mirror.url)
    assert other.node.operator.origin in done.behind
    assert await titles(mirror.served, other.node.operator.scid) == []
