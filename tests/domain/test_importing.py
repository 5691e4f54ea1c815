"""Maps are checked before the first row; rows become drafts or say why not."""

import copy
import tomllib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.import_map import ImportMapInvalid, check_header, parse_import_map
from domain.importing import CsvRow, NeedDraft, Refusal, convert, convert_all
from domain.records.registry import RECORDS
from domain.regions import Regions

MAP = tomllib.loads("""
[source]
name = "lembar-desa"
id = ["no"]
decimal_mark = ","
date_order = "dmy"

[where]
status = ["butuh", "mendesak"]

[fields]
title = {column = "judul", shorten = 40}
description = [{column = "keterangan"}, {column = "english", lang = "en"}]
kind = {column = "jenis", values = {barang = "GOODS", uang = "MONEY"}}
category = {rules = [{where = {label = "buku"}, value = "education.books"}], default = "other"}
urgency = {rules = [{where = {status = "mendesak"}, value = "HIGH"}], default = "MEDIUM"}
region = {column = "wilayah"}
quantity = {value = {column = "jumlah"}, unit = {column = "satuan", values = {buku = "{buku}", kg = "kg"}}}
money = {amount = {column = "rupiah"}}
minimum = {column = "minimal"}
needed_by = {column = "sebelum"}
modes = ["DONATE", "LEND"]
beneficiaries = "31-100"
contact = {name = {column = "nama"}, phone = {column = "telepon"}}
""")
ROW = {
    "no": "7",
    "status": "butuh",
    "judul": "Buku cerita bekas untuk pojok baca di balai desa",
    "keterangan": "Enam puluh anak menunggu.",
    "english": "Sixty children are waiting.",
    "jenis": "barang",
    "label": "buku",
    "wilayah": "Cipanas, Kabupaten Cianjur",
    "jumlah": "1.500",
    "satuan": "buku",
    "rupiah": "",
    "minimal": "10",
    "sebelum": "1/3/2026",
    "nama": "Bu Guru",
    "telepon": "0812-0000-0000",
}
AT = datetime(2026, 2, 1, tzinfo=UTC)


def run(regions: Regions, **cells: str) -> NeedDraft | Refusal | None:
    return convert(parse_import_map(MAP), {**ROW, **cells}, 2, regions)


def edited(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(MAP)
    *way, last = path.split(".")
    holder = document
    for step in way:
        holder = holder[step]
    holder[last] = value
    return document


def test_a_row_becomes_a_need(regions: Regions) -> None:
    draft = run(regions)
    assert isinstance(draft, NeedDraft)
    assert draft.body(AT) == {
        "title": [{"lang": "id", "text": "Buku cerita bekas untuk pojok baca di…"}],
        "description": [
            {"lang": "id", "text": "Enam puluh anak menunggu."},
            {"lang": "en", "text": "Sixty children are waiting."},
        ],
        "kind": "GOODS",
        "category": "education.books",
        "quantity": {"value": "1500", "unit": "{buku}"},
        "minimum": "10",
        "urgency": "MEDIUM",
        "place": {
            "code": "32.03.28",
            "edition": "300.2.2-2138/2025",
            "lat": "-6.71742",
            "lon": "107.01246",
            "precision_m": 5000,
        },
        "neededBy": "2026-03-01T16:59:59.000Z",
        "expiresAt": "2026-03-03T00:00:00.000Z",
        "modes": ["DONATE", "LEND"],
        "beneficiaries": "31-100",
        "status": "OPEN",
        "externalIds": [{"scheme": "import", "value": "lembar-desa:7"}],
    }
    assert draft.restricted == {"contact": {"name": "Bu Guru", "phone": "+6281200000000"}}
    assert (draft.external_id, draft.exercise, draft.line) == ("import:lembar-desa:7", False, 2)


def test_the_same_row_has_the_same_identity_as_its_record(regions: Regions) -> None:
    draft = run(regions)
    assert isinstance(draft, NeedDraft)
    record_type = RECORDS.named("need")
    columns = record_type.row({}, draft.body(AT), at=AT, received=AT)
    assert columns["external_ids"] == [draft.external_id]


def test_a_row_the_map_leaves_out_is_neither_draft_nor_refusal(regions: Regions) -> None:
    assert run(regions, status="selesai") is None


def test_a_row_may_ask_for_rupiah_and_name_a_village(regions: Regions) -> None:
    draft = run(
        regions, jenis="uang", jumlah="", rupiah="Rp 1.500.000,-", minimal="", wilayah="32.03.28.2001", sebelum=""
    )
    assert isinstance(draft, NeedDraft)
    assert draft.body(AT)["money"] == {"amount": "1500000", "currency": "IDR"}
    assert draft.body(AT)["place"]["code"] == "32.03.28.2001"


@pytest.mark.parametrize(
    ("cells", "code", "field"),
    [
        ({"no": " "}, "IMPORT_FIELD_EMPTY", "source.id"),
        ({"judul": ""}, "IMPORT_FIELD_EMPTY", "title"),
        ({"jenis": ""}, "IMPORT_FIELD_EMPTY", "kind"),
        ({"jenis": "doa"}, "IMPORT_VALUE_UNMAPPED", "kind"),
        ({"wilayah": "Cipanas"}, "REGION_AMBIGUOUS", "region"),
        ({"wilayah": "32.99"}, "REGION_UNKNOWN", "region"),
        ({"wilayah": "32-03"}, "REGION_CODE_MALFORMED", "region"),
        ({"jumlah": "banyak"}, "IMPORT_NUMBER_UNCLEAR", "quantity.value"),
        ({"jumlah": "1.5"}, "IMPORT_NUMBER_UNCLEAR", "quantity.value"),
        ({"jumlah": "0"}, "QUANTITY_INVALID", "quantity"),
        ({"jumlah": ""}, "RECORD_INVALID", "quantity"),
        ({"rupiah": "5000"}, "RECORD_INVALID", "quantity"),
        ({"minimal": "2000"}, "RECORD_INVALID", "minimum"),
        ({"sebelum": "besok"}, "INSTANT_INVALID", "needed_by"),
        ({"sebelum": "31/2/2026"}, "INSTANT_INVALID", "needed_by"),
        ({"telepon": "112"}, "CONTACT_INVALID", "contact.phone"),
        ({"keterangan": "balik \u202e"}, "TEXT_INVALID", "description"),
        ({"nama": "a\u202eb"}, "RECORD_INVALID", "contact.name"),
    ],
)
def test_a_row_that_cannot_be_understood_says_why(
    cells: dict[str, str], code: str, field: str, regions: Regions
) -> None:
    refusal = run(regions, **cells)
    assert isinstance(refusal, Refusal)
    assert (refusal.code, refusal.field, refusal.line) == (code, field, 2)
    assert refusal.message


def test_without_a_decimal_mark_only_plain_digits_are_read(regions: Regions) -> None:
    document = copy.deepcopy(MAP)
    del document["source"]["decimal_mark"]
    import_map = parse_import_map(document)
    assert isinstance(convert(import_map, {**ROW, "jumlah": "1500"}, 2, regions), NeedDraft)
    refusal = convert(import_map, ROW, 2, regions)
    assert isinstance(refusal, Refusal)
    assert refusal.code == "IMPORT_NUMBER_UNCLEAR"


def test_ragged_and_repeated_rows_are_refused_and_order_is_kept(regions: Regions) -> None:
    surplus: CsvRow = {**ROW, None: ["extra"]}
    short: CsvRow = {**ROW, "telepon": None}
    skipped: CsvRow = {**ROW, "status": "selesai"}
    rows: list[CsvRow] = [{**ROW}, surplus, short, skipped, {**ROW}, {**ROW, "no": "8"}]
    results = list(convert_all(parse_import_map(MAP), enumerate(rows, start=2), regions))
    assert [getattr(result, "code", "draft") for result in results] == [
        "draft",
        "IMPORT_ROW_RAGGED",
        "IMPORT_ROW_RAGGED",
        "IMPORT_ROW_REPEATED",
        "draft",
    ]
    assert [result.line for result in results] == [2, 3, 4, 6, 7]


@pytest.mark.parametrize(
    ("path", "value", "key"),
    [
        ("source.name", "Lembar Desa", "source.name"),
        ("source.id", [], "source.id"),
        ("source.decimal_mark", ";", "source.decimal_mark"),
        ("source.colour", "red", "source"),
        ("fields.kind", "WISHES", "fields.kind"),
        ("fields.kind.values.barang", "GOOD", "fields.kind"),
        ("fields.category.default", "luck", "fields.category"),
        ("fields.modes", ["GIVE"], "fields.modes"),
        ("fields.title", {"column": "judul", "rules": [{"where": {}, "value": "x"}]}, "fields.title"),
        ("fields.title", {"default": "x"}, "fields.title"),
        ("fields.title", {"column": "judul", "shorten": 1}, "fields.title.shorten"),
        ("fields.description", [{"kolom": "x"}], "fields.description[0]"),
        ("fields.urgency", {"rules": [{"where": {}, "value": "HIGH"}], "values": {}}, "fields.urgency.values"),
        ("fields.contact", {"fax": "1"}, "fields.contact"),
        ("where.status", 1, "where[...]"),
    ],
)
def test_a_mistake_in_the_map_is_named_by_its_key(path: str, value: Any, key: str) -> None:
    with pytest.raises(ImportMapInvalid) as caught:
        parse_import_map(edited(path, value))
    assert caught.value.code == "IMPORT_MAP_INVALID"
    assert caught.value.details["key"] == key


def test_a_map_without_any_amount_is_refused() -> None:
    document = edited("fields.money", None)
    del document["fields"]["money"], document["fields"]["quantity"]
    with pytest.raises(ImportMapInvalid, match="quantity or an amount of money"):
        parse_import_map(document)


def test_a_column_the_file_lacks_is_noticed_before_the_first_row() -> None:
    import_map = parse_import_map(MAP)
    check_header(import_map, ROW.keys())
    keys = {}
    for column in ROW:
        with pytest.raises(ImportMapInvalid) as caught:
            check_header(import_map, ROW.keys() - {column})
        keys[column] = caught.value.details["key"]
    assert keys["no"] == "source.id"
    assert keys["status"] == "where"
    assert keys["label"] == "fields.category.rules[0].where"
    assert keys["satuan"] == "fields.quantity.unit.column"
    assert keys["english"] == "fields.description[1].column"


@given(cells=st.dictionaries(st.sampled_from(sorted(ROW)), st.text(max_size=40)))
def test_whatever_a_row_says_it_becomes_a_draft_or_a_refusal(cells: dict[str, str], regions: Regions) -> None:
    result = run(regions, **cells)
    assert result is None or isinstance(result, NeedDraft | Refusal)
