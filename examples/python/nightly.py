"""Copy the needs of a region into a SQLite file, every night, and prove each of them.

    NODE=http://localhost:8080 python nightly.py needs.db --region 32

It asks what changed since the cursor of last time. The rows of a page and the cursor behind it are one transaction:
interrupted anywhere, the next run goes on with the page that was not finished. What is stored is the body that
`gotong verify-proof` proved to be in its publisher's signed log, not what the node says it is.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx

NODE = os.environ.get("NODE", "http://localhost:8080")
TIMEOUT_S = 30

PAGE = """
query Nightly($region: String!, $first: Int, $after: String) {
  changes(filter: {types: [NEED], region: $region}, first: $first, after: $after) {
    nodes { recordId record { id publisher { name } provenance { entryHash proof } ... on Need { state } } }
    pageInfo { hasNextPage endCursor }
  }
}
"""

TABLES = """
create table if not exists need (id text primary key, publisher text, state text, entry_hash text, body text);
create table if not exists place (cursor text);
"""
UPSERT = """
insert into need values (:id, :publisher, :state, :entry_hash, :body)
on conflict (id) do update set
  publisher = excluded.publisher, state = excluded.state, entry_hash = excluded.entry_hash, body = excluded.body
"""


class Refused(Exception):
    """The node answered with an error, or a proof proves nothing."""

    def __init__(self, reason: str, codes: list[str] | None = None) -> None:
        super().__init__(reason)
        self.codes = codes or []


def ask(http: httpx.Client, query: str, variables: dict[str, Any]) -> Any:
    """Return `data`, or raise Refused with the codes that say why."""
    answer = http.post("/graphql", json={"query": query, "variables": variables}).json()
    if "errors" in answer:
        codes = [error["extensions"]["code"] for error in answer["errors"]]
        raise Refused(", ".join(codes), codes)
    return answer["data"]


def proven_body(record: dict[str, Any]) -> str:
    """Return the record's body as its publisher signed it, or raise Refused."""
    command = ["gotong", "verify-proof", "-", "--json"]
    checked = subprocess.run(command, input=record["provenance"]["proof"], capture_output=True, text=True, check=False)
    if checked.returncode:
        raise Refused(f"{record['id']}: {checked.stderr.strip()}")
    proven = json.loads(checked.stdout)
    if proven["id"] != record["id"]:  # a valid proof of something else proves nothing here
        raise Refused(f"the proof of {record['id']} is that of {proven['id']}")
    return json.dumps(proven["body"], ensure_ascii=False)


class Copy:
    """The SQLite file: needs, and how far the changes have been read."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path)
        self.database.executescript(TABLES)

    def cursor(self) -> str | None:
        """Return the place behind the last stored page, None before the first."""
        row = self.database.execute("select cursor from place").fetchone()
        return row[0] if row else None

    def begin_again(self) -> None:
        """Forget the place, not the needs: reading a change twice changes nothing."""
        with self.database:
            self.database.execute("delete from place")

    def keep(self, events: list[dict[str, Any]], cursor: str | None) -> int:
        """Store a page and the place behind it in one transaction, and return how many needs changed.

        Raises Refused and stores nothing.
        """
        with self.database:
            changed = sum(self._keep(event["record"], event["recordId"]) for event in events)
            if cursor is not None:
                self.database.execute("delete from place")
                self.database.execute("insert into place values (?)", (cursor,))
        return changed

    def _keep(self, record: dict[str, Any] | None, id_: str) -> int:
        if record is None:  # its author erased it: so do we
            return self.database.execute("delete from need where id = ?", (id_,)).rowcount
        known = self.database.execute("select entry_hash, body from need where id = ?", (record["id"],)).fetchone()
        entry_hash = record["provenance"]["entryHash"]
        # States change with time and with what others do; a body only with a new entry in its log.
        body = known[1] if known and known[0] == entry_hash else proven_body(record)
        row = {"id": record["id"], "publisher": record["publisher"]["name"], "state": record["state"]}
        self.database.execute(UPSERT, {**row, "entry_hash": entry_hash, "body": body})
        return 1


def pages(http: httpx.Client, region: str, after: str | None, first: int) -> Iterator[tuple[list[Any], str | None]]:
    """Return pages of changes to needs, the oldest first, each with the cursor behind it."""
    more = True
    while more:
        found = ask(http, PAGE, {"region": region, "first": first, "after": after})["changes"]
        more, after = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]
        yield found["nodes"], after


def run(path: str, region: str, first: int, pages_max: int | None) -> int:
    """Read what changed since the last run; return how many changes that were."""
    copy, changes = Copy(path), 0
    with httpx.Client(base_url=NODE, timeout=TIMEOUT_S) as http:
        try:
            for number, (events, cursor) in enumerate(pages(http, region, copy.cursor(), first), 1):
                changes += copy.keep(events, cursor)
                if number == pages_max:
                    break
        except Refused as refused:
            if refused.codes == ["STREAM_CHANGED"]:  # the node was restored from a backup, or is another one
                copy.begin_again()
            raise
    return changes


def main() -> None:
    """Read the arguments and run."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("file", help="the SQLite file")
    arguments.add_argument("--region", default="32", help="a region's code: everything inside it is copied")
    arguments.add_argument("--first", type=int, default=100, help="changes a page")
    arguments.add_argument("--pages", type=int, help="stop after so many pages; the next run goes on there")
    given = arguments.parse_args()
    try:
        print(f"{run(given.file, given.region, given.first, given.pages)} changes")
    except (Refused, httpx.HTTPError) as error:
        sys.exit(f"stopped, the next run goes on here: {error}")


if __name__ == "__main__":
    main()
