"""Compile the selection of one record into SQL that makes its JSON text."""

from collections.abc import Sequence

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLObjectType,
    get_named_type,
    is_abstract_type,
    is_non_null_type,
    is_object_type,
)

from schema.compile import connection, values
from schema.compile.build import Build, Hole, Scope, read_of, source_of
from schema.compile.read import (
    After,
    ElementsOf,
    Embedded,
    Hidden,
    Linked,
    Localized,
    Many,
    Publisher,
    Related,
    Scalar,
)
from schema.compile.select import Sets
from schema.compile.text import Json, Sql, fill, members, nullable, quoted, render, scalar
from schema.compile.visibility import names as aliases
from schema.compile.visibility import visible

HOLE_MARK = "\x01"  # no JSON text holds it: PostgreSQL escapes control characters


def record(build: Build, type_: GraphQLObjectType, sets: Sets, scope: Scope) -> Json:
    """Return the JSON of what is selected of a record or of an object inside its row."""
    pairs: list[tuple[str, Json]] = []
    for key, nodes in build.fields(type_, sets).items():
        name = nodes[0].name.value
        if name == "__typename":
            pairs.append((key, (quoted(type_.name),)))
            continue
        with build.at(key, nodes):
            pairs.append((key, _field(build, type_.fields[name], nodes, scope)))
    return members(pairs)


def _field(build: Build, declared: GraphQLField, nodes: list[FieldNode], scope: Scope) -> Json:
    json = _raw(build, declared, nodes, scope)
    return json if is_non_null_type(declared.type) else nullable(json)


def _raw(build: Build, declared: GraphQLField, nodes: list[FieldNode], scope: Scope) -> Json:
    """Return the field's JSON; SQL null where it is null."""
    read = read_of(declared)
    sets = [node.selection_set for node in nodes]
    type_ = get_named_type(declared.type)
    match read:
        case Scalar(sql, form):
            return scalar(fill(sql, scope), form)
        case Localized(sql, first):
            return _localized(build, fill(sql, scope), fill(first, scope) if first else None, declared, nodes[0])
        case After():
            return _after(build, read, declared, sets, fill(read.key, scope))
        case Many():
            return connection.nested(build, record, read, declared, nodes, scope)
    assert is_object_type(type_) or is_abstract_type(type_)
    match read:
        case Embedded(holes, present):
            if is_abstract_type(type_):
                type_ = next(each for each in record_types(build, declared) if source_of(each) == scope.source)
            assert is_object_type(type_)
            inner = record(build, type_, sets, scope.filled(holes))
            return inner if present is None else _if(fill(present, scope), inner)
        case Hidden():
            assert is_object_type(type_)
            build.statement.counts_hidden = True
            return record(build, type_, sets, scope)
        case ElementsOf(rows, holes):
            assert is_object_type(type_)
            alias = f"x{build.statement.alias()}"
            inner = record(build, type_, sets, scope.filled({"x": alias, **holes}))
            rows_sql = fill(rows, scope.filled({"x": alias}))
            return (Sql(f"(select '[' || coalesce(string_agg({render(inner)}, ','), '') || ']' from {rows_sql})"),)
        case Publisher():
            assert is_object_type(type_)
            return record(build, type_, sets, scope.publisher(source_of(type_)))
        case Related():
            assert is_object_type(type_)
            return _related(build, read, type_, sets, scope)
        case Linked():
            return _linked(build, read, record_types(build, declared), sets, scope)
    raise AssertionError(f"{read} is no field of a row")


def _if(condition: str, json: Json) -> Json:
    return (Sql(f"case when {condition} then {render(json)} end"),)


def _localized(build: Build, column: str, kept: str | None, declared: GraphQLField, node: FieldNode) -> Json:
    first = kept or f"({column} -> 0 -> 'text')::text"
    now, later = build.arguments(declared, node)
    if now.get("lang") is not None:
        wanted = build.bind("text[]", lambda asking: fallbacks((later(asking.variables)["lang"],)))
    elif build.localize:
        wanted = build.bind("text[]", lambda asking: fallbacks(asking.reader.languages))
    else:
        return (Sql(first),)
    language = "lower(x.value ->> 'lang')"
    return (
        Sql(
            f"case when jsonb_array_length({column}) = 1 then {first} else "
            f"(select (x.value -> 'text')::text from jsonb_array_elements({column}) with ordinality x(value, n) "
            f"order by least(array_position({wanted}, {language}), "
            f"array_position({wanted}, split_part({language}, '-', 1))), x.n limit 1) end"
        ),
    )


def fallbacks(languages: Sequence[str]) -> list[str]:
    """Return each language followed by what it is a variety of: the order `domain.text.pick` tries."""
    return [tag for language in languages for tag in (language.lower(), language.partition("-")[0].lower())]


def _after(build: Build, read: After, declared: GraphQLField, sets: Sets, key: str) -> Json:
    type_ = get_named_type(declared.type)
    if read.named_by is not None and isinstance(type_, GraphQLObjectType):
        selected = build.fields(type_, sets)
        if all(nodes[0].name.value == read.named_by for nodes in selected.values()):
            return members([(name, ('"', Sql(f"({key})"), '"')) for name in selected])
    build.statement.holes.append(Hole(read.batch, values.writer(build, declared.type, sets)))
    return (f"{HOLE_MARK}{len(build.statement.holes) - 1}:", Sql(f"({key})"), HOLE_MARK)


def record_types(build: Build, declared: GraphQLField) -> list[GraphQLObjectType]:
    """Return the record types a field may give."""
    type_ = get_named_type(declared.type)
    if is_abstract_type(type_):
        return list(build.schema.get_possible_types(type_))
    assert is_object_type(type_)
    return [type_]


def _related(build: Build, read: Related, type_: GraphQLObjectType, sets: Sets, scope: Scope) -> Json:
    """Return the JSON list of the records that `through` leads to and that may be seen, the outer row's log joined."""
    source, n = source_of(type_), build.statement.alias()
    inner_scope = Scope.of(source, n)
    json = render(record(build, type_, sets, inner_scope))
    names = {**aliases(source, n), "outer": scope["t"], "outer_l": scope["l"]}
    rows = (
        f"select {json} from {visible(source, n)} {inner_scope.join_sql()} {fill(read.through, names)} "
        f"order by {fill(read.order, names)} limit {read.rows_max}"
    )
    return ("[", Sql(f"array_to_string(array({rows}), ',')"), "]")


def _linked(build: Build, read: Linked, types: list[GraphQLObjectType], sets: Sets, scope: Scope) -> Json:
    """Return another record by the ids in this row, of whichever type it is, or null when it may not be seen."""
    type_sql, scid_sql, id_sql = (fill(template, scope) for template in (read.type, read.scid, read.id))
    cases = []
    for type_ in types:
        source = source_of(type_)
        n = build.statement.alias()
        inner_scope = Scope.of(source, n)
        inner = record(build, type_, sets, inner_scope)
        condition = f"{inner_scope['p']}.scid = {scid_sql}"
        if source.table != "organization":
            condition += f" and t{n}.record_id = {id_sql}"
        query = f"select {render(inner)} from {visible(source, n)} {inner_scope.join_sql()} where {condition}"
        name = "is null" if source.table == "organization" else f"= '{source.type}'"
        cases.append(f"when {type_sql} {name} then ({query})")
    return (Sql(f"case {' '.join(cases)} end"),)
