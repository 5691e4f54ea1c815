"""The SQL that Gotong compiles a question into, with its values and without a server: for pgbench and EXPLAIN."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, Final, cast
from uuid import UUID

from domain.ids import parse_uri
from domain.regions import Regions
from schema.compile.build import Asking
from schema.compile.plan import Compiler
from schema.compile.read import Reader
from schema.compile.roots import One
from schema.context import Caller, Services
from schema.root import SCHEMA

_NAME_AFTER_COLON: Final = re.compile(r"(?<!:):(?=[A-Za-z_])")


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL with placeholders, and the values of one request."""

    sql: str
    values: Sequence[Any]


class Statements:
    """Compiles questions."""

    def __init__(self, regions: Regions) -> None:
        self._compiler = Compiler(SCHEMA)
        self._services = cast("Services", SimpleNamespace(regions=regions))

    def of(self, document: str, variables: Mapping[str, Any]) -> Statement:
        """Return the statement of a document with one root field."""
        parsed = self._compiler.document(document)
        assert not parsed.errors, parsed.errors
        operation = parsed.operation(None)
        coerced = self._compiler.variables(parsed, operation, variables)
        asking = Asking(self._services, Caller(), coerced.coerced, Reader())
        (planned,) = self._compiler.plan(parsed, operation, coerced, localize=False).fields
        root: Any = planned.root
        if isinstance(root, Exception):
            raise root
        more: list[Any] = []
        if isinstance(root, One):
            uri = parse_uri(variables["id"])
            query, more = root.queries[uri.type].query, [[uri.scid], [uri.id], [0]]
        else:
            query = root.query if root.query.variants is None else root.query.variants.of(asking)
        return Statement(query.sql, [*(binder(asking) for binder in query.binders), *more])


def literal(value: Any) -> str:
    """Return a value as SQL."""
    if value is None:
        return "null"
    if isinstance(value, list | tuple):
        members = ["null" if each is None else '"' + re.sub(r'(["\\])', r"\\\1", str(each)) + '"' for each in value]
        return literal(f"{{{','.join(members)}}}")
    if isinstance(value, str | UUID):
        return "'" + str(value).replace("'", "''") + "'"
    if isinstance(value, datetime):
        return f"'{value.isoformat()}'"
    assert isinstance(value, int | float | Decimal), value
    return str(value)


def for_pgbench(sql: str) -> str:
    """Return the statement as a line that pgbench does not misread: to it, `:name` inside a constant is a variable."""
    return " ".join(_NAME_AFTER_COLON.sub("' || chr(58) || '", sql).split()) + ";\n"
