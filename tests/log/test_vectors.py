"""Every vector under spec/vectors that is about the log, and that every error of its modules has one."""

import json
from pathlib import Path

import pytest

from domain.errors import GotongError, error_classes
from spec.functions import FUNCTIONS, run
from spec.make_vectors import VECTORS, all_cases, path_of, render

MODULES = {
    f"federation.{name}"
    for name in (
        *("merkle", "tiles", "note", "names", "entry", "tlog_proof", "trim", "verify", "proof", "erasure"),
        "signatures",
        "restricted_request",
        "backup",
        "epochs",
        "acknowledgement",
        *("mirror_link", "interest", "deposit", "directory"),
    )
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
    without_refusal = {"tree"}  # any list of leaves is a tree
    assert {path.split("/")[0] for path in _vectors("valid")} == FUNCTIONS.keys()
    assert {path.split("/")[0] for path in _vectors("invalid")} == FUNCTIONS.keys() - without_refusal


def test_every_error_of_the_log_has_an_invalid_vector() -> None:
    codes = {each.code for each in error_classes() if each.__module__ in MODULES}
    refused = {Path(path).name.split("--")[0].upper() for path in _vectors("invalid")}
    assert len(codes) > 20
    assert codes - refused == set()


def test_the_files_are_exactly_what_the_script_writes() -> None:
    written = {str(path_of(case)): render(case) for case in all_cases()}
    paths = [*_vectors("valid"), *_vectors("invalid")]
    assert {path: (VECTORS / path).read_text(encoding="utf-8") for path in paths} == written
