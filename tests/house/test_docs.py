"""The pages generated from the code are what the code says now, and what it says is well formed."""

import re

import pytest

from node.docs import ROOT, codes, errors_page, import_everything, settings_page
from node.settings import PREFIX, Settings

CODE = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")


@pytest.fixture(autouse=True, scope="module")
def everything() -> None:
    import_everything()


def test_every_error_code_is_documented_and_every_documented_one_exists() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    assert sorted(documented) == sorted(codes())


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    documented = re.findall(rf"^\| `{PREFIX}(\w+)` \|", (ROOT / "docs" / "settings.md").read_text(), re.MULTILINE)
    assert documented == [name.upper() for name in Settings.model_fields]


def test_the_pages_are_as_the_code_would_write_them_today() -> None:
    assert (ROOT / "docs" / "errors.md").read_text() == errors_page(), "run: make docs"
    assert (ROOT / "docs" / "settings.md").read_text() == settings_page(), "run: make docs"


def test_an_error_code_belongs_to_one_class() -> None:
    assert {code: classes for code, classes in codes().items() if len(classes) > 1} == {}


def test_error_codes_are_written_alike() -> None:
    assert [code for code in codes() if CODE.fullmatch(code) is None] == []


def test_every_error_has_a_sentence_that_explains_it() -> None:
    silent = [code for code, classes in codes().items() if not (classes[0].__doc__ or "").strip().endswith((".", ")"))]
    assert silent == []


def test_every_setting_has_a_description() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []
