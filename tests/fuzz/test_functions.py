"""Every function that has vectors, with one argument spoilt: an answer or a documented refusal, nothing else."""

import contextlib
import copy
import json
import traceback
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.errors import GotongError
from spec.functions import FUNCTIONS, run
from tests.fuzz.mutations import spoilt
from tests.house.source import ROOT

EXAMPLES = 150
VECTORS = ROOT / "spec" / "vectors"
HARMLESS = (ValueError, KeyError, TypeError, AttributeError, UnicodeEncodeError)
"""What the adapter of the vectors itself raises for JSON that is no input of the function: not hex, not its members."""
ADAPTERS = ("spec.functions", "spec.functions_sealed", "spec.functions_wire", "encodings.utf_8", "ipaddress")
SECRETS = ("private_key", "seed")
"""Arguments that nobody else sends: a caller who gives other than 32 bytes is told by a ValueError."""


def raised_in(error: Exception) -> str:
    """Return the module whose code raised an error."""
    *_, (frame, _line) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals["__name__"])


def inputs_of(function: str) -> list[dict[str, Any]]:
    """Return the inputs of a function's vectors, valid and invalid, but for those written in short."""
    found = [json.loads(path.read_text())["input"] for path in sorted((VECTORS / function).glob("*/*.json"))]
    return [each for each in found if "repeat" not in json.dumps(each) and "list_of" not in json.dumps(each)]


def texts_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all texts inside a JSON value."""
    match value:
        case str():
            yield path
        case dict():
            for name, member in value.items():
                yield from texts_in(member, (*path, name))
        case list():
            for place, member in enumerate(value):
                yield from texts_in(member, (*path, place))
        case _:
            pass


def replaced(value: Any, path: tuple[Any, ...], text: str) -> Any:
    """Return the value with the text at a path replaced."""
    changed = copy.deepcopy(value)
    place = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = text
    return changed


@pytest.mark.parametrize("function", sorted(FUNCTIONS.keys() - {"keys_of_seed"}))
def test_spoilt_input_is_answered_or_refused_by_a_rule(function: str) -> None:
    inputs = inputs_of(function)
    places = [(each, path) for each in inputs for path in texts_in(each) if path[-1] not in SECRETS]
    assert places, function

    @settings(max_examples=EXAMPLES)
    @given(st.data())
    def check(data: st.DataObject) -> None:
        given_input, path = data.draw(st.sampled_from(places))
        text = given_input
        for step in path:
            text = text[step]
        changed = data.draw(spoilt([text.encode()])).decode("utf-8", "replace")
        with contextlib.suppress(GotongError):
            try:
                run(function, replaced(given_input, path, changed))
            except HARMLESS as error:
                if raised_in(error) not in ADAPTERS:
                    raise

    check()
