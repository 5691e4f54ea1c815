"""Cases about sections that answer no question: what of a bundle or a deposit is new (rules B1)."""

from spec.cases.keys import Cases, refused, valid

_LINES = [f'{{"versionId":"{number}-Qm"}}' for number in range(1, 5)]
_ENTRIES = [f"entry {index}" for index in range(8)]


def cases() -> Cases:
    """Yield the cases of trim.py."""
    for held in (0, 1, 3, 4, 9):
        yield valid(
            "trim_lines", f"held-{held}", f"Versions 1 to 4 for a reader that holds {held}.", lines=_LINES, held=held
        )
    yield valid("trim_lines", "continues", "Versions 3 and 4 follow the two held.", lines=_LINES[2:], held=2)
    yield valid("trim_lines", "none-needed", "No line comes and some are held.", lines=[], held=2)
    yield valid(
        "trim_lines",
        "malformed",
        "A line without a version number is left for the verifier to refuse.",
        lines=["{}"],
        held=2,
    )
    yield refused("trim_lines", "SECTION_GAP", "missing", "Version 2 is missing.", lines=_LINES[2:], held=1)
    yield refused("trim_lines", "SECTION_GAP", "nothing-known", "No line comes and none is held.", lines=[], held=0)
    for held in (2, 3, 5, 6, 8):
        yield valid(
            "trim_entries",
            f"held-{held}",
            f"Entries 2 to 5 under a mark of 6 for a reader that holds {held}.",
            entries=_ENTRIES[2:6],
            mark=6,
            held=held,
        )
    yield valid(
        "trim_entries",
        "mark-too-small",
        "More entries than the mark states are left for the verifier to refuse.",
        entries=_ENTRIES[:4],
        mark=3,
        held=3,
    )
    yield refused(
        "trim_entries",
        "SECTION_GAP",
        "missing",
        "Entry 1 is missing.",
        entries=_ENTRIES[2:6],
        mark=6,
        held=1,
    )
