"""How a field of a filter narrows a question: the words conditions are declared with. Nothing here reads a database."""

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import strawberry

if TYPE_CHECKING:
    from schema.context import Services

CLAUSE = "clause"


@dataclass(frozen=True, slots=True)
class Part:
    """One more parameter of a condition, made of the same value."""

    type: str
    convert: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Clause:
    """A condition an input field adds. `{v}` is the value, as the type after it; `convert` makes the parameter.

    `parts` are further parameters by the names of their holes. `begins` names the field that must be earlier.
    `uneven`: how many rows fit varies so much with the value that no one plan serves all.
    `choice` says the same in ways that an index can follow. `search` is what a search for words adds to its own
    look-up, in `{also}`, when this field is given beside it.
    `shown_only`: counts of hidden records leave it out. It looks into what a record says, so that counting what fits
    it would tell that of hidden ones, word by word or step by step; or it asks about an event, and they have none.
    `of_gone`: it can also be asked of a record that is gone, whose type, publisher and event are all there is.
    """

    sql: str
    type: str
    convert: Callable[[Any], Any] | None = None
    check: Callable[["Services", Any], None] | None = None
    parts: Mapping[str, Part] = field(default_factory=dict)
    begins: str | None = None
    uneven: bool = False
    choice: "Choice | None" = None
    search: str | None = None
    shown_only: bool = False
    of_gone: bool = False


@dataclass(frozen=True, slots=True)
class Choice:
    """Other SQL for some values of a condition, so that the one plan of a statement is a good plan.

    PostgreSQL plans a statement once, without its values, so what a value makes possible must be another
    statement: one publisher can be walked in the order of an index, several cannot. `kind` sorts values,
    `sql` has the condition for some kinds, with the same `{v}`; `kind` may not raise.
    """

    kind: Callable[[Any], Hashable]
    sql: Mapping[Hashable, str]


def where(
    sql: str,
    type_: str,
    description: str,
    convert: Callable[[Any], Any] | None = None,
    check: Callable[["Services", Any], None] | None = None,
    parts: Mapping[str, Part] | None = None,
    begins: str | None = None,
    uneven: bool = False,
    choice: Choice | None = None,
    search: str | None = None,
    shown_only: bool = False,
    of_gone: bool = False,
) -> Any:
    """Return an optional input field that narrows a question by the condition `sql`."""
    clause = Clause(
        sql, type_, convert, check, parts or {}, begins, uneven, choice, search, shown_only=shown_only, of_gone=of_gone
    )
    return strawberry.field(default=strawberry.UNSET, description=description, metadata={CLAUSE: clause})
