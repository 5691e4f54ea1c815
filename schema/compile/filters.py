"""Turn a filter into conditions: which fields are given decides the SQL, their values are parameters."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

from graphql import GraphQLInputField, GraphQLInputType, get_named_type, is_input_object_type

from domain.errors import GotongError
from schema.compile.build import Asking, Build
from schema.compile.clause import CLAUSE, Clause
from schema.compile.text import fill

Given = Mapping[str, Any]


class FilterContradictory(GotongError):
    """Two conditions of a filter leave no room: it ends before it begins."""

    code: ClassVar[str] = "FILTER_CONTRADICTORY"


def conditions(
    build: Build, type_: GraphQLInputType, now: Given, names: Mapping[str, str], later: Callable[[Asking], Given]
) -> dict[str, str]:
    """Return one SQL condition for each field of the filter that is given and not null, by the field's name.

    Where kinds of values have SQL of their own, the kinds are noted as choices of the statement.
    """
    named = get_named_type(type_)
    assert is_input_object_type(named)
    found = {}
    also = ""
    for name, declared in named.fields.items():
        clause = _clause(declared)
        if clause is None or now.get(name) is None:
            continue
        build.statement.uneven |= clause.uneven
        holes = {**names, "also": also, "v": build.bind(clause.type, _value(name, clause, later))}
        sql = _chosen(build, name, clause, now, later)
        if sql is None:
            sql = clause.sql
            for hole, part in clause.parts.items():
                holes[hole] = build.bind(part.type, _part(name, part.convert, later))
        found[name] = fill(sql, holes)
        also += f" and {fill(clause.search, holes)}" if clause.search else ""
    return found


def shown_only(type_: GraphQLInputType) -> frozenset[str]:
    """Return the fields of a filter that counts of hidden records leave out."""
    return frozenset(name for name, clause in _clauses(type_) if clause.shown_only)


def of_gone(type_: GraphQLInputType) -> frozenset[str]:
    """Return the fields of a filter that can be asked of records without a row."""
    return frozenset(name for name, clause in _clauses(type_) if clause.of_gone)


def _clauses(type_: GraphQLInputType) -> Iterator[tuple[str, Clause]]:
    named = get_named_type(type_)
    assert is_input_object_type(named)
    for name, declared in named.fields.items():
        clause = _clause(declared)
        if clause is not None:
            yield name, clause


def _clause(declared: GraphQLInputField) -> Clause | None:
    clause: Clause | None = declared.extensions["strawberry-definition"].metadata.get(CLAUSE)
    return clause


def _chosen(build: Build, name: str, clause: Clause, now: Given, later: Callable[[Asking], Given]) -> str | None:
    """Return the SQL for values of this kind, None where the kind has none of its own."""
    choice = clause.choice
    if choice is None or not build.statement.chooses:
        return None
    build.statement.choices.append(lambda asking: choice.kind(later(asking)[name]))
    return choice.sql.get(choice.kind(now[name]))


def _value(name: str, clause: Clause, later: Callable[[Asking], Given]) -> Callable[[Asking], Any]:
    def get(asking: Asking) -> Any:
        given = later(asking)
        value = given[name]
        try:
            if clause.check is not None:
                clause.check(asking.services, value)
            _check_order(name, clause, given)
            return value if clause.convert is None else clause.convert(value)
        except GotongError as error:
            raise _named(error, name) from None

    return get


def _part(name: str, convert: Callable[[Any], Any], later: Callable[[Asking], Given]) -> Callable[[Asking], Any]:
    def get(asking: Asking) -> Any:
        try:
            return convert(later(asking)[name])
        except GotongError as error:
            raise _named(error, name) from None

    return get


def _check_order(name: str, clause: Clause, given: Given) -> None:
    start = given.get(clause.begins) if clause.begins else None
    if start is not None and start >= given[name]:
        raise FilterContradictory(f"`{name}` must be later than `{clause.begins}`: as it stands nothing can fit.")


def _named(error: GotongError, name: str) -> GotongError:
    """Return the error, saying which condition it is about: its path only names the field of the answer."""
    error.details.setdefault("argument", f"filter.{name}")
    return error
