"""Places, the table of regions, and the codelist of categories."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain import categories
from domain.place import Place, RegionCodeMalformed, ancestors
from domain.regions import (
    Region,
    RegionAmbiguous,
    Regions,
    RegionTableInvalid,
    RegionUnknown,
    parse_regions,
)

HEADER = "code,parent,level,name,lat,lon,utc_offset_h,population"


def test_the_packaged_table_is_complete_and_consistent(regions: Regions) -> None:
    levels = [region.level for province in regions.children(None) for region in [province]]
    regencies = [regency for province in regions.children(None) for regency in regions.children(province.code)]
    districts = [district for regency in regencies for district in regions.children(regency.code)]
    assert (len(levels), len(regencies), len(districts)) == (38, 514, 7285)
    assert len(regions) == 38 + 514 + 7285


def test_every_region_is_a_valid_place_inside_indonesia(regions: Regions) -> None:
    for province in regions.children(None):
        for region in (province, *regions.children(province.code)):
            place = msgspec.convert(msgspec.to_builtins(regions.place(region.code)), Place)
            assert place.point is not None
            lat, lon, _ = place.point
            assert -11.2 < lat < 6.3
            assert 94.9 < lon < 141.1


def test_a_code_knows_its_ancestors() -> None:
    assert ancestors("32.03.28") == ["32", "32.03", "32.03.28"]
    assert ancestors("32.03.28.2001") == ["32", "32.03", "32.03.28", "32.03.28.2001"]


@pytest.mark.parametrize(
    "code", ["", "3", "32.", "32.3", "3203", "32.03.28.1", "32.03.28.2001.1", "32.03\n", "ID-JB", "٣٢"]
)
def test_a_misspelled_code_is_refused(code: str, regions: Regions) -> None:
    with pytest.raises(RegionCodeMalformed):
        ancestors(code)
    with pytest.raises(RegionCodeMalformed):
        regions.find(code)


def test_an_unknown_code_is_refused_and_a_village_stands_on_its_district(regions: Regions) -> None:
    for unknown in ("99", "32.99", "32.03.99", "32.03.99.2001"):
        with pytest.raises(RegionUnknown) as caught:
            regions.find(unknown)
        assert caught.value.details["code"] == unknown
    assert regions.find("32.03.28.2001").name == "Cipanas"
    assert regions.place("32.03.28.2001").code == "32.03.28.2001"
    assert regions.place("32.03.28.2001").point == regions.place("32.03.28").point


def test_both_cipanas_are_found_and_told_apart(regions: Regions) -> None:
    assert [regions.label(region.code) for region in regions.search("cipanas")] == [
        "Cipanas, Kabupaten Cianjur, Jawa Barat",
        "Cipanas, Kabupaten Lebak, Banten",
    ]
    assert [region.code for region in regions.search("Cipanas, Leb")] == ["36.02.04"]


def test_a_search_puts_the_closest_name_first_and_stays_bounded(regions: Regions) -> None:
    assert [region.code for region in regions.search("yogya")] == ["34.71", "34"]
    assert regions.search("cianjur")[0].code == "32.03"
    assert regions.search("32.03")[0].name == "Kabupaten Cianjur"
    assert len(regions.search("k", limit=7)) == 7
    inside = regions.search("k", inside="36")
    assert len(inside) == 26  # none of the fifty closest of the whole country is there
    assert {region.code[:3] for region in inside} == {"36."}
    assert [region.code for region in regions.search("cipanas", inside="36.02")] == ["36.02.04"]
    assert regions.search("32.03", inside="36") == []
    assert regions.search("  ") == []
    assert regions.search("atlantis") == []


@given(st.text(max_size=40))
def test_no_search_fails(regions: Regions, words: str) -> None:
    assert len(regions.search(words)) <= 50


def test_a_cell_names_a_region_only_without_doubt(regions: Regions) -> None:
    assert regions.resolve("32.03.28").name == "Cipanas"
    assert regions.resolve("Cipanas, Kabupaten Cianjur, Jawa Barat").code == "32.03.28"
    assert regions.resolve("kota yogyakarta").code == "34.71"
    with pytest.raises(RegionAmbiguous, match="names 2 regions") as caught:
        regions.resolve("Cipanas")
    assert "36.02.04 Cipanas, Kabupaten Lebak, Banten" in str(caught.value.details["candidates"])
    with pytest.raises(RegionAmbiguous, match="names 0 regions"):
        regions.resolve("Atlantis")


def test_a_row_is_read_with_its_numbers() -> None:
    (region,) = parse_regions([HEADER, "11,,province,Aceh,5.57050,95.34081,7,5623479"])
    assert region == Region("11", None, "province", "Aceh", "5.5705", "95.34081", 7, 5623479)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        ["code,name", "11,Aceh"],
        [HEADER, "11,,province,Aceh,north,95.3,7,"],
        [HEADER, "11,,province,Aceh"],
        [HEADER, "11,,province,Aceh,5.5,95.3,7,", "11,,province,Aceh,5.5,95.3,7,"],
        [HEADER, "11.01,11,regency,Kabupaten,5.5,95.3,7,"],
        [HEADER, "11,,regency,Aceh,5.5,95.3,7,"],
        [HEADER, "11,12,province,Aceh,5.5,95.3,7,"],
    ],
)
def test_a_damaged_table_is_refused(lines: list[str]) -> None:
    with pytest.raises(RegionTableInvalid):
        Regions(parse_regions(lines))


def test_categories_are_a_small_consistent_tree() -> None:
    assert 40 <= len(categories.CATEGORIES) <= 60
    for code, category in categories.CATEGORIES.items():
        assert category.parent is None or category.parent in categories.CATEGORIES
        assert categories.category_path(code)[-1] == code
        assert 1 <= category.sdg <= 17
        assert msgspec.convert(code, categories.CategoryCode) == code
        assert all((category.name_id, category.name_en, category.ocha))
    assert categories.category("food.rice").name_id == "Beras dan sembako"
    with pytest.raises(categories.CategoryUnknown):
        categories.category("food.caviar")
