"""Cases about erase entries: which parts they name, and what they may not."""

from typing import Any

from federation import canonical
from spec.cases.keys import Cases, record_id, refused, valid

_MEMBERS: dict[str, Any] = {
    "v": 1,
    "type": "need",
    "id": str(record_id(0)),
    "rev": 1,
    "prev": 3,
    "at": "2026-03-14T09:26:53.589Z",
    "op": "erase",
}


def cases() -> Cases:
    """Yield the cases of erasure.py."""
    name = "erased_parts"
    yield valid(name, "body", "what everybody can read", entry=_text(core={"parts": ["body"]}))
    yield valid(name, "restricted", "contact and exact place", entry=_text(core={"parts": ["restricted"]}))
    yield valid(name, "both", "everything beside the entry", entry=_text(core={"parts": ["body", "restricted"]}))
    unknown = _text(core={"parts": ["body"]}, type="a-type-of-tomorrow", v=9)
    yield valid(name, "unknown-type", "erasing needs no knowledge of the type", entry=unknown)
    yield valid(name, "drill", "of a drill", entry=_text(core={"parts": ["body"]}, exercise=True))
    for case, about, core in (
        ("nothing", "no part at all", {"parts": []}),
        ("twice", "a part twice", {"parts": ["body", "body"]}),
        ("unsorted", "in another order", {"parts": ["restricted", "body"]}),
        ("unknown-part", "a part nobody knows", {"parts": ["media"]}),
        ("text", "a text instead of a list", {"parts": "body"}),
        ("number", "no text in the list", {"parts": ["body", 1]}),
        ("more-members", "another member beside", {"parts": ["body"], "reason": "..."}),
        ("other-member", "another member instead", {"part": ["body"]}),
    ):
        yield refused(name, "ERASE_MALFORMED", case, about, entry=_text(core=core))
    yield refused(name, "ERASE_MALFORMED", "no-core", "nothing said", entry=_text())
    committing = _text(core={"parts": ["body"]}, body="cd" * 32)
    yield refused(name, "ERASE_MALFORMED", "commits", "it brings a body", entry=committing)
    for case, parts in (("core", ["core"]), ("core-and-body", ["body", "core"])):
        yield refused(name, "CORE_NOT_ERASABLE", case, "what the entry itself says", entry=_text(core={"parts": parts}))
    first = {member: value for member, value in _MEMBERS.items() if member != "prev"} | {"rev": 0}
    nothing = canonical.encode({**first, "core": {"parts": ["body"]}}).decode()
    yield refused(name, "NOTHING_TO_ERASE", "first-revision", "a record that begins with its erasure", entry=nothing)


def _text(**members: Any) -> str:
    return canonical.encode({**_MEMBERS, **members}).decode()
