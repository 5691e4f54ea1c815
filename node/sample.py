"""Read the demo's sample data: who lives on which node, and what they publish there.

The file (node/data/demo/demo.toml) is written for people: relative days, region codes,
texts by language. This module expands it into the bodies that get signed. It decides
nothing about publishing and reads no clock: the day of seeding is an argument.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from importlib import resources
from typing import Any, ClassVar, Final

import msgspec

from domain.errors import Detail, GotongError
from domain.instants import format_instant
from domain.records.need import NeedStatus, Urgency, default_expiry
from domain.regions import Regions

ABOUT_SELF: Final = "self"
_TEXTS: Final = frozenset(["title", "name", "description", "text", "outcome"])
_MOMENTS: Final = frozenset(["start", "end", "neededBy"])
_MOMENT = re.compile(r"^([+-][0-9]{1,3})d ([0-9]{2}):([0-9]{2})\Z")


class SampleInvalid(GotongError):
    """The packaged demo data is damaged."""

    code: ClassVar[str] = "SAMPLE_INVALID"


@dataclass(frozen=True, slots=True)
class SampleRecord:
    """A record to publish. `about` is the key of the record an update is about, or ABOUT_SELF; else None."""

    type: str
    key: str
    about: str | None
    restricted: dict[str, Any] | None
    members: Mapping[str, Any]

    def body(self, at: datetime, regions: Regions, about: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Return the body as signed at `at`; `about` is the reference {uri, leaf} of the record it is about.

        Raises SampleInvalid for an unreadable moment or a missing reference, RegionUnknown for a place.
        """
        place = self.members.get("place")
        offset_h = regions.find(place).utc_offset_h if place is not None else 0
        body = {name: _expanded(name, value, at, offset_h, regions) for name, value in self.members.items()}
        if (about is None) != (self.about is None):
            raise SampleInvalid("a reference is missing, or one too many", key=self.key)
        if about is not None:
            body["about"] = dict(about)
        if "urgency" in body:
            expires_at = default_expiry(Urgency(body["urgency"]), at)
            body |= {"status": NeedStatus.OPEN.value, "expiresAt": format_instant(expires_at)}
        return body


@dataclass(frozen=True, slots=True)
class SampleOrganization:
    """A participant: its own record, and what it publishes, in order."""

    key: str
    slug: str
    itself: SampleRecord
    records: tuple[SampleRecord, ...]


@dataclass(frozen=True, slots=True)
class SampleNode:
    """A node to start. `name` goes into host names, `title` is shown."""

    name: str
    title: str
    organizations: tuple[SampleOrganization, ...]


def load_sample() -> tuple[SampleNode, ...]:
    """Return the packaged sample, four nodes; reads one packaged file. Raises SampleInvalid."""
    text = resources.files("node").joinpath("data/demo/demo.toml").read_text(encoding="utf-8")
    return parse_sample(tomllib.loads(text))


def parse_sample(document: Mapping[str, Any]) -> tuple[SampleNode, ...]:
    """Return the nodes of a sample document, or raise SampleInvalid for a missing key."""
    try:
        return tuple(
            SampleNode(node["name"], node["title"], tuple(map(_organization, node["organization"])))
            for node in document["node"]
        )
    except KeyError as error:
        missing: Detail = str(error.args[0])
        raise SampleInvalid("a key is missing", key=missing) from None


def _organization(raw: Mapping[str, Any]) -> SampleOrganization:
    own = {name: value for name, value in raw.items() if name != "record"}
    return SampleOrganization(
        raw["key"], raw["slug"], _record({"type": "organization", **own}), tuple(map(_record, raw["record"]))
    )


def _record(raw: Mapping[str, Any]) -> SampleRecord:
    members = {name: value for name, value in raw.items() if name not in ("type", "key", "about", "restricted")}
    return SampleRecord(raw["type"], raw["key"], raw.get("about"), raw.get("restricted"), members)


def _expanded(name: str, value: Any, at: datetime, offset_h: int, regions: Regions) -> Any:
    if name in _TEXTS:
        return [{"lang": lang, "text": text} for lang, text in value.items()]
    if name in _MOMENTS:
        return format_instant(_moment(value, at, offset_h))
    if name == "place":
        return msgspec.to_builtins(regions.place(value))
    return value


def _moment(text: str, at: datetime, offset_h: int) -> datetime:
    match = _MOMENT.match(text)
    if match is None:
        raise SampleInvalid("a moment is written like +3d 17:00", moment=text)
    days, hour, minute = map(int, match.groups())
    local = at.astimezone(timezone(timedelta(hours=offset_h))) + timedelta(days=days)
    return local.replace(hour=hour, minute=minute, second=0, microsecond=0)
