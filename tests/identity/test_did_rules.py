"""Every rule about DIDs, broken once: the language-neutral vectors, run and kept in step with what makes them."""

import json
from typing import Any

import pytest

from domain.errors import error_classes
from federation.did.errors import DidError
from spec.did.files import VECTORS, answer, files

FILES = files()


def _stored(kind: str) -> list[str]:
    return sorted(path.relative_to(VECTORS).as_posix() for path in (VECTORS / kind).glob("*.json"))


def _load(name: str) -> dict[str, Any]:
    vector: dict[str, Any] = json.loads((VECTORS / name).read_text(encoding="utf-8"))
    return vector


@pytest.mark.parametrize("name", _stored("valid"))
def test_a_valid_vector_says_what_it_states(name: str) -> None:
    vector = _load(name)
    assert answer(vector["input"]) == vector["output"]


@pytest.mark.parametrize("name", _stored("invalid"))
def test_an_invalid_vector_is_refused_for_its_reason(name: str) -> None:
    vector = _load(name)
    with pytest.raises(DidError) as refusal:
        answer(vector["input"])
    assert refusal.value.code == vector["error"] == name.removeprefix("invalid/").split("--")[0]


def test_the_stored_vectors_are_the_ones_the_cases_make() -> None:
    stored = {
        name: (VECTORS / name).read_text(encoding="utf-8") for kind in ("valid", "invalid") for name in _stored(kind)
    }
    assert stored == FILES, "run: python -m spec.did"


def test_every_rule_has_a_vector() -> None:
    """DID_LOG_TOO_LARGE is tested apart: its inputs are megabytes."""
    broken = {name.removeprefix("invalid/").split("--")[0] for name in _stored("invalid")}
    assert broken | {"DID_LOG_TOO_LARGE"} == {error.code for error in error_classes(DidError)}
