"""What a bundle's import says of a log of one's own that was lost, and what is told of it afterwards."""

import zlib
from pathlib import Path

from federation.sync.frames import Decoder, Mark, encode
from store.database import connect
from tests.node.conftest import Gotong
from tests.node.test_import import MAP, ROWS

CHECKPOINT = "size, edge, checkpoint, checkpoint_size"


async def lost(begun: Gotong, tmp_path: Path, dsn: str) -> Path:
    """Have a node lose the two needs that it published; return a bundle with them."""
    rows, columns, bundle = tmp_path / "needs.csv", tmp_path / "map.toml", tmp_path / "whole.bundle"
    rows.write_text(ROWS, encoding="utf-8")
    columns.write_text(MAP, encoding="utf-8")
    connection = await connect(dsn)
    try:
        head = await connection.fetchrow(f"select {CHECKPOINT} from log")
        assert head is not None
        assert begun("import", "needs", str(rows), "--map", str(columns), "--as", "simpul-uji").code == 0
        assert begun("bundle", "export", str(bundle)).code == 0
        await connection.execute(f"update log set ({CHECKPOINT}) = ($1, $2, $3, $4)", *head)
        for table in ("entry", "payload", "need"):
            await connection.execute(f"delete from {table} where index >= $1", head["size"])
    finally:
        await connection.close()
    return bundle


async def test_an_import_says_whether_all_of_a_log_of_ones_own_is_back(
    begun: Gotong, tmp_path: Path, database_dsn: str
) -> None:
    whole = await lost(begun, tmp_path, database_dsn)
    frames = Decoder().feed(zlib.decompress(whole.read_bytes(), 16 + zlib.MAX_WBITS))
    mark = next(place for place, frame in enumerate(frames) if isinstance(frame, Mark))
    (tmp_path / "cut.bundle").write_bytes(b"".join(map(encode, frames[:mark])))
    cut = begun("bundle", "import", str(tmp_path / "cut.bundle"), "--json")
    [log] = [each["log"] for each in cut.json["logs"]]
    assert (cut.code, cut.json["taken_back"], cut.json["lacking"]) == (1, [], [log])
    told = begun("bundle", "import", str(tmp_path / "cut.bundle")).out
    assert "nothing is signed in it until the rest is back" in told
    done = begun("bundle", "import", str(whole), "--json")
    assert (done.code, done.json["taken_back"], done.json["lacking"]) == (0, [log], [])
    assert f"OWN_LOG_LONGER  {log}  from a file: " in begun("reports").out
