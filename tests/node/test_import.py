"""Importing a spreadsheet: dry run, report, and a second run that repeats nothing."""

import asyncio
from pathlib import Path

import pytest

from store.database import connect
from tests.node.conftest import Gotong

MAP = """
[source]
name = "posko"
id = ["nomor"]

[fields]
title = { column = "kebutuhan" }
kind = "GOODS"
category = { column = "jenis", values = { beras = "food.rice", buku = "education.books" } }
urgency = "HIGH"
region = { column = "tempat" }
quantity = { value = { column = "jumlah" }, unit = "kg" }
"""
ROWS = """\
nomor,kebutuhan,jenis,jumlah,tempat
1,Beras untuk dapur umum,beras,25,32.03.28
2,Buku cerita,buku,10,34.71
3,Yang tempatnya tidak jelas,beras,5,Cipanas
4,Yang jumlahnya bukan angka,beras,banyak,34.71
"""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    (tmp_path / "needs.csv").write_text(ROWS, encoding="utf-8")
    (tmp_path / "map.toml").write_text(MAP, encoding="utf-8")
    return [str(tmp_path / "needs.csv"), "--map", str(tmp_path / "map.toml"), "--as", "simpul-uji", "--json"]


def test_a_dry_run_publishes_nothing_and_names_every_refused_row(begun: Gotong, files: list[str]) -> None:
    dry = begun("import", "needs", *files, "--dry-run").json
    assert (dry["published"], dry["repeated"]) == (2, 0)
    assert [(row["line"], row["code"]) for row in dry["refused"]] == [
        (4, "REGION_AMBIGUOUS"),
        (5, "IMPORT_NUMBER_UNCLEAR"),
    ]
    assert [log["size"] for log in begun("verify", "--json").json["logs"]] == [2]


def test_a_second_run_publishes_only_what_is_new(begun: Gotong, files: list[str], tmp_path: Path) -> None:
    assert begun("import", "needs", *files).json["published"] == 2
    with Path(files[0]).open("a", encoding="utf-8") as more:
        more.write("5,Beras lagi,beras,5,34.71\n")
    report = tmp_path / "report.csv"
    again = begun("import", "needs", *files, "--report", str(report)).json
    assert (again["published"], again["repeated"], len(again["refused"])) == (1, 2, 2)
    assert [log["size"] for log in begun("verify", "--json").json["logs"]] == [5]
    assert [line.split(",")[:2] for line in report.read_text().splitlines()] == [
        ["line", "code"],
        ["4", "REGION_AMBIGUOUS"],
        ["5", "IMPORT_NUMBER_UNCLEAR"],
    ]


def test_a_row_changed_since_it_was_published_is_refused_not_published_twice(begun: Gotong, files: list[str]) -> None:
    begun("import", "needs", *files)
    Path(files[0]).write_text(ROWS.replace(",25,", ",250,"), encoding="utf-8")
    again = begun("import", "needs", *files).json
    assert (again["published"], again["repeated"]) == (0, 1)
    assert (2, "IMPORT_ROW_CHANGED") in [(row["line"], row["code"]) for row in again["refused"]]


def test_a_node_that_has_forgotten_its_keys_publishes_no_row_twice(
    begun: Gotong, files: list[str], database_dsn: str
) -> None:
    begun("import", "needs", *files)
    asyncio.run(_forget_keys(database_dsn))
    with Path(files[0]).open("a", encoding="utf-8") as more:
        more.write("5,Beras lagi,beras,5,34.71\n")
    again = begun("import", "needs", *files).json
    assert (again["published"], again["repeated"]) == (1, 2)
    assert begun("import", "needs", *files).json["repeated"] == 3
    assert [log["size"] for log in begun("verify", "--json").json["logs"]] == [5]


async def _forget_keys(dsn: str) -> None:
    """Have the database be as after a restore from copies."""
    connection = await connect(dsn)
    await connection.execute("delete from idempotency")
    await connection.close()


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "IMPORT_FILE_UNREADABLE"),
        (b"nomor,lain\n1,2\n", "IMPORT_MAP_INVALID"),
        (b"nomor,kebutuhan,jenis,jumlah,tempat\n1,\xff\xfe,beras,5,34.71\n", "IMPORT_FILE_UNREADABLE"),
        (b'nomor,kebutuhan,jenis,jumlah,tempat\n1,"tak tertutup,beras,5,34.71\n', "IMPORT_FILE_UNREADABLE"),
    ],
)
def test_an_unreadable_file_is_refused_as_a_whole(begun: Gotong, files: list[str], content: bytes, code: str) -> None:
    Path(files[0]).write_bytes(content)
    ran = begun("import", "needs", *files)
    assert (ran.code, ran.json["error"]["code"]) == (1, code)


def test_rows_are_checked_one_by_one(begun: Gotong, files: list[str]) -> None:
    header = "nomor,kebutuhan,jenis,jumlah,tempat\n"
    Path(files[0]).write_text(header + "1,Beras,beras,5,34.71,lebih\n2,Beras,beras,5,99.99\n3,\x00,beras,5,34.71\n")
    refused = begun("import", "needs", *files, "--dry-run").json["refused"]
    assert [(row["line"], row["code"]) for row in refused] == [
        (2, "IMPORT_ROW_RAGGED"),
        (3, "REGION_UNKNOWN"),
        (4, "TEXT_INVALID"),
    ]


def test_semicolons_and_a_byte_order_mark_are_read(begun: Gotong, files: list[str]) -> None:
    Path(files[0]).write_text("\ufeff" + ROWS.replace(",", ";"), encoding="utf-8")
    assert begun("import", "needs", *files).json["published"] == 2
