"""The packaged demo data: every record valid, every message imported, nobody's number in it."""

import csv
import re
import tomllib
from collections import Counter
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import pytest

from domain.import_map import check_header, parse_import_map
from domain.importing import NeedDraft, convert_all
from domain.records.registry import RECORDS
from domain.regions import Regions
from node.sample import ABOUT_SELF, SampleInvalid, SampleNode, load_sample, parse_sample
from tests.domain.samples import LEAF, SCID, URI

AT = datetime(2026, 2, 1, 3, tzinfo=UTC)
DEMO = resources.files("node").joinpath("data/demo")


@pytest.fixture(scope="module")
def sample() -> tuple[SampleNode, ...]:
    return load_sample()


def bodies(sample: tuple[SampleNode, ...], regions: Regions) -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    found = []
    for node in sample:
        for organization in node.organizations:
            for record in (organization.itself, *organization.records):
                about = None
                if record.about is not None:
                    about = {"uri": f"gotong:{SCID}"} if record.about == ABOUT_SELF else {"uri": URI, "leaf": LEAF}
                found.append((record.type, record.body(AT, regions, about), record.restricted))
    return found


def test_every_record_of_the_sample_is_valid(sample: tuple[SampleNode, ...], regions: Regions) -> None:
    for type_name, body, restricted in bodies(sample, regions):
        record_type = RECORDS.named(type_name)
        record_type.validate({}, body, restricted, rev=0, previous=None)
        record_type.check_known(body, regions)
        record_type.row({}, body, at=AT, received=AT)


def test_the_sample_is_a_small_federation(sample: tuple[SampleNode, ...], regions: Regions) -> None:
    counts = Counter(type_name for type_name, _, _ in bodies(sample, regions))
    assert len(sample) == 4
    assert (counts["organization"], counts["need"], counts["activity"], counts["update"]) == (5, 28, 13, 12)
    assert sorted(len(node.organizations) for node in sample) == [1, 1, 1, 2]
    needs = [body for type_name, body, _ in bodies(sample, regions) if type_name == "need"]
    assert {need["urgency"] for need in needs} == {"LOW", "MEDIUM", "HIGH", "CRITICAL"}
    assert len({need["kind"] for need in needs}) == 8
    assert all(text["lang"] == "id" for need in needs for text in need["title"][:1])


def test_updates_are_about_records_published_before_them(sample: tuple[SampleNode, ...]) -> None:
    for node in sample:
        for organization in node.organizations:
            published = [ABOUT_SELF]
            for record in organization.records:
                assert record.about is None or record.about in published
                assert record.key not in published
                published.append(record.key)


def test_invented_organizations_and_people_say_so(sample: tuple[SampleNode, ...]) -> None:
    named_after_real_ones = {"baca-yuk", "ojol-peduli"}
    for node in sample:
        for organization in node.organizations:
            assert ("(fiktif)" in organization.itself.members["name"]["id"]) == (
                organization.key not in named_after_real_ones
            )
            assert "(fiktif)" in (organization.itself.restricted or {})["contact"]["name"]


def test_moments_of_the_sample_are_local_days(sample: tuple[SampleNode, ...], regions: Regions) -> None:
    (saturday,) = (record for record in sample[0].organizations[0].records if record.key == "sabtu-baca")
    assert saturday.body(AT, regions)["start"] == "2026-02-03T01:00:00.000Z"
    late_evening_utc = datetime(2026, 2, 1, 20, tzinfo=UTC)  # already 2 February in Cipanas
    assert saturday.body(late_evening_utc, regions)["start"] == "2026-02-04T01:00:00.000Z"


def test_a_damaged_sample_says_what_is_missing(regions: Regions) -> None:
    with pytest.raises(SampleInvalid):
        parse_sample({"node": [{"name": "a"}]})
    record = {"type": "activity", "key": "x", "start": "tomorrow"}
    organization = {"key": "a", "slug": "a", "record": [record]}
    (node,) = parse_sample({"node": [{"name": "a", "title": "A", "organization": [organization]}]})
    with pytest.raises(SampleInvalid, match="moment"):
        node.organizations[0].records[0].body(AT, regions)


def messages() -> list[dict[str, str]]:
    text = DEMO.joinpath("disaster_messages.csv").read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def test_every_request_of_the_disaster_messages_becomes_a_drill(regions: Regions) -> None:
    document = tomllib.loads(DEMO.joinpath("disaster_messages.map.toml").read_text(encoding="utf-8"))
    import_map = parse_import_map(document)
    rows = messages()
    check_header(import_map, rows[0].keys())
    results = list(convert_all(import_map, enumerate(rows, start=2), regions))
    drafts = [result for result in results if isinstance(result, NeedDraft)]
    assert len(rows) == 2337
    assert (len(drafts), len(results)) == (398, 398)
    assert all(draft.exercise for draft in drafts)
    assert Counter(draft.body(AT)["urgency"] for draft in drafts).keys() == {"MEDIUM", "HIGH", "CRITICAL"}
    categories = Counter(draft.body(AT)["category"] for draft in drafts)
    assert len(categories) >= 8
    assert categories["other"] < len(drafts) / 3
    first = drafts[0].body(AT)
    assert first["description"][0]["text"].startswith("I am in Croix-des-Bouquets")
    assert len(first["title"][0]["text"]) <= 100


def test_nobodys_address_or_number_is_in_the_messages() -> None:
    columns = messages()[0].keys()
    assert "original" not in columns
    personal = re.compile(r"[\w.]+@[\w-]+\.\w|(?:\+|\b00)\d{8}|\b\d{3}[ -]\d{3,4}[ -]\d{4}\b")
    assert [row["id"] for row in messages() if personal.search(row["message"])] == []
