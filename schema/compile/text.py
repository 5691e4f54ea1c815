"""Build SQL that builds JSON text.

PostgreSQL concatenates; it does not build JSON values. Literal JSON between
two columns is merged into one constant, so a row costs one `||` a column, and these are a tree.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from re import Match
from re import compile as regex

import orjson

from schema.compile.read import Form

NULL = "null"
JOINED_IN_A_ROW = 3
_HOLE = regex(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Sql:
    """An SQL expression of type text whose value is JSON."""

    sql: str


Json = tuple[str | Sql, ...]  # str: literal JSON text


def fill(template: str, holes: Mapping[str, str]) -> str:
    """Return `template` with its `{holes}` filled, those inside fillings too."""

    def filling(match: Match[str]) -> str:
        return fill(holes[match[1]], holes)

    return _HOLE.sub(filling, template)


def literal(text: str) -> str:
    """Return `text` as an SQL string constant."""
    return "'" + text.replace("'", "''") + "'"


def render(json: Json) -> str:
    """Return one SQL expression of type text for `json`."""
    out: list[str] = []
    run = ""
    for part in json:
        if isinstance(part, str):
            run += part
            continue
        if run:
            out.append(literal(run))
            run = ""
        out.append(part.sql)
    if run or not out:
        out.append(literal(run))
    return _joined(out) if len(out) > 1 else out[0] if out[0].startswith("'") else f"({out[0]})"


def _joined(parts: list[str]) -> str:
    """Return the concatenation, halves first: one after the other, all that stands before would be copied each time."""
    if len(parts) <= JOINED_IN_A_ROW:
        return " || ".join(parts)
    half = len(parts) // 2
    return f"({_joined(parts[:half])}) || ({_joined(parts[half:])})"


def nullable(json: Json) -> Json:
    """Return `json`, or null where SQL finds null in any of its parts."""
    return (Sql(f"coalesce({render(json)}, 'null')"),)


def members(pairs: Iterable[tuple[str, Json]]) -> Json:
    """Return a JSON object of these members, in this order."""
    parts: list[str | Sql] = ["{"]
    for position, (name, json) in enumerate(pairs):
        parts += [("," if position else "") + quoted(name) + ":", *json]
    return (*parts, "}")


def quoted(text: str) -> str:
    """Return `text` as a JSON string."""
    return orjson.dumps(text).decode()


def scalar(sql: str, form: Form) -> Json:
    """Return the JSON of a column in its form; SQL null makes the whole null."""
    match form:
        case Form.NUMBER | Form.BOOLEAN | Form.JSON:
            return (Sql(f"({sql})::text"),)
        case Form.TEXT:
            return (Sql(f"to_json(({sql})::text)::text"),)
        case Form.TOKEN:
            return ('"', Sql(f"({sql})::text"), '"')
        case Form.TOKENS:
            return (Sql(f"array_to_json({sql})::text"),)
        case Form.DECIMAL:
            return ('"', Sql(f"({sql})::text"), '"')
        case Form.TIME:
            return ('"', Sql(f"""to_char({sql} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')"""), '"')
