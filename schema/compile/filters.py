"""Turn a filter into conditions: which fields are given decides the SQL, their values are parameters."""

from collections.abc import Callable, Mapping
from typing import Any

from graphql import GraphQLInputType, get_named_type, is_input_object_type

from schema.compile.build import Asking, Build
from schema.compile.read import CLAUSE, Clause
from schema.compile.text import fill

Given = Mapping[str, Any]


def conditions(
    build: Build, type_: GraphQLInputType, now: Given, names: Mapping[str, str], later: Callable[[Asking], Given]
) -> list[str]:
    """Return one SQL condition for each field of the filter that is given and not null."""
    named = get_named_type(type_)
    assert is_input_object_type(named)
    found = []
    for name, declared in named.fields.items():
        clause: Clause | None = declared.extensions["strawberry-definition"].metadata.get(CLAUSE)
        if clause is None or now.get(name) is None:
            continue
        placeholder = build.bind(clause.type, _getter(name, clause, later))
        found.append(fill(clause.sql, {**names, "v": placeholder}))
    return found


def _getter(name: str, clause: Clause, later: Callable[[Asking], Given]) -> Callable[[Asking], Any]:
    def get(asking: Asking) -> Any:
        value = later(asking)[name]
        if clause.check is not None:
            clause.check(asking.services, value)
        return value if clause.convert is None else clause.convert(value)

    return get
