"""Publish the rows of a spreadsheet as needs: read, convert, append, report. Shell around domain/importing.py.

Every row's external id is its idempotency key, so a second run publishes only
what the first one did not; a run that is killed is simply run again. A restored
node has forgotten its keys, but its log says under which external ids something
was published: what is there is not published twice.
"""

import asyncio
import contextlib
import csv
import hashlib
import tomllib
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from domain.errors import GotongError
from domain.import_map import ImportMap, check_header, parse_import_map
from domain.importing import NeedDraft, Refusal, convert_all
from federation.encoding import canonical
from federation.publish.append import Current, Draft, Once, Parts
from federation.publish.prepare import IdempotencyKeyReused
from federation.sync.backlog import Backlog
from node.wiring import Node, now
from store import idempotency, participants, records

FILE_BYTES_MAX = 512 * 1024 * 1024
CELL_CHARS_MAX = 131_072
ROWS_AT_ONCE = 512
MAP_BYTES_MAX = 1024 * 1024
DELIMITERS = ",;\t"


class ImportFileUnreadable(GotongError):
    """The file is missing, too large, not UTF-8, or not a table with a header line."""

    code: ClassVar[str] = "IMPORT_FILE_UNREADABLE"


class ImportRowChanged(GotongError):
    """The row was published before with another content; revise that need instead of importing it again."""

    code: ClassVar[str] = "IMPORT_ROW_CHANGED"


@dataclass(slots=True)
class Report:
    """What became of the rows: `published` now, `repeated` from an earlier run, and the refused ones."""

    published: int = 0
    repeated: int = 0
    refusals: list[Refusal] = field(default_factory=list)


def read_map(path: Path) -> ImportMap:
    """Return the import map in a TOML file; raise ImportFileUnreadable or ImportMapInvalid."""
    try:
        if path.stat().st_size > MAP_BYTES_MAX:
            raise ImportFileUnreadable("the map is too large", file=path.name, bytes_max=MAP_BYTES_MAX)
        return parse_import_map(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ImportFileUnreadable(f"the map cannot be read: {error}", file=path.name) from None


def read_rows(path: Path, import_map: ImportMap) -> Iterator[tuple[int, dict[Any, Any]]]:
    """Yield (line, row) of a CSV file with a header; raise ImportFileUnreadable, or ImportMapInvalid."""
    csv.field_size_limit(CELL_CHARS_MAX)
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ImportFileUnreadable("the file is too large", file=path.name, bytes_max=FILE_BYTES_MAX)
        with path.open(encoding="utf-8-sig", newline="") as file:
            header = file.readline()
            file.seek(0)
            delimiter = max(DELIMITERS, key=header.count)
            reader = csv.DictReader(file, delimiter=delimiter, strict=True)
            if not reader.fieldnames:
                raise ImportFileUnreadable("the file has no header line", file=path.name)
            check_header(import_map, reader.fieldnames)
            for row in reader:
                yield reader.line_num, row
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ImportFileUnreadable(f"the file cannot be read: {error}", file=path.name) from None


async def import_needs(
    node: Node,
    scid: str,
    path: Path,
    import_map: ImportMap,
    *,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda _rows: None,
) -> Report:
    """Return what became of every row of `path`, published durably for the participant `scid` unless `dry_run`.

    Raises what concerns no single row: an unreadable file, ClockOff, the database going away. What was published
    before that stays published, and a further run goes on from there.
    """
    report = Report()
    waiting: list[NeedDraft] = []
    async with node.database.acquire() as connection:
        known = await records.external_ids(connection, "need", scid)
    async with contextlib.aclosing(Backlog(node.database)) as backlog:
        for result in convert_all(import_map, read_rows(path, import_map), node.regions):
            if isinstance(result, Refusal):
                report.refusals.append(result)
                progress(1)
                continue
            waiting.append(result)
            if len(waiting) == ROWS_AT_ONCE:
                await _publish(node, scid, waiting, known, report, dry_run=dry_run)
                progress(len(waiting))
                waiting = []
                await backlog.grew(ROWS_AT_ONCE)
        await _publish(node, scid, waiting, known, report, dry_run=dry_run)
        progress(len(waiting))
    report.refusals.sort(key=lambda refusal: refusal.line)
    return report


async def _publish(
    node: Node, scid: str, drafts: Sequence[NeedDraft], known: Set[str], report: Report, *, dry_run: bool
) -> None:
    if dry_run:
        report.published += len(drafts)
        return
    forgotten = await _forgotten(node, scid, [each.external_id for each in drafts if each.external_id in known])
    report.repeated += len(forgotten)
    drafts = [each for each in drafts if each.external_id not in forgotten]
    outcomes = await asyncio.gather(*(_publish_one(node, scid, draft) for draft in drafts), return_exceptions=True)
    for draft, outcome in zip(drafts, outcomes, strict=True):
        if isinstance(outcome, IdempotencyKeyReused):
            changed = ImportRowChanged("published before with another content")
            report.refusals.append(Refusal(draft.line, changed.code, "source.id", changed.message))
        elif isinstance(outcome, BaseException):
            raise outcome
        elif outcome:
            report.repeated += 1
        else:
            report.published += 1


async def _forgotten(node: Node, scid: str, published: Sequence[str]) -> set[str]:
    """Return those of these external ids, under which something is published, whose keys are not remembered."""
    if not published:
        return set()
    async with node.database.acquire() as connection:
        participant = await participants.find(connection, scid)
        assert participant is not None  # something of it is published
        remembered = await idempotency.find(connection, participant.id, published)
    return set(published) - remembered.keys()


async def _publish_one(node: Node, scid: str, draft: NeedDraft) -> bool:
    """Return whether the row had been published before."""
    content: dict[str, Any] = {
        "body": draft.body_without_expiry,
        "restricted": draft.restricted,
        "exercise": draft.exercise,
    }
    once = Once(draft.external_id, hashlib.sha256(canonical.encode(content)).digest())
    body = draft.body(now())

    def change(_current: Current | None) -> Parts:
        return Parts({}, body, draft.restricted, draft.exercise)

    (appended,) = await node.appender.append(scid, [Draft("need", None, change)], once=once)
    return appended.repeated
