"""Answer what other nodes ask about the logs here: heads, and pulls as a stream. Shell; reads only.

Only checkpoints that are held in full are served, so that every batch can end
where it likes: the proof from there to the checkpoint is always at hand. A log
whose first pull is still under way is therefore not relayed yet, and one that
is being extended is relayed up to its last complete checkpoint.

The stream is made page by page: one statement for a page's entries, however
many logs it spans, and one for the hashes of a proof where a page ends inside
a log. Between pages nothing is held in the database. What a caller can make this
node hold at once is about a page, however large identities are.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from federation.log import tiles
from federation.log.entry import Network
from federation.log.static import read_tiles
from federation.log.tiles import TileId
from federation.sync.frames import (
    CheckpointNote,
    DidLine,
    End,
    EndOfLog,
    EndReason,
    Log,
    Mark,
    Witness,
    encode,
    encode_entry,
)
from federation.sync.interest import Interest
from federation.sync.messages import HeadOfLog, Pull, Wanted, write_heads
from store import choices, evidence, participants, relay
from store.database import Connection, Database
from store.relay import Position, Range, RelayEntry, RelayRow

PAGE_ENTRIES_MAX = 1_024
PAGE_BYTES_MAX = 1024 * 1024
IDENTITIES_PER_PAGE = 16
"""Logs whose DID lines are read by one statement."""
IDENTITIES_BYTES_MAX = 1024 * 1024
"""DID lines read by one statement; an identity that is larger is sent in parts."""


# ---- heads ----------------------------------------------------------------------------------------------------------


async def heads(
    database: Database,
    network: Network,
    since: str | None,
    now: datetime,
    *,
    interest: Interest | None = None,
    listed: bool = False,
    mail: int = 0,
) -> bytes:
    """Return the JSON answer: every log relayed here, or those that may have changed since the hint.

    With an `interest`, of these only the operator's, those of the participants named, and those whose records say that
    they are in its regions; the others are counted.
    """
    async with database.transaction(isolation="repeatable_read", readonly=True) as connection:
        position = await relay.position(connection)
        after = None if since is None else read_hint(since)
        rows = None if after is None else await relay.heads_changed(connection, after)
        if rows is None:
            rows = await relay.heads(connection)
        operator = await participants.operator(connection)
        newest = await evidence.newest_number(connection)
        wanted = rows
        if interest is not None:
            inside = await choices.inside(connection, interest.regions, interest.scids)
            inside |= set() if operator is None else {operator.id}
            wanted = [row for row in rows if row.participant_id in inside]
    return write_heads(
        network=network,
        operator="" if operator is None else operator.scid,
        now=now,
        since=write_hint(position),
        logs=[head_of(row) for row in wanted],
        evidence=newest,
        left_out=len(rows) - len(wanted),
        listed=listed,
        mail=mail,
    )


def head_of(row: RelayRow) -> HeadOfLog:
    """Return what heads say about one log."""
    return HeadOfLog(
        row.origin, row.size, row.checkpoint.decode(), row.did_version, row.hosted, row.did_hash, row.keeps_mail
    )


def write_hint(position: Position) -> str:
    """Return a position as the opaque text that others hand back."""
    return f"{position.stream}:{position.transaction}"


def read_hint(text: str) -> Position | None:
    """Return the position a hint names, None for one that this program did not write."""
    stream, _, transaction = text.partition(":")
    if not transaction.isascii() or not transaction.isdecimal() or len(transaction) > 18:
        return None
    return Position(stream, int(transaction))


# ---- pull -----------------------------------------------------------------------------------------------------------


async def pull(database: Database, asked: Pull) -> AsyncIterator[bytes]:
    """Yield the frames that answer a pull, some at a time, ending with the batch that reaches its `bytes_max`."""
    async for frames in sections(database, asked):
        yield frames
    yield encode(End())


async def sections(database: Database, asked: Pull) -> AsyncIterator[bytes]:
    """Yield the frames of a pull's answer without the one that ends it."""
    sent_bytes = 0
    at = 0
    while at < len(asked.logs):
        async with database.acquire() as connection:
            opened, looked_at = await _sections(connection, asked.logs[at : at + IDENTITIES_PER_PAGE])
        at += looked_at
        for section in opened[:1]:  # the others are whole
            async for frames in section.large_identity(database):
                sent_bytes += len(frames)
                yield frames
        stream = _Stream(database, opened, max(1, asked.bytes_max - sent_bytes))
        async for frames in stream.frames():
            sent_bytes += len(frames)
            yield frames
        if stream.is_full:
            break


class _Section:
    """One log's part of the stream: what precedes its entries, and which entries are still to come."""

    def __init__(self, row: RelayRow, wanted: Wanted, lines: Sequence[bytes], *, is_witnessed: bool) -> None:
        self.row = row
        self.at = wanted.size
        self.stop = row.size if wanted.upto is None else min(row.size, wanted.upto)
        self._begun = [encode(Log(row.origin)), *(encode(DidLine(line)) for line in lines)]
        self._told = wanted.did_version + len(lines)  # DID lines that the asker has or that are in `_begun`
        self._is_witnessed = is_witnessed
        self._tiles: dict[TileId, bytes] = {}

    @property
    def is_whole(self) -> bool:
        """Whether all DID lines that the asker lacks were read."""
        return self._told >= self.row.did_version

    async def large_identity(self, database: Database) -> AsyncIterator[bytes]:
        """Yield the beginning of the section for as long as not all DID lines were read; what is left opens it."""
        while not self.is_whole:
            yield b"".join(self._begun)
            known = (self.row.participant_id, self._told)
            async with database.acquire() as connection:
                found = await relay.did_lines_after(connection, [known], IDENTITIES_BYTES_MAX)
            lines = found.get(known, [])
            self._begun = [encode(DidLine(line)) for line in lines]
            self._told += len(lines) or self.row.did_version  # lines never go away; should they, this still ends

    async def opening(self, database: Database) -> bytes:
        """Return the frames before the entries, without what was yielded before; once."""
        pieces, self._begun = self._begun, []
        if self._is_witnessed:
            async with database.acquire() as connection:
                witness = await participants.did_witness(connection, self.row.participant_id)
            pieces += [] if witness is None else [encode(Witness(witness))]
        return b"".join([*pieces, encode(CheckpointNote(self.row.checkpoint))])

    def next_range(self, entries_max: int) -> Range:
        """Return the next entries to read; a page inside a log ends at a multiple of a page, where proofs are short."""
        stop = min(self.stop, self.at + entries_max, self.at - self.at % PAGE_ENTRIES_MAX + PAGE_ENTRIES_MAX)
        return Range(self.row.log_id, self.at, max(self.at, stop))

    async def mark(self, database: Database) -> bytes:
        """Return the frame that ends a batch here."""
        if self.at == self.row.checkpoint_size:
            return encode(Mark(self.at))
        needed = tiles.consistency_tiles(self.at, self.row.checkpoint_size)
        missing = [tile for tile in needed if tile not in self._tiles]
        if missing:
            async with database.acquire() as connection:
                self._tiles |= await read_tiles(connection, self.row.log_id, missing)
        return encode(Mark(self.at, tuple(tiles.prove_consistency(self.at, self.row.checkpoint_size, self._tiles))))

    def end(self) -> bytes:
        """Return the frame that ends the section."""
        is_complete = self.at >= self.row.checkpoint_size
        return encode(EndOfLog(EndReason.COMPLETE if is_complete else EndReason.BOUNDED))


class _Stream:
    def __init__(self, database: Database, sections: Sequence[_Section], bytes_max: int) -> None:
        self._database = database
        self._sections = sections
        self._left_bytes = bytes_max
        self._opened = 0  # sections whose opening was sent
        self.is_full = False

    async def frames(self) -> AsyncIterator[bytes]:
        first = 0
        while first < len(self._sections) and not self.is_full:
            pieces, first = await self._page(first)
            frames = b"".join(pieces)
            self._left_bytes -= len(frames)
            if self._left_bytes <= 0:
                self.is_full = True
            if self.is_full and first < len(self._sections) and first < self._opened:
                frames += self._sections[first].end()
            yield frames

    async def _page(self, first: int) -> tuple[list[bytes], int]:
        """Return the frames of one page and the first section that is not finished by it."""
        ranges: list[Range] = []
        entries_left = PAGE_ENTRIES_MAX
        for section in self._sections[first:]:
            ranges.append(section.next_range(entries_left))
            entries_left -= ranges[-1].stop - ranges[-1].start
            if entries_left == 0 or ranges[-1].stop < section.stop:
                break
        page: list[RelayEntry] = []
        if any(each.stop > each.start for each in ranges):
            async with self._database.acquire() as connection:
                page = await relay.entries(connection, ranges, PAGE_BYTES_MAX)
            self.is_full = not page  # entries never go away; should they, the stream still ends
        by_number: dict[int, list[RelayEntry]] = {}
        for entry in page:
            by_number.setdefault(entry.number, []).append(entry)
        pieces: list[bytes] = []
        for number, each in enumerate(ranges, 1):
            section = self._sections[first]
            if first == self._opened and sum(map(len, pieces)) >= min(self._left_bytes, PAGE_BYTES_MAX):
                break  # identities take room too: what is opened beyond would be more than was asked for, or too much
            pieces += await self._section_frames(first, section, by_number.get(number, []))
            if section.at < each.stop or section.at < section.stop:
                break
            pieces.append(section.end())
            first += 1
        return pieces, first

    async def _section_frames(self, number: int, section: _Section, page: list[RelayEntry]) -> list[bytes]:
        pieces: list[bytes] = []
        if number >= self._opened:
            pieces.append(await section.opening(self._database))
            self._opened = number + 1
        if page:
            pieces += [encode_entry(entry.data, entry.salt, entry.body) for entry in page]
            section.at = page[-1].index + 1
            pieces.append(await section.mark(self._database))
        return pieces


async def _sections(connection: Connection, wanted: Sequence[Wanted]) -> tuple[list[_Section], int]:
    """Return the sections to send next, and how many of the logs wanted these are, with those that are not served.

    Only the first one can lack DID lines: it is larger than what is read at once.
    """
    rows = await relay.relayed(connection, [each.origin for each in wanted])
    found = [(rows[each.origin], each) for each in wanted if each.origin in rows]
    behind = [(row.participant_id, each.did_version) for row, each in found if row.did_version > each.did_version]
    lines = await relay.did_lines_after(connection, behind, IDENTITIES_BYTES_MAX) if behind else {}
    witnessed = await relay.witnessed(connection, [number for number, _ in behind]) if behind else set()
    sections: list[_Section] = []
    for looked_at, each in enumerate(wanted):
        if each.origin not in rows:
            continue
        row = rows[each.origin]
        is_behind = row.did_version > each.did_version
        told = lines.get((row.participant_id, each.did_version), [])
        section = _Section(row, each, told, is_witnessed=is_behind and row.participant_id in witnessed)
        if not section.is_whole and sections:
            return sections, looked_at
        sections.append(section)
        if not section.is_whole:
            return sections, looked_at + 1
    return sections, len(wanted)
