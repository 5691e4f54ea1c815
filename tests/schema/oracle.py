"""The same contract, executed by graphql-core with naive resolvers over rows in memory: slow, obvious, independent."""

import base64
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from graphql import GraphQLObjectType, build_schema, graphql_sync, print_schema

from domain.categories import CATEGORIES, Category
from domain.regions import Regions
from domain.text import pick
from schema.root import SCHEMA
from store.database import Database
from tests.schema.measures import EPOCH, given, instant, kilometres, micros

Row = dict[str, Any]
TABLES = {"need": "need", "activity": "activity", "update": "update_post", "organization": "organization"}
URGENCIES = ["LOW", "MEDIUM", "HIGH", "CRITICAL"]
BAND = {
    "needs": "need",
    "activities": "activity",
    "updates": "update",
    "organizations": "organization",
    "communities": "organization",
}
FAR = datetime.max.replace(tzinfo=UTC)


PROBING = ("text", "near", "externalId")
"""What looks into what a record says is not asked of hidden ones."""


class Oracle:
    """Rows of one database, and answers from them."""

    def __init__(
        self,
        rows: dict[str, list[Row]],
        participants: dict[int, Row],
        suppressed: set[tuple[Any, ...]],
        regions: Regions,
        languages: Sequence[str],
    ) -> None:
        self.rows = rows
        self.participants = participants
        self.suppressed = suppressed
        self.regions = regions
        self.languages = languages
        self.schema = build_schema(print_schema(SCHEMA))
        for type_ in self.schema.type_map.values():
            if isinstance(type_, GraphQLObjectType) and not type_.name.startswith("__"):
                for name, field in type_.fields.items():
                    field.resolve = self._resolver(type_.name, name)
        for name in ("Node", "Record", "_Entity"):
            self.schema.type_map[name].resolve_type = lambda row, *_: row["_type"].capitalize()  # type: ignore[attr-defined]

    @classmethod
    async def of(cls, database: Database, regions: Regions, languages: Sequence[str] = ()) -> "Oracle":
        async with database.acquire() as connection:
            participants = {row["id"]: dict(row) for row in await connection.fetch("select * from participant")}
            suppressed = {
                tuple(row) for row in await connection.fetch("select publisher_id, type, record_id from suppression")
            }
            logs = {row["id"]: dict(row) for row in await connection.fetch("select * from log")}
            for log in logs.values():
                said = "select * from cosignature where log_id = $1 order by at_s desc, cosigner_id"
                log["_cosignatures"] = list(map(dict, await connection.fetch(said, log["id"])))
            entries = {
                (row["log_id"], row["index"]): dict(row) for row in await connection.fetch("select * from entry")
            }
            rows = {}
            for type_, table in TABLES.items():
                rows[type_] = [
                    {**row, "_type": type_, "_log": logs[row["log_id"]], "_entry": entries[row["log_id"], row["index"]]}
                    for row in map(dict, await connection.fetch(f"select * from {table}"))
                ]
        return cls(rows, participants, suppressed, regions, languages)

    def ask(self, query: str, variables: dict[str, Any]) -> Any:
        result = graphql_sync(self.schema, query, variable_values=variables)
        return result.data, result.errors

    # What may be seen, by whom signed.

    def visible(self, type_: str, *, unverified: bool = False) -> list[Row]:
        known = {row["publisher_id"] for row in self.rows["organization"]}
        return [
            row
            for row in self.rows[type_]
            if row["publisher_id"] in known
            and not self.is_suppressed(row)
            and (self.is_allowed(row) or (unverified and self.waits(row)))
        ]

    def is_allowed(self, row: Row) -> bool:
        return bool(self.participants[row["publisher_id"]]["trust"] == "allowed")

    def is_suppressed(self, row: Row) -> bool:
        return (row["publisher_id"], row["_type"], row["record_id"]) in self.suppressed

    def waits(self, row: Row) -> bool:
        trust = self.participants[row["publisher_id"]]["trust"]
        return trust == "quarantined" and row.get("urgency") == URGENCIES.index("CRITICAL")

    def uri(self, row: Row) -> str:
        scid = self.participants[row["publisher_id"]]["scid"]
        return (
            f"gotong:{scid}" if row["_type"] == "organization" else f"gotong:{scid}/{row['_type']}/{row['record_id']}"
        )

    def by_uri(self, uri: str) -> Row | None:
        return next((row for type_ in TABLES for row in self.visible(type_) if self.uri(row) == uri), None)

    # Connections.

    def fits(self, row: Row, f: dict[str, Any]) -> bool:
        checks: dict[str, Callable[[Any], bool]] = {
            "publishers": lambda v: f"gotong:{self.participants[row['publisher_id']]['scid']}" in v,
            "kinds": lambda v: row["kind"] in v,
            "statuses": lambda v: row["status"] in v,
            "categories": lambda v: any(row["category"] == c or row["category"].startswith(c + ".") for c in v),
            "focus": lambda v: any(x == c or x.startswith(c + ".") for c in v for x in row["focus"]),
            "modes": lambda v: bool(set(row["modes"]) & set(v)),
            "states": lambda v: row["state"] in v,
            "urgencyAtLeast": lambda v: row["urgency"] >= URGENCIES.index(v),
            "region": lambda v: v in row["region_path"],
            "neededBefore": lambda v: row["needed_by"] is not None and row["needed_by"] < given(v),
            "startsAfter": lambda v: row["starts_at"] > given(v),
            "startsBefore": lambda v: row["starts_at"] < given(v),
            "publishedAfter": lambda v: row["published_at"] > given(v),
            "publishedBefore": lambda v: row["published_at"] < given(v),
            "receivedAfter": lambda v: row["received_at"] > given(v),
            "externalId": lambda v: f"{v['scheme']}:{v['value']}" in row["external_ids"],
            "about": lambda v: row["about_uri"] in v,
            "near": lambda v: row["lat"] is not None and kilometres(row, v) <= v["radiusKm"],
            "languages": lambda v: bool(set(row["languages"]) & set(v)),
            "parent": lambda v: row["parent_uri"] == v,
            "programme": lambda v: row["programme"] == v,
        }
        if row["exercise"] != bool(f.get("exercise")):
            return False
        return all(check(f[name]) for name, check in checks.items() if f.get(name) is not None)

    def key(self, row: Row, order: str) -> tuple[Any, ...]:
        last = (row["record_id"], row["publisher_id"])
        match order:
            case "PUBLISHED":
                return (row["published_at"], *last)
            case "URGENCY":
                return (row["urgency"], row["received_at"], *last)
            case "NEEDED_BY":
                return (row["needed_by"] or FAR, *last)
            case "STARTS":
                return (row["starts_at"], *last)
            case "NAME":
                return (row["name_text"][0]["text"][:32], *last)
        return (row["received_at"], *last)

    def cursor(self, row: Row, order: str) -> str:
        parts = [
            ("infinity" if part == FAR else str(micros(part)))
            if isinstance(part, datetime)
            else part.encode().hex()
            if isinstance(part, str)
            else str(part)
            for part in self.key(row, order)
        ]
        plain = f"1 {row['_type']}.{order} {','.join(parts)}"
        return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")

    def connection(self, type_: str, args: dict[str, Any], bound: Callable[[Row], bool]) -> Row:
        f, order = args.get("filter") or {}, args.get("orderBy") or "RECEIVED"
        visible = self.visible(type_, unverified=bool(f.get("unverifiedCritical")))
        fitting = [row for row in visible if bound(row) and self.fits(row, f)]
        unseen = [
            row
            for row in self.rows[type_]
            if row not in visible
            and (self.is_suppressed(row) or not self.is_allowed(row))
            and bound(row)
            and self.fits(row, {name: value for name, value in f.items() if name not in PROBING})
        ]
        ascending = order in ("NEEDED_BY", "STARTS", "NAME")
        ranked = sorted(fitting, key=lambda row: self.key(row, order), reverse=not ascending)
        cursors = [self.cursor(row, order) for row in ranked]
        low = cursors.index(args["after"]) + 1 if args.get("after") else 0
        high = cursors.index(args["before"]) if args.get("before") else len(ranked)
        last, first = args.get("last"), args.get("first") or 20
        start, end = (max(low, high - last), high) if last else (low, min(high, low + first))
        page, places = ranked[start:end], cursors[start:end]
        return {
            "nodes": page,
            "edges": [{"node": row, "cursor": place} for row, place in zip(page, places, strict=True)],
            "pageInfo": {
                "hasNextPage": bool(args.get("before")) if last else end < high,
                "hasPreviousPage": start > low if last else bool(args.get("after")),
                "startCursor": places[0] if places else None,
                "endCursor": places[-1] if places else None,
            },
            "totalCount": len(fitting),
            "totalAtLeast": len(fitting),
            "suggestions": [],
            "textPending": 0,
            "hiddenByTrust": {"count": len(unseen), "critical": sum(row.get("urgency") == 3 for row in unseen)},
        }

    # Fields.

    def _resolver(self, type_: str, field: str) -> Any:
        def resolve(source: Any, _info: Any, **args: Any) -> Any:
            return self.value(type_, field, source, args)

        return resolve

    def value(self, type_: str, field: str, row: Any, args: dict[str, Any]) -> Any:
        if type_ == "Query":
            return self.root(field, args)
        if type_ == "Provenance":
            return {
                "log": row["_log"]["origin"],
                "index": row["index"],
                "treeSize": row["_log"]["size"],
                "entryHash": row["_entry"]["leaf_hash"].hex(),
                "verifiedAt": instant(row["_entry"]["received_at"]),
                "asOf": instant(max((self.when(each) for each in self.cosigned(row)), default=None)),
                "cosigners": [
                    organization
                    for each in self.cosigned(row)
                    if each["size"] == row["_log"]["checkpoint_size"]
                    for organization in self.visible("organization")
                    if organization["publisher_id"] == each["cosigner_id"]
                ],
                "proof": None,
            }[field]
        if type_ in ("Need", "Activity", "Update", "Organization"):
            return self.record(field, row, args)
        if type_ == "Place":
            return {
                "code": row["region"],
                "region": row["region"],
                "edition": row["place_edition"],
                "lat": row["lat"],
                "lon": row["lon"],
                "precisionM": row["precision_m"],
            }[field]
        if type_ == "Region":
            region = self.regions.find(row)
            return {
                "code": region.code,
                "name": region.name,
                "level": region.level.upper(),
                "parent": region.parent,
                "lat": float(region.lat),
                "lon": float(region.lon),
                "population": region.population,
            }[field]
        if type_ == "Category":
            known = CATEGORIES.get(row) or Category(row, row, row, "Multi-sector", 17)
            wanted = [args["lang"]] if args.get("lang") else self.languages
            tags = [tag for lang in wanted for tag in (lang.lower(), lang.split("-")[0].lower()) if tag in ("id", "en")]
            name = known.name_en if tags and tags[0] == "en" else known.name_id
            return {"code": known.code, "name": name, "ocha": known.ocha, "sdg": known.sdg}[field]
        return row.get(field) if isinstance(row, dict) else None

    def root(self, field: str, args: dict[str, Any]) -> Any:
        if field == "communities":
            return self.connection("organization", args, lambda row: row["kind"] == "COMMUNITY")
        if field in BAND:
            return self.connection(BAND[field], args, lambda _: True)
        if field == "needStats":
            return self.stats(args)
        if field == "nodes":
            return [self.by_uri(uri) for uri in args["ids"]]
        if field == "_entities":
            return [self.by_uri(representation["id"]) for representation in args["representations"]]
        if field == "node":
            return self.by_uri(args["id"])
        row = self.by_uri(args["id"]) if field == "organization" else None
        return row if row is not None and row["_type"] == "organization" else None

    def stats(self, args: dict[str, Any]) -> list[Row]:
        levels = {"REGION_PROVINCE": 0, "REGION_REGENCY": 1, "REGION_DISTRICT": 2}
        by = args["groupBy"]
        groups: dict[tuple[Any, ...], list[Row]] = {}
        f = args.get("filter") or {}
        for row in self.visible("need", unverified=bool(f.get("unverifiedCritical"))):
            if self.fits(row, f):
                path = [*row["region_path"], None, None]
                region = next((path[levels[name]] for name in by if name in levels), None)
                own = [row[name.lower()] if name in by else None for name in ("CATEGORY", "KIND", "URGENCY", "STATE")]
                month = row["published_at"].strftime("%Y-%m") if "MONTH" in by else None
                groups.setdefault((region, *own, month), []).append(row)
        names = ("regionCode", "category", "kind", "urgency", "state", "month")
        return [
            {
                **dict(zip(names, key, strict=True)),
                "region": key[0],
                "urgency": None if key[3] is None else URGENCIES[key[3]],
                "count": len(rows),
                "quantities": self.summed(rows, "quantity_unit", "quantity_value", ("unit", "value")),
                "money": self.summed(rows, "money_currency", "money_amount", ("currency", "amount")),
            }
            for key, rows in sorted(groups.items(), key=lambda item: [(part is None, part) for part in item[0]])
        ]

    def summed(self, rows: list[Row], unit: str, amount: str, names: tuple[str, str]) -> list[Row]:
        sums: dict[str, Any] = {}
        for row in rows:
            if row[unit] is not None:
                sums[row[unit]] = sums.get(row[unit], 0) + row[amount]
        return [
            dict(zip(names, (each, format(total.normalize(), "f")), strict=True))
            for each, total in sorted(sums.items())
        ]

    def record(self, field: str, row: Row, args: dict[str, Any]) -> Any:
        own: dict[str, Callable[[], Any]] = {
            "id": lambda: self.uri(row),
            "publisher": lambda: next(o for o in self.rows["organization"] if o["publisher_id"] == row["publisher_id"]),
            "provenance": lambda: row,
            "place": lambda: row,
            "title": lambda: self.text(row["title_text"], args),
            "name": lambda: self.text(row["name_text"], args),
            "text": lambda: self.text(row["body_text"], args),
            "description": lambda: self.text(row["description_text"], args),
            "outcome": lambda: self.text(row["outcome"], args),
            "quantity": lambda: (
                row["quantity_value"] and {"value": format(row["quantity_value"], "f"), "unit": row["quantity_unit"]}
            ),
            "money": lambda: (
                row["money_amount"] and {"amount": format(row["money_amount"], "f"), "currency": row["money_currency"]}
            ),
            "minimum": lambda: row["minimum_value"] and format(row["minimum_value"], "f"),
            "urgency": lambda: URGENCIES[row["urgency"]],
            "unverified": lambda: not self.is_allowed(row),
            "start": lambda: instant(row["starts_at"]),
            "end": lambda: instant(row["ends_at"]),
            "externalIds": lambda: [
                dict(zip(("scheme", "value"), x.split(":", 1), strict=True)) for x in row["external_ids"]
            ],
            "aboutId": lambda: row["about_uri"],
            "about": lambda: self.by_uri(row["about_uri"]),
            "did": lambda: self.participants[row["publisher_id"]]["did"],
            "ended": lambda: self.participants[row["publisher_id"]]["ended"],
            "parent": lambda: row["parent_uri"],
            "succeeds": lambda: row["doc"].get("succeeds"),
            "succeededBy": lambda: None,
            "needs": lambda: self.connection("need", args, lambda x: x["publisher_id"] == row["publisher_id"]),
            "activities": lambda: self.connection("activity", args, lambda x: x["publisher_id"] == row["publisher_id"]),
            "updates": lambda: self.connection("update", args, lambda x: self.is_about(x, row)),
            "contact": lambda: None,
            "exactPlace": lambda: None,
            "contactAccess": lambda: self.contact_access(row),
        }
        if field in own:
            return own[field]()
        value = row["".join("_" + c.lower() if c.isupper() else c for c in field)]
        return instant(value) if isinstance(value, datetime) else value

    def contact_access(self, row: Row) -> str:
        elsewhere = not self.participants[row["publisher_id"]]["hosted"]
        return "ASK_HOME" if elsewhere and b"restricted" in row["_entry"]["data"] else "NONE"

    def cosigned(self, row: Row) -> list[Row]:
        """What other hosts have signed of trees that hold the row's entry, newest first."""
        host = self.participants[row["publisher_id"]]["host"]
        return [
            each
            for each in row["_log"]["_cosignatures"]
            if each["size"] > row["index"] and self.participants[each["cosigner_id"]]["host"] != host
        ]

    def when(self, cosignature: Row) -> datetime:
        return EPOCH + timedelta(seconds=cosignature["at_s"])

    def is_about(self, update: Row, row: Row) -> bool:
        if row["_type"] == "organization":
            return bool(update["publisher_id"] == row["publisher_id"])
        return bool(update["about_uri"] == self.uri(row))

    def text(self, texts: list[dict[str, str]] | None, args: dict[str, Any]) -> str | None:
        if texts is None:
            return None
        return pick(texts, [args["lang"]] if args.get("lang") else list(self.languages))["text"]
