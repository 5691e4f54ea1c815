"""Every vector under spec/vectors that is about the log, and that every error of its modules has one."""

import json
import re
from pathlib import Path

import pytest

from domain.errors import GotongError, error_classes
from spec.functions import FUNCTIONS, run
from spec.make_vectors import VECTORS, all_cases, index, path_of, render

PROTOCOL = VECTORS.parents[1] / "docs" / "protocol.md"
MODULES = {
    f"federation.{package}.{name}"
    for package, names in {
        "backup": ["sealed"],
        "bundles": ["trim"],
        "erasing": ["acknowledgement", "removal"],
        "identity": ["vouching"],
        "log": ["entry", "epochs", "erasure", "merkle", "names", "note", "proof", "tiles", "tlog_proof", "verify"],
        "mirror": ["deposit", "link"],
        "requests": ["signatures"],
        "restricted": ["mail", "request"],
        "sync": ["directory", "frames", "interest", "messages", "sections"],
    }.items()
    for name in names
}


def _vectors(kind: str) -> list[str]:
    found = [path for function in FUNCTIONS for path in VECTORS.glob(f"{function}/{kind}/*.json")]
    return sorted(str(path.relative_to(VECTORS)) for path in found)


@pytest.mark.parametrize("path", _vectors("valid"))
def test_a_valid_vector_gives_its_output(path: str) -> None:
    vector = json.loads((VECTORS / path).read_text(encoding="utf-8"))
    assert run(path.split("/")[0], vector["input"]) == vector["output"]


@pytest.mark.parametrize("path", _vectors("invalid"))
def test_an_invalid_vector_is_refused_with_its_error(path: str) -> None:
    vector = json.loads((VECTORS / path).read_text(encoding="utf-8"))
    with pytest.raises(GotongError) as refusal:
        run(path.split("/")[0], vector["input"])
    assert refusal.value.code == vector["error"]
    assert Path(path).name.startswith(f"{vector['error'].lower()}--")
    assert refusal.value.message


def test_every_function_has_vectors_of_both_kinds() -> None:
    # Any list of leaves is a tree, any 32 bytes are a seed, of two manifests or statements one is the answer, and news
    # that are not understood are news.
    without_refusal = {"tree", "keys_of_seed", "backup_holds_erased", "supersedes_vouch", "read_news"}
    assert {path.split("/")[0] for path in _vectors("valid")} == FUNCTIONS.keys()
    assert {path.split("/")[0] for path in _vectors("invalid")} == FUNCTIONS.keys() - without_refusal


def test_every_error_of_the_log_has_an_invalid_vector() -> None:
    codes = {each.code for each in error_classes() if each.__module__ in MODULES}
    refused = {Path(path).name.split("--")[0].upper() for path in _vectors("invalid")}
    assert {each.__module__ for each in error_classes()} >= MODULES
    assert codes - refused == set()


def test_the_files_are_exactly_what_the_script_writes() -> None:
    written = {str(path_of(case)): render(case) for case in all_cases()}
    paths = [*_vectors("valid"), *_vectors("invalid")]
    assert {path: (VECTORS / path).read_text(encoding="utf-8") for path in paths} == written


def test_the_index_lists_every_vector() -> None:
    assert (VECTORS / "index.json").read_text(encoding="utf-8") == index()
    listed = json.loads(index())
    assert set(listed) == {path.name for path in VECTORS.iterdir() if path.is_dir()}


def test_every_rule_has_an_invalid_vector_or_says_why_none_can_be() -> None:
    rules = PROTOCOL.read_text(encoding="utf-8").split("\n## 16 ")[0]
    stated = re.findall(r"^- \*\*[A-Z]+\d+\.\d+\*\*(.*?)(?=^- \*\*[A-Z]+\d|\n\n)", rules, re.S | re.M)
    codes = {code for text in stated for code in re.findall(r"`([A-Z][A-Z0-9_]{3,})`", text)}
    refused = {code for kinds in json.loads(index()).values() for code in kinds["invalid"]}
    readme = (VECTORS / "README.md").read_text(encoding="utf-8").split("## Rules without vectors")[1]
    without = set(re.findall(r"`([A-Z][A-Z0-9_]{3,})`", readme))
    assert len(codes) > 100
    assert codes - refused == without
