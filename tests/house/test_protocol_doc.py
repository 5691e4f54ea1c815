"""The specification that others implement from names exactly the rules, codes, limits and vectors there are."""

import ast
import importlib
import re

import pytest

from domain.errors import error_classes
from federation.projection.fold import Reason
from node.docs import import_everything
from tests.house.source import ROOT, modules
from tests.house.test_imports import is_pure

DOCUMENT = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")

RULE = re.compile(r"^- (?P<id>[A-Z]\d\.\d+) (?P<text>.*?)(?=^- [A-Z]\d\.\d+ |\Z)", re.MULTILINE | re.DOTALL)
RULE_IN_DOCUMENT = re.compile(
    r"^- \*\*(?P<id>[A-Z]\d\.\d+)\*\* (?P<text>.*?)(?=^- \*\*|^\S(?<!-)|\Z)", re.MULTILINE | re.DOTALL
)
MENTION = re.compile(r"\b[A-Z]\d\.\d+\b")
CODE = re.compile(r"\b[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+\b|\bWITHHELD\b")
CODE_IN_DOCUMENT = re.compile(r"`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`")
LIMIT = re.compile(r"^\| `(?P<module>federation\.\w+\.\w+)\.(?P<name>\w+)` \| (?P<value>\d+) \|", re.MULTILINE)


def stated_rules() -> list[tuple[str, str]]:
    """Return (id, text) of every rule in the docstrings of federation's modules."""
    found = []
    for _, path in modules("federation"):
        docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        found += [(match["id"], match["text"]) for match in RULE.finditer(docstring)]
    return found


def documented_rules() -> list[tuple[str, str]]:
    return [(match["id"], match["text"]) for match in RULE_IN_DOCUMENT.finditer(DOCUMENT)]


@pytest.fixture(scope="module")
def codes() -> dict[str, str]:
    """Return the module that defines each error code or reason of this program."""
    import_everything()
    reasons = {reason.value: Reason.__module__ for reason in Reason}
    return reasons | {error.code: error.__module__ for error in error_classes() if "code" in vars(error)}


def test_a_rule_number_belongs_to_one_rule() -> None:
    numbers = [number for number, _ in stated_rules()]
    assert len(numbers) > 60
    assert sorted(numbers) == sorted(set(numbers))


def test_the_document_states_exactly_the_rules_of_the_code() -> None:
    assert sorted(number for number, _ in documented_rules()) == sorted(number for number, _ in stated_rules())


def test_each_rule_names_the_codes_that_answer_it(codes: dict[str, str]) -> None:
    documented = dict(documented_rules())
    missing = {
        number: sorted(wanted)
        for number, text in stated_rules()
        if (wanted := set(CODE.findall(text)) & set(codes) - set(CODE.findall(documented.get(number, ""))))
    }
    assert missing == {}


def test_every_code_that_the_pure_modules_define_is_documented(codes: dict[str, str]) -> None:
    pure = {name for name, path in modules("federation") if is_pure(name) and "async def" not in path.read_text()}
    defined = {code for code, module in codes.items() if module in pure}
    assert len(defined) > 60
    assert defined - set(re.findall(r"`(\w+)`", DOCUMENT)) == set()


def test_the_document_names_no_code_and_no_rule_that_is_not_there(codes: dict[str, str]) -> None:
    assert {code for code in CODE_IN_DOCUMENT.findall(DOCUMENT) if code not in codes} == set()
    assert set(MENTION.findall(DOCUMENT)) - {number for number, _ in stated_rules()} == set()


def test_every_limit_has_the_value_of_the_code() -> None:
    stated = {(each["module"], each["name"]): int(each["value"]) for each in LIMIT.finditer(DOCUMENT)}
    assert len(stated) > 40
    assert {(module, name): getattr(importlib.import_module(module), name) for module, name in stated} == stated


def test_every_directory_of_vectors_is_named() -> None:
    functions = {path.name for path in (ROOT / "spec" / "vectors").iterdir() if path.is_dir()}
    assert functions - set(re.findall(r"`(\w+)`", DOCUMENT)) == set()
