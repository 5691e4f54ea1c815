"""One full valid record of each type, as it stands in signed bytes."""

import copy
from typing import Any

SCID = "QmfGEUAcMpzo25kF2Rhn8L5FAXysfGnkzjwdKoNPi615XQ"
URI = f"gotong:{SCID}/need/017f22e2-79b0-7cc3-98c4-dc0c0c07398f"
LEAF = "ab" * 32
PLACE = {
    "code": "32.03.28",
    "edition": "300.2.2-2138/2025",
    "lat": "-6.71742",
    "lon": "107.01246",
    "precision_m": 5000,
}
REACHABLE = {
    "contact": {
        "name": "Bu Guru",
        "phone": "+6281200000000",
        "whatsapp": "+6281200000000",
        "email": "baca@example.org",
        "note": "Sore saja,\nsesudah mengajar.",
    },
    "exactPlace": {"address": "Balai desa, lantai dua", "lat": "-6.7", "lon": "107.01"},
}
EXTERNAL_IDS = [{"scheme": "import", "value": "lembar:17"}]

NEED = {
    "title": [{"lang": "id", "text": "Buku cerita bekas"}, {"lang": "en", "text": "Used story books"}],
    "description": [{"lang": "id", "text": "Untuk pojok baca.\n60 anak menunggu."}],
    "kind": "GOODS",
    "category": "education.books",
    "quantity": {"value": "100", "unit": "{buku}"},
    "minimum": "10",
    "urgency": "MEDIUM",
    "place": PLACE,
    "neededBy": "2026-03-01T00:00:00.000Z",
    "expiresAt": "2026-03-02T00:00:00.000Z",
    "confirmedAt": "2026-02-01T00:00:00.000Z",
    "modes": ["DONATE", "LEND"],
    "recipient": f"gotong:{SCID}",
    "beneficiaries": "31-100",
    "status": "OPEN",
    "externalIds": EXTERNAL_IDS,
}
ACTIVITY = {
    "title": [{"lang": "id", "text": "Lomba baca puisi"}],
    "description": [{"lang": "id", "text": "Terbuka untuk semua."}],
    "start": "2026-02-08T02:00:00.000Z",
    "end": "2026-02-08T05:00:00.000Z",
    "zone": "Asia/Jakarta",
    "place": PLACE,
    "status": "DONE",
    "programme": URI.replace("/need/", "/programme/"),
    "attendance": 60,
    "outcome": [{"lang": "id", "text": "Dua belas puisi dibacakan."}],
    "recurrence": "FREQ=MONTHLY;BYDAY=2SU",
    "externalIds": EXTERNAL_IDS,
}
UPDATE = {
    "about": {"uri": URI, "leaf": LEAF},
    "text": [{"lang": "id", "text": "Empat puluh buku sudah datang. Terima kasih!"}],
    "media": [LEAF],
    "externalIds": EXTERNAL_IDS,
}
ORGANIZATION = {
    "slug": "baca-yuk",
    "name": [{"lang": "id", "text": "Baca Yuk!"}],
    "kind": "COMMUNITY",
    "description": [{"lang": "id", "text": "Lima guru muda di Cipanas."}],
    "focus": ["education.books", "education"],
    "foundedOn": "2025-08",
    "memberBand": "1-5",
    "place": PLACE,
    "languages": ["id", "su"],
    "parent": f"gotong:{SCID}",
    "succeeds": f"gotong:{SCID}",
    "links": [{"url": "https://example.org/baca", "title": "Halaman kami"}, {"url": "http://example.org"}],
    "externalIds": EXTERNAL_IDS,
}

WHOLE: dict[str, dict[str, Any]] = {
    "need": {"body": NEED, "restricted": REACHABLE},
    "activity": {"body": ACTIVITY, "restricted": REACHABLE},
    "update": {"body": UPDATE},
    "organization": {"body": ORGANIZATION, "restricted": REACHABLE},
}


def changed(record: dict[str, Any], **members: Any) -> dict[str, Any]:
    """Return a deep copy with members replaced; None removes one."""
    copied = copy.deepcopy(record)
    for name, value in members.items():
        if value is None:
            copied.pop(name, None)
        else:
            copied[name] = value
    return copied
