"""Invent communities, needs and updates: the same for the same seed, skewed as the real ones are. Pure.

A few communities publish most; populous regencies have more communities; some categories
are asked for a hundred times as often as others; words follow Zipf's law. Bodies are what a
community would sign, so the rows come from the real record types.
"""

import hashlib
import itertools
import random
from bisect import bisect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from domain.categories import CATEGORIES
from domain.ids import uuid7
from domain.instants import format_instant
from domain.regions import EDITION, Region

SEED: Final = 20_261_122
START: Final = datetime(2024, 11, 22, tzinfo=UTC)
SPAN: Final = timedelta(days=730)
AS_OF: Final = START + SPAN
EXPIRY: Final = datetime(2046, 1, 1, tzinfo=UTC)  # nothing changes its state while it is measured
UPDATES_PER_NEED: Final = 5
ZIPF_SHIFT: Final = 10
HOME_SHARE: Final = 0.8
_BASE58: Final = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


# Texts are made of these; the first are the most frequent.
THINGS: Final = _words(
    "beras minyak selimut buku air tenda obat susu popok telur gula sabun terpal pakaian alat seragam tas semen "
    "genteng bibit pupuk pompa genset lampu laptop kursi meja papan ambulans darah masker kasur kompor panci "
    "ember sepatu tongkat kacamata mukena perahu gergaji cangkul cat kayu paku benang mesin kain jaring printer"
)
PEOPLE: Final = _words(
    "warga anak lansia keluarga ibu siswa petani nelayan pengungsi relawan guru santri penyintas pedagang "
    "bayi remaja difabel pemulung buruh perajin"
)
WORDS: Final = _words(
    "untuk dan yang di dengan kami dari setelah karena masih belum banjir rumah desa sekolah posko bantuan "
    "dibutuhkan segera bulan kerusakan gempa longsor kebakaran kekeringan jalan jembatan terputus dapur umum "
    "gotong royong kampung balai pelatihan membaca belajar panen sungai pantai bersih sehat perbaikan "
    "pembangunan persediaan menipis terbatas musim hujan kemarau listrik padam sinyal posyandu puskesmas "
    "imunisasi gizi stunting koperasi usaha modal pasar warung taman bacaan perpustakaan keliling internet "
    "komputer coding kelas malam beasiswa seragam ijazah masjid gereja pura vihara kerja bakti sampah daur "
    "ulang kompos mangrove pohon bibit hutan mata sumur bor saluran irigasi sawah ladang ternak kambing ayam"
)
WHO: Final = ("Karang Taruna", "Taman Baca", "Posyandu", "Dapur Umum", "Kelompok Tani", "Rumah Belajar", "Relawan")
UNITS: Final = ("kg", "{buah}", "{paket}", "L", "h")
KINDS: Final = ("GOODS", "GOODS", "GOODS", "MONEY", "LABOUR", "SKILL", "TRANSPORT", "SPACE", "LOAN", "INFORMATION")
STATUSES: Final = (("OPEN", 65), ("WITHDRAWN", 20), ("CLOSED_UNMET", 15))
URGENCIES: Final = (("MEDIUM", 45), ("LOW", 25), ("HIGH", 22), ("CRITICAL", 8))
EXPIRED_SHARE: Final = 0.5  # of those their authors left open


@dataclass(frozen=True, slots=True)
class Community:
    """A participant and its organization record."""

    number: int
    scid: str
    record_id: UUID
    district: Region
    regency: Sequence[Region]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Record:
    """One record: whose, when this node received it, and its body."""

    community: Community
    id: UUID
    received_at: datetime
    body: dict[str, Any]

    def uri(self, type_: str) -> str:
        """Return the record's URI."""
        return f"gotong:{self.community.scid}/{type_}/{self.id}"


class Draw:
    """Weighted choice by one random number: `random.choices` without its set-up."""

    def __init__(self, values: Sequence[Any], weights: Sequence[float]) -> None:
        self._values = values
        self._sums = list(itertools.accumulate(weights))

    def __call__(self, rng: random.Random) -> Any:
        """Return one value."""
        return self._values[bisect(self._sums, rng.random() * self._sums[-1], 0, len(self._values) - 1)]


def zipf(values: Sequence[Any], shift: int = ZIPF_SHIFT) -> Draw:
    """Return a draw in which the n-th value has weight 1/(n + shift)."""
    return Draw(values, [1 / (n + shift) for n in range(len(values))])


CATEGORY: Final = zipf(sorted(CATEGORIES, key=lambda code: hashlib.sha256(code.encode()).digest()), 2)
THING, PERSON, WORD = zipf(THINGS, 2), zipf(PEOPLE, 2), zipf(WORDS, 2)
STATUS, URGENCY = (Draw([name for name, _ in pairs], [share for _, share in pairs]) for pairs in (STATUSES, URGENCIES))


def communities(count: int, regions: Sequence[Region]) -> list[Community]:
    """Return `count` communities in districts drawn by the population of their regencies."""
    rng = random.Random(SEED)  # noqa: S311 -- a benchmark's dice
    by_regency: dict[str, list[Region]] = {}
    for region in regions:
        if region.level == "district" and region.parent is not None:
            by_regency.setdefault(region.parent, []).append(region)
    population = {region.code: region.population or 1 for region in regions}
    codes = list(by_regency)
    draw = Draw(codes, [population[code] for code in codes])
    found = []
    for number in range(count):
        regency = by_regency[draw(rng)]
        district = rng.choice(regency)
        name = f"{WHO[number % len(WHO)]} {district.name} {number}"
        body = {
            "slug": f"komunitas-{number}",
            "name": [{"lang": "id", "text": name}],
            "kind": "COMMUNITY",
            "place": place(district),
            "languages": ["id"],
        }
        found.append(Community(number, scid(number), _id(rng, START, 0), district, regency, body))
    return found


def needs(count: int, by: Sequence[Community]) -> Iterator[Record]:
    """Yield `count` needs in the order in which this node received them."""
    rng = random.Random(SEED + 1)  # noqa: S311
    publisher = zipf(by)
    for number in range(count):
        community = publisher(rng)
        received_at = START + SPAN * ((number + 0.5) / count)
        received_at = received_at.replace(microsecond=received_at.microsecond // 1000 * 1000 + number % 1000)
        yield Record(community, _id(rng, received_at, number), received_at, _need(rng, community, received_at))


def updates(rng: random.Random, need: Record, leaf: bytes) -> Iterator[Record]:
    """Yield the updates about a need, by its own community."""
    for n in range(1, UPDATES_PER_NEED + 1):
        received_at = need.received_at + timedelta(minutes=n)
        body = {
            "about": {"uri": need.uri("need"), "leaf": leaf.hex()},
            "text": [{"lang": "id", "text": sentence(rng, 12)}],
        }
        yield Record(need.community, _id(rng, received_at, n), received_at, body)


def leaf_hash(record_id: UUID) -> bytes:
    """Return what stands for a record's leaf hash."""
    return hashlib.sha256(record_id.bytes).digest()


def scid(number: int) -> str:
    """Return the SCID of community `number`."""
    digest = hashlib.sha256(f"{SEED} {number}".encode()).digest() * 2
    return "Qm" + "".join(_BASE58[byte % len(_BASE58)] for byte in digest[:44])


def place(district: Region) -> dict[str, Any]:
    """Return a record's place: the district's centre."""
    return {
        "code": district.code,
        "edition": EDITION.replace(" ", ""),
        "lat": district.lat.rstrip("0").rstrip("."),
        "lon": district.lon.rstrip("0").rstrip("."),
        "precision_m": 5000,
    }


def sentence(rng: random.Random, words: int) -> str:
    """Return some words and a full stop."""
    return " ".join([WORD(rng) for _ in range(words)]).capitalize() + "."


def _need(rng: random.Random, community: Community, received_at: datetime) -> dict[str, Any]:
    kind, district = rng.choice(KINDS), community.district
    if rng.random() > HOME_SHARE:
        district = rng.choice(community.regency)
    title = f"{THING(rng).capitalize()} untuk {PERSON(rng)} {district.name}"[:120]
    status, amount = STATUS(rng), str(rng.randrange(1, 500))
    expired = status == "OPEN" and rng.random() < EXPIRED_SHARE and received_at < AS_OF - timedelta(days=60)
    body: dict[str, Any] = {
        "title": [{"lang": "id", "text": title}],
        "description": [{"lang": "id", "text": f"{sentence(rng, 9)} {sentence(rng, 7)}"}],
        "kind": kind,
        "category": CATEGORY(rng),
        "urgency": URGENCY(rng),
        "place": place(district),
        "expiresAt": format_instant(received_at + timedelta(days=30) if expired else EXPIRY),
        "modes": ["DONATE"] if kind == "MONEY" else ["DONATE", "GOTONG_ROYONG"],
        "status": status,
    }
    if kind == "MONEY":
        body["money"] = {"amount": f"{amount}0000", "currency": "IDR"}
    else:
        body["quantity"] = {"value": amount, "unit": UNITS[len(title) % len(UNITS)]}
    if rng.random() < 0.6:
        body["neededBy"] = format_instant(received_at + timedelta(days=rng.randrange(1, 120)))
    return body


def _id(rng: random.Random, at: datetime, number: int) -> UUID:
    return uuid7(int(at.timestamp() * 1000), rng.randbytes(8) + (number % 65_536).to_bytes(2))
