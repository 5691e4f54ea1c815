"""The language-neutral JSON Schemas and the typed bodies accept exactly the same shapes."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator, ValidationError, validators
from referencing import Registry, Resource

from domain.records.base import RecordInvalid
from domain.records.registry import RECORDS
from tests.domain.samples import SCID, WHOLE

SCHEMAS = Path(__file__).parents[2] / "spec" / "records"


def ecma_pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """Match as ECMA-262 does (the dialect JSON Schema names): there `$` is the very end, in Python not quite."""
    if isinstance(instance, str) and not re.search(re.sub(r"\$(?=\)|\Z)", r"\\Z", pattern), instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def load(name: str) -> Any:
    return json.loads((SCHEMAS / f"{name}-1.schema.json").read_text(encoding="utf-8"))


Validator: Any = validators.extend(Draft202012Validator, {"pattern": ecma_pattern})  # type: ignore[no-untyped-call]
SHARED = Registry().with_resource("urn:gotong:record:shared:1", Resource.from_contents(load("shared")))
FROM = {"size": 7, "root": "ab" * 32, "genesis": "cd" * 32}
VALIDATORS = {name: Validator(load(name), registry=SHARED) for name in (*WHOLE, "log")}


def has_the_shape(name: str, record: dict[str, Any]) -> bool:
    """Say whether the typed structs take the record, rules between members apart."""
    record_type = RECORDS.named(name)
    try:
        record_type.parse(record.get("body"))
        if "restricted" in record:
            record_type.parse_restricted(record["restricted"])
    except RecordInvalid:
        return False
    return True


def paths(value: Any, prefix: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    """Return the way to every value inside a record."""
    items: list[tuple[str | int, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [prefix, *(way for key, inner in items for way in paths(inner, (*prefix, key)))]


def replaced(record: dict[str, Any], way: tuple[str | int, ...], value: Any) -> dict[str, Any]:
    copied: Any = copy.deepcopy(record)
    holder = copied
    for step in way[:-1]:
        holder = holder[step]
    if value is REMOVE:
        del holder[way[-1]]
    else:
        holder[way[-1]] = value
    return dict(copied)


REMOVE = object()
AWKWARD: list[Any] = [
    REMOVE,
    None,
    True,
    0,
    -1,
    10**9,
    "",
    " ",
    "\n",
    "0",
    "-0",
    "00",
    "1.0",
    "1.50",
    "1e3",
    "1\n",
    [],
    {},
]
AWKWARD += ["90", "90.1", "-90", "180", "180.5", "9.5", "0.0000001", "0.00000001", "1" * 12, "1" * 15, "1" * 16, "١"]
AWKWARD += [
    "{a}",
    "{}",
    "{a b}",
    "kg m",
    "IDR",
    "idr",
    "id",
    "id-ID",
    "ID",
    "zh-Hant-TW",
    "32",
    "32.03.28.2001",
    "32\n",
]
AWKWARD += [
    "tab\tinside",
    "line\ninside",
    "nul\x00",
    "rtl\u202e",
    "iso\u2066",
    "bom\ufeff",
    "a" * 200,
    "a" * 201,
    "é" * 200,
]
AWKWARD += ["2026-02-01T00:00:00.000Z", "2026-02-01T00:00:00Z", "2026-02", "2026-13", "UTC", "Asia/Jakarta", "A//B"]
AWKWARD += [f"gotong:{SCID}", f"gotong:{SCID}/", "a@b.id", "a@b", "+62812345678", "+0812345678", "https://a", "ftp://a"]
AWKWARD += ["OPEN", "open", "1-5", "food", "food.", "a-b", "a--b", "ab", "ab" * 32, "AB" * 32, [{}], [{"lang": "id"}]]


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_the_full_record_fits_its_schema(name: str) -> None:
    VALIDATORS[name].validate(WHOLE[name])
    assert has_the_shape(name, WHOLE[name])


@pytest.mark.parametrize("name", [*sorted(WHOLE), "log"])
def test_each_schema_is_a_schema_and_explains_itself(name: str) -> None:
    Draft202012Validator.check_schema(load(name))
    assert load(name)["description"]
    assert load(name)["$id"] == f"urn:gotong:record:{name}:1"


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_schema_and_struct_agree_on_every_awkward_value_in_every_place(name: str) -> None:
    accepted = refused = 0
    disagreements = []
    for way in paths(WHOLE[name])[1:]:
        for value in AWKWARD:
            record = replaced(WHOLE[name], way, value)
            by_schema, by_struct = VALIDATORS[name].is_valid(record), has_the_shape(name, record)
            if by_schema != by_struct:
                disagreements.append((way, value, by_schema, by_struct))
            accepted, refused = accepted + by_struct, refused + (not by_struct)
    assert disagreements == []
    assert accepted > 40
    assert refused > 400


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_schema_and_struct_agree_on_whatever_else_arrives(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(WHOLE)))
    way = data.draw(st.sampled_from(paths(WHOLE[name])[1:]))
    record = replaced(WHOLE[name], way, data.draw(JSON_VALUES))
    assert VALIDATORS[name].is_valid(record) == has_the_shape(name, record)


def test_a_member_the_schema_forgets_would_be_noticed() -> None:
    for name in WHOLE:
        body = load(name)["properties"]["body"]
        fields = {field.encode_name: field.required for field in msgspec_fields(name)}
        assert set(body["properties"]) == set(fields)
        assert set(body["required"]) == {member for member, required in fields.items() if required}


def msgspec_fields(name: str) -> Any:
    return msgspec.structs.fields(RECORDS.named(name).body)


@pytest.mark.parametrize(
    ("core", "valid"),
    [
        ({"network": "test", "scid": SCID, "epoch": 0}, True),
        ({"network": "live", "scid": SCID, "epoch": 1, "from": FROM}, True),
        ({"network": "live", "scid": SCID, "epoch": 1, "from": {**FROM, "size": 0}}, False),
        ({"network": "live", "scid": SCID, "epoch": 1, "from": {"size": 7, "root": "ab" * 32}}, False),
        ({"network": "test", "scid": SCID, "epoch": 1}, False),
        ({"network": "test", "scid": SCID, "epoch": 0, "from": FROM}, False),
        ({"network": "demo", "scid": SCID, "epoch": 0}, False),
        ({"network": "test", "scid": SCID[:-1], "epoch": 0}, False),
        ({"network": "test", "scid": SCID}, False),
    ],
)
def test_the_genesis_names_its_network_and_epoch(core: dict[str, Any], valid: bool) -> None:
    assert VALIDATORS["log"].is_valid({"core": core}) == valid


def test_the_genesis_has_no_body() -> None:
    assert not VALIDATORS["log"].is_valid({"core": {"network": "test", "scid": SCID, "epoch": 0}, "body": {}})
