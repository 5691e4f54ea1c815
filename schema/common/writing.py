"""Write records: who may, what changes, and what the writer is told.

A broken rule is a `userErrors` entry, since the writer can mend it. What the
writer cannot mend (no token, no database) is raised and becomes a GraphQL error.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

import orjson
import strawberry

from auth import policy
from auth.tokens import NotAuthenticated
from domain.errors import GotongError
from domain.ids import RecordUri, parse_uri
from domain.records.registry import RECORDS
from domain.text import TextInvalid
from federation.log.entry import Part
from federation.publish.append import OutcomeUnknown, StoredBytesDiffer
from federation.publish.guard import PublicationWaits
from federation.publish.prepare import Change, ClockOff, Current, Draft, Once, Parts
from federation.publish.waiting import NOT_NOW, keep
from schema.common import inputs
from schema.compile.build import check_text
from schema.compile.read import Act, Argument, Stored, Value, declare
from schema.context import Caller, Services
from store.database import DatabaseBusy, DatabaseUnavailable, DiskFull, StatementTimedOut

RAISED = (
    NotAuthenticated,
    policy.ScopeMissing,
    policy.Forbidden,
    DatabaseBusy,
    DatabaseUnavailable,
    DiskFull,
    StatementTimedOut,
    OutcomeUnknown,
    StoredBytesDiffer,
    ClockOff,
    PublicationWaits,
)
KEPT = "It is kept and will be published by itself, as soon as this node may sign again; do not send it again."
IDEMPOTENCY_KEY_CHARS_MAX = 255
UNSIGNED = ("dryRun", "idempotencyKey", "clientMutationId")


class WrongRecord(GotongError):
    """The id names another kind of record than this action writes."""

    code: ClassVar[str] = "WRONG_RECORD"


class RecordUnreadable(GotongError):
    """The record's newest revision is not here in full, so it cannot be changed."""

    code: ClassVar[str] = "RECORD_UNREADABLE"


class IdempotencyKeyMalformed(GotongError):
    """An idempotency key has 1 to 255 characters, all of them printable."""

    code: ClassVar[str] = "IDEMPOTENCY_KEY_MALFORMED"


@strawberry.type(description="A rule the writer broke; nothing was written.")
class UserError:
    """One broken rule."""

    code: str = declare(Value(), "Stable: what programs decide by.")
    message: str = declare(Value(), "One sentence for people.")
    field: list[str] | None = declare(Value(), "The way to the input field that is wrong, from `input` on.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a mutation did, before its payload is written."""

    uri: str | None = None
    user_errors: list[UserError] = field(default_factory=list)
    client_mutation_id: str | None = None


@dataclass(frozen=True, slots=True)
class Deed:
    """One mutation: its name, its input as an object and as it was given, and whose it is."""

    services: Services
    caller: Caller
    action: str
    input: Any
    given: Mapping[str, Any]

    @property
    def once(self) -> Once | None:
        """The idempotency key with the digest of what it came with; None without a key."""
        key = self.input.idempotency_key or self.caller.idempotency_key
        if not key:
            return None
        if len(key) > IDEMPOTENCY_KEY_CHARS_MAX or not key.isprintable():
            raise IdempotencyKeyMalformed(
                f"An idempotency key has at most {IDEMPOTENCY_KEY_CHARS_MAX} characters, all of them printable.",
                field="idempotencyKey",
            )
        content = {name: value for name, value in self.given.items() if name not in UNSIGNED}
        data = orjson.dumps([self.action, content], option=orjson.OPT_SORT_KEYS, default=str)
        return Once(key, hashlib.sha256(data).digest())


async def written(deed: Deed, work: Callable[[], "Work"]) -> Outcome:
    """Return what became of the work: its record's URI, or the rule it broke. Raises what the writer cannot mend."""
    told = deed.input.client_mutation_id or None
    try:
        wanted = work()
        policy.require(deed.caller.viewer, deed.action, wanted.scid)
        change = wanted.change if wanted.erase else _known(wanted, deed.services)
        drafts = [Draft(wanted.type, wanted.record_id, change, wanted.expected_revision, wanted.erase)]
        try:
            appended = await deed.services.appender.append(
                wanted.scid, drafts, once=deed.once, dry_run=bool(deed.input.dry_run)
            )
        except NOT_NOW:
            if deed.input.dry_run or wanted.erase:
                raise
            services = deed.services
            await keep(services.database, services.appender, wanted.scid, drafts[0], deed.once, services.clock())
            return Outcome(None, [UserError(code=PublicationWaits.code, message=KEPT, field=None)], told)
    except RAISED:
        raise
    except GotongError as error:
        return Outcome(None, [user_error(error)], told)
    exists = not deed.input.dry_run or wanted.exists
    return Outcome(appended[0].uri if exists else None, [], told)


@dataclass(frozen=True, slots=True)
class Work:
    """A record to write: whose, which, and how its newest revision changes."""

    scid: str
    type: str
    change: Change
    record_id: Any = None
    expected_revision: int | None = None
    exists: bool = False
    erase: tuple[Part, ...] = ()


def _known(work: Work, services: Services) -> Change:
    """Return the change, refusing what this node's lists do not know."""

    def change(current: Current | None) -> Parts:
        parts = work.change(current)
        if parts.body is not None:
            RECORDS.named(work.type).check_known(parts.body, services.regions)
        return parts

    return change


def user_error(error: GotongError) -> UserError:
    """Return a broken rule as the writer is told of it."""
    name = error.details.get("field")
    return UserError(code=error.code, message=error.message, field=["input", *str(name).split(".")] if name else None)


def own(uri: str, type_: str) -> RecordUri:
    """Return the parts of a record's id; raises IdMalformed or WrongRecord."""
    parsed = parse_uri(uri)
    if (parsed.type or "organization") != type_ or parsed.type == "organization":  # whose id is its publisher's
        raise WrongRecord(f"That id names no {type_}.", field="id")
    return parsed


def words(text: str, name: str) -> str:
    """Return words that people will read as they are, given as `name`; raises TextInvalid."""
    try:
        check_text(text)
    except TextInvalid as error:
        error.details.setdefault("field", name)
        raise
    return text


def organization(uri: str, name: str = "as") -> str:
    """Return the SCID of an organization's id, given as `name`; raises IdMalformed or WrongRecord."""
    parsed = parse_uri(uri)
    if parsed.type is not None:
        raise WrongRecord(f"`{name}` is an organization's id: gotong:<SCID>.", field=name)
    return parsed.scid


@strawberry.type(description="What every mutation answers.")
class Written:
    """The outside of a payload; the record is a field of the types that extend this."""

    user_errors: list[UserError] = declare(Value(), "The rules that were broken; empty when it was written.")
    client_mutation_id: str | None = declare(Value(), "As it came.")


def written_record(description: str) -> Any:
    """Return the payload field of the record that was written."""
    return declare(Stored(), f"{description} as it is now; null when a rule was broken, or in a dry run of a new one.")


def mutation(run: Callable[["Deed"], Any], input_type: type, description: str) -> Any:
    """Return a mutation field with its one input."""
    return declare(Act(run, input_type), description, (Argument("input", input_type, "What to write."),))


Convert = Callable[[Any], Any]


def changed(body: Mapping[str, Any], given: Any, members: Mapping[str, tuple[str, Convert]]) -> dict[str, Any]:
    """Return `body` with the members a writer gave: absent ones stay, null ones go.

    `members` maps an input's attribute to the body's member and what makes its value. Errors gain `field`.
    """
    new = dict(body)
    for attribute, (name, convert) in members.items():
        value = getattr(given, attribute, strawberry.UNSET)
        if value is strawberry.UNSET:
            continue
        if value is None:
            new.pop(name, None)
            continue
        try:
            new[name] = convert(value)
        except GotongError as error:
            error.details.setdefault("field", name)
            raise
    return new


def _given(value: Any) -> Any:
    return None if value is strawberry.UNSET else value


Revise = Callable[[dict[str, Any]], dict[str, Any]]


def revision(deed: Deed, uri: RecordUri, type_: str, change: Revise) -> Work:
    """Return the work of revising a record: its body as `change` makes it, its restricted part as the input says.

    An organization that has said nothing yet, or erased what it had said, begins so.
    """

    def revised(current: Current | None) -> Parts:
        given = deed.input
        if type_ == "organization" and (current is None or current.parts.body is None):
            return Parts({}, change({}), inputs.restricted(given, None))
        if current is None or current.parts.body is None:
            raise RecordUnreadable("The record's newest revision cannot be read here, so it cannot be changed.")
        parts = current.parts
        return Parts(
            dict(parts.core), change(dict(parts.body or {})), inputs.restricted(given, parts.restricted), parts.exercise
        )

    return Work(uri.scid, type_, revised, uri.id, _given(deed.input.expected_revision), exists=True)


def without_nulls(given: Any) -> Any:
    """Return an input whose nulls count as left out: a new record has nothing to remove."""
    return replace(
        given,
        **{each.name: strawberry.UNSET for each in fields(given) if each.init and getattr(given, each.name) is None},
    )
