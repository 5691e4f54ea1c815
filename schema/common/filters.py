"""Conditions that filters of several record types share."""

from collections.abc import Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar

import strawberry

from domain.categories import CATEGORIES
from domain.errors import GotongError
from domain.ids import parse_uri
from domain.place import ancestors
from schema.common.records import ExternalIdInput, external_id_key
from schema.common.scalars import DateTime
from schema.compile.clause import Choice, Part, where

if TYPE_CHECKING:
    from schema.context import Services

LIST_LENGTH_MAX = 100
TEXT_CHARS_MAX = 200
_LIKE_LITERALLY = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})


class FilterTooLarge(GotongError):
    """A list in a filter has more than 100 members, or a text to search for more than 200 characters."""

    code: ClassVar[str] = "FILTER_TOO_LARGE"


def names(values: Sequence[Enum]) -> list[str]:
    """Return the stored texts of enum values; raises FilterTooLarge."""
    return [value.value for value in bounded(values)]


def bounded(values: Sequence[Any]) -> list[Any]:
    """Return the list; raises FilterTooLarge."""
    if len(values) > LIST_LENGTH_MAX:
        raise FilterTooLarge(f"A list in a filter has at most {LIST_LENGTH_MAX} members.", length=len(values))
    return list(values)


def scids(uris: Sequence[str]) -> list[str]:
    """Return the SCIDs of organizations' URIs; raises IdMalformed, FilterTooLarge."""
    return [parse_uri(uri).scid for uri in bounded(uris)]


def uri(text: str) -> str:
    """Return the id as records hold it; raises IdMalformed."""
    return str(parse_uri(text))


_DESCENDANTS = {code: tuple(other for other in CATEGORIES if other.startswith(f"{code}.")) for code in CATEGORIES}


def with_descendants(codes: Sequence[str]) -> list[str]:
    """Return these categories and all this version knows inside them; raises FilterTooLarge."""
    found = dict.fromkeys(bounded(codes))
    for code in codes:
        found |= dict.fromkeys(_DESCENDANTS.get(code, ()))
    return list(found)


def inside(codes: Sequence[str]) -> list[str]:
    """Return LIKE patterns of everything inside these categories, also of what only a newer version knows."""
    return [code.translate(_LIKE_LITERALLY) + ".%" for code in codes]


INSIDE = {"inside": Part("text[]", inside)}
CATEGORY_PARTS = {
    **INSIDE,
    "low": Part("text", lambda codes: min((f"{code}." for code in codes), default="")),
    "high": Part("text", lambda codes: max((f"{code}/" for code in codes), default="")),  # "/" follows "."
}
# What this version knows is one condition with an index and statistics; what it does not lies in a narrow range.
CATEGORY_SQL = """({t}.category = any({v})
    or ({t}.category >= {low} and {t}.category < {high} and {t}.category like any({inside})))"""
# Equal to what an index begins with: PostgreSQL knows how many rows that is, and walks the index for a page of them.
# Of a range it assumes that it is narrow, and would rather fetch and sort all of it. A code and all inside it are one
# range in the C collation: "/" follows ".", and no code holds anything smaller.
_TOP, _SECOND = "split_part({c}, '.', 1)", "(split_part({c}, '.', 1) || '.' || split_part({c}, '.', 2))"
_OF_ROW, _ASKED = "{t}.category", "({v})[1]"
_INSIDE_REGION = """({t}.region collate "C" >= {v} and {t}.region collate "C" < {v} || '/')"""


def _same(part: str) -> str:
    return f"{part.replace('{c}', _OF_ROW)} = {part.replace('{c}', _ASKED)}"


ONE_CATEGORY = Choice(
    lambda codes: min(codes[0].count("."), 2) if len(codes) == 1 else None,
    {
        0: _same(_TOP),
        1: _same(_SECOND),
        2: f"({_same(_SECOND)} and {_OF_ROW} >= {_ASKED} and {_OF_ROW} < {_ASKED} || '/')",
    },
)
ONE_PUBLISHER = Choice(
    lambda uris: len(uris) == 1,
    {True: "{t}.publisher_id = (select y.id from participant y where y.scid = ({v})[1])"},
)
ONE_STATE = Choice(lambda states: len(states) == 1, {True: "{t}.state = ({v})[1]"})
REGION_LEVEL = Choice(
    lambda code: min(code.count("."), 3),
    {
        0: _INSIDE_REGION,
        1: "{t}.region_path[2] = {v}",
        2: "{t}.region_path[3] = {v}",
        3: f"({{t}}.region_path[3] = left({{v}}, 8) and {_INSIDE_REGION})",
    },
)
FOCUS_SQL = "({t}.focus && {v} or exists (select from unnest({t}.focus) f(code) where f.code like any({inside})))"


def check_region(services: "Services", code: str) -> None:
    """Raise RegionUnknown or RegionCodeMalformed for a code no place can have."""
    ancestors(code)
    services.regions.find(code)


def words(text: str) -> list[str | None]:
    """Return [everything but the last word, the last word, that word as the beginning of one].

    The last word counts as unfinished only in a plain list of words, where all of them are wanted anyway.
    """
    if len(text) > TEXT_CHARS_MAX:
        raise FilterTooLarge(f"A text to search for has at most {TEXT_CHARS_MAX} characters.", chars=len(text))
    head, _, last = text.rpartition(" ")
    joined = "or" in text.lower().split() or '"' in text
    plain = last.isalnum() and not joined
    return [head, last, last] if plain else [text, "", None]


def _one_language(configuration: str) -> str:
    whole, last = f"websearch_to_tsquery('{configuration}', w[1])", f"websearch_to_tsquery('{configuration}', w[2])"
    return f"({whole} && case when numnode({last}) = 0 then {last} else {last} || coalesce(prefix, ''::tsquery) end)"


TEXT_SQL = f"""({{t}}.publisher_id, {{t}}.record_id) in (
    select s.publisher_id, s.record_id from {{table}}_search s where s.document @@ (
        select {_one_language("gotong_indonesian")} || {_one_language("gotong_english")}
        from (select w, to_tsquery('simple', quote_literal(lower(unaccent(w[3]))) || ':*') as prefix
              from (select {{v}} as w) given) typed
    ){{also}}
)"""


def publishers() -> list[strawberry.ID] | None:
    """Return the filter field: by who signed it."""
    field: list[strawberry.ID] | None = where(
        "{p}.scid = any({v})",
        "text[]",
        "Only of these organizations, by id.",
        convert=scids,
        choice=ONE_PUBLISHER,
        of_gone=True,
    )
    return field


def region(*, walked: bool = False) -> str | None:
    """Return the filter field: by region, everything inside it. `walked`: there are indexes by region and order."""
    field: str | None = where(
        "{t}.region_path @> array[{v}]",
        "text",
        "Only inside this region: a Kemendagri code such as 32.03.",
        check=check_region,
        choice=REGION_LEVEL if walked else None,
        search="s.region_path @> array[{v}]",
    )
    return field


def text(table: str) -> str | None:
    """Return the filter field: by words."""
    field: str | None = where(
        TEXT_SQL.replace("{table}", table),
        "text[]",
        "Only with these words, in Indonesian or English forms. "
        '"quotes" for phrases, `or`, `-not`. The last word may be unfinished.',
        convert=words,
        shown_only=True,
    )
    return field


def instant(sql: str, description: str, begins: str | None = None) -> DateTime | None:
    """Return a filter field that compares an instant; `begins` names the field that must be earlier."""
    field: DateTime | None = where(sql, "timestamptz", description, begins=begins)
    return field


def external_id() -> ExternalIdInput | None:
    """Return the filter field: by a name elsewhere."""
    field: ExternalIdInput | None = where(
        "{t}.external_ids @> array[{v}]",
        "text",
        "Only with this name in another system.",
        convert=external_id_key,
        shown_only=True,
    )
    return field


def exercise() -> bool | None:
    """Return the filter field: drills instead of what is real."""
    field: bool | None = strawberry.field(
        default=strawberry.UNSET, description="True: only drills. Otherwise drills are hidden."
    )
    return field


def unverified_critical() -> bool | None:
    """Return the filter field: critical records besides, of publishers nobody has decided on."""
    field: bool | None = strawberry.field(
        default=strawberry.UNSET,
        description="True: besides, critical ones whose publishers this node's operator has not looked at yet. They "
        "say so in `unverified`. For lists and statistics; nobody is told of them as they come.",
    )
    return field


def published_after() -> DateTime | None:
    """Return the filter field: published after an instant, as its author says."""
    return instant("{t}.published_at > {v}", "Only published after this, as their authors say.")


def published_before() -> DateTime | None:
    """Return the filter field: published before an instant, as its author says."""
    return instant("{t}.published_at < {v}", "Only published before this, as their authors say.", "publishedAfter")


def received_after() -> DateTime | None:
    """Return the filter field: received by this node after an instant."""
    return instant(
        "{t}.received_at > {v}",
        "Only received by this node after this, whatever its date, so that a late village is seen. Ask with a minute's "
        "overlap; `changes` needs none, and also tells what an operator allowed later.",
    )
