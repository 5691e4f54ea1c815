"""Copy the needs of a region into a SQLite file, every night, and prove each of them.

    NODE=http://localhost:8080 python nightly.py needs.db --region 32

Interrupted, it goes on with the page it had not finished. The rows of a page and the cursor behind it are one
transaction, so a row may be read twice but is never missed. What is stored is the body that `gotong verify-proof`
proved to be in its publisher's signed log, not what the node says it is.
"""

import argparse
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import httpx

NODE = os.environ.get("NODE", "http://localhost:8080")
# Two records can become visible in another order than their times: look back a little, the key drops what is known.
OVERLAP = timedelta(minutes=10)
TIMEOUT_S = 30

PAGE = """
query Nightly($filter: NeedFilter, $first: Int, $after: String) {
  needs(filter: $filter, orderBy: RECEIVED, first: $first, after: $after) {
    nodes { id state receivedAt publisher { name } provenance { proof } }
    pageInfo { hasNextPage endCursor }
  }
}
"""

TABLES = """
create table if not exists need (id text primary key, received_at text, publisher text, state text, body text);
create table if not exists walk (name text primary key, value text);
"""


class Refused(Exception):
    """The node answered with an error, or a proof proves nothing."""


def ask(http: httpx.Client, query: str, variables: dict[str, Any]) -> Any:
    """Return `data`, or raise Refused with the codes that say why."""
    answer = http.post("/graphql", json={"query": query, "variables": variables}).json()
    if "errors" in answer:
        raise Refused(", ".join(error["extensions"]["code"] for error in answer["errors"]))
    return answer["data"]


def proven_body(node: dict[str, Any]) -> str:
    """Return the record's body as its publisher signed it, or raise Refused."""
    command = ["gotong", "verify-proof", "-", "--json"]
    checked = subprocess.run(command, input=node["provenance"]["proof"], capture_output=True, text=True, check=False)
    if checked.returncode:
        raise Refused(f"{node['id']}: {checked.stderr.strip()}")
    proven = json.loads(checked.stdout)
    if proven["id"] != node["id"]:  # a valid proof of something else proves nothing here
        raise Refused(f"the proof of {node['id']} is that of {proven['id']}")
    return json.dumps(proven["body"], ensure_ascii=False)


class Copy:
    """The SQLite file: needs, and how far the walk through them has come."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path)
        self.database.executescript(TABLES)

    def get(self, name: str) -> str | None:
        """Return a remembered value."""
        row = self.database.execute("select value from walk where name = ?", (name,)).fetchone()
        return row[0] if row else None

    def since(self) -> str | None:
        """Return from when on needs are wanted: a little before the newest of the last finished walk."""
        newest = self.get("newest")
        return newest and (datetime.fromisoformat(newest) - OVERLAP).isoformat()

    def keep(self, nodes: list[dict[str, Any]], **walk: str | None) -> int:
        """Store a page and the walk's state in one transaction; return how many needs are new."""
        new = 0
        with self.database:
            for node in nodes:
                known = self.database.execute("select 1 from need where id = ?", (node["id"],)).fetchone()
                body = None if known else proven_body(node)
                new += not known
                self.database.execute(
                    "insert into need values (?, ?, ?, ?, ?) on conflict (id) do update set state = excluded.state",
                    (node["id"], node["receivedAt"], node["publisher"]["name"], node["state"], body),
                )
            self.database.executemany("insert or replace into walk values (?, ?)", walk.items())
        return new


def pages(http: httpx.Client, region: str, since: str | None, after: str | None, first: int) -> Iterator[Any]:
    """Return the pages of needs from the newest to the oldest wanted, beginning behind `after`."""
    more = True
    while more:
        wanted = {"region": region} | ({"receivedAfter": since} if since else {})
        found = ask(http, PAGE, {"filter": wanted, "first": first, "after": after})["needs"]
        more, after = found["pageInfo"]["hasNextPage"], found["pageInfo"]["endCursor"]
        yield found


def run(path: str, region: str, first: int, pages_max: int | None) -> int:
    """Walk from the newest need to the oldest wanted; return how many were new."""
    copy, new = Copy(path), 0
    with httpx.Client(base_url=NODE, timeout=TIMEOUT_S) as http:
        for number, page in enumerate(pages(http, region, copy.since(), copy.get("after"), first), 1):
            # The newest of all stands on the first page, and counts only when the last page is stored.
            newest = copy.get("ahead") or (page["nodes"][0]["receivedAt"] if page["nodes"] else copy.get("newest"))
            if page["pageInfo"]["hasNextPage"]:
                new += copy.keep(page["nodes"], after=page["pageInfo"]["endCursor"], ahead=newest)
            else:
                new += copy.keep(page["nodes"], after=None, ahead=None, newest=newest)
            if number == pages_max:
                break
    return new


def main() -> None:
    """Read the arguments and run."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("file", help="the SQLite file")
    arguments.add_argument("--region", default="32", help="a region's code: everything inside it is copied")
    arguments.add_argument("--first", type=int, default=100, help="needs a page")
    arguments.add_argument("--pages", type=int, help="stop after so many pages; the next run goes on there")
    given = arguments.parse_args()
    try:
        print(f"{run(given.file, given.region, given.first, given.pages)} new")
    except (Refused, httpx.HTTPError) as error:
        sys.exit(f"stopped, the next run goes on here: {error}")


if __name__ == "__main__":
    main()
