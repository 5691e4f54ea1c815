"""Cases about who vouches for a successor, and how that is not said."""

from datetime import timedelta
from typing import Any

from federation.identity import vouching
from federation.identity.vouching import Vouch
from federation.log import note
from federation.log.entry import instant
from spec.cases.keys import AT, SCID, Cases, private_key, public_key, refused, valid

OLD = "QmPredecessorPredecessorPredecessorPredecesso1"
NEW = "QmSuccessorSuccessorSuccessorSuccessorSuccess1"


def cases() -> Cases:
    """Yield the cases of vouching.py."""
    name, key = "check_vouch", private_key("cosigner")
    public, another = public_key("cosigner").hex(), public_key("another").hex()
    good = vouching.sign(Vouch(SCID, OLD, NEW, "live", AT), key).decode()
    given: dict[str, Any] = {"network": "live", "public_keys": [public]}
    yield valid(name, "good", "an operator vouches", note=good, **given)
    both = [another, public]
    yield valid(name, "one-of-two-keys", "the operator has two keys", note=good, network="live", public_keys=both)
    taken_back = vouching.sign(Vouch(SCID, OLD, NEW, "live", AT, withdrawn=True), key).decode()
    yield valid(name, "withdrawn", "an operator vouches no more", note=taken_back, **given)
    drill = vouching.sign(Vouch(SCID, OLD, NEW, "test", AT), key).decode()
    yield valid(name, "test", "on the test network", note=drill, network="test", public_keys=[public])
    yield refused(name, "VOUCH_OF_ANOTHER_NETWORK", "test", "read on the live network", note=drill, **given)
    code = "VOUCH_SIGNATURE_INVALID"
    yield refused(name, code, "other-key", "another key", note=good, network="live", public_keys=[another])
    yield refused(name, code, "no-key", "a participant without such keys", note=good, network="live", public_keys=[])
    changed = good.replace(f"\ngotong:{OLD}\n", f"\ngotong:{OLD[:-1]}2\n")
    yield refused(name, code, "changed", "another predecessor afterwards", note=changed, **given)
    for case, about, scids in (
        ("successor", "the successor itself", (OLD, SCID)),
        ("predecessor", "the predecessor, whose keys may be stolen", (SCID, NEW)),
        ("same", "one participant is both", (OLD, OLD)),
    ):
        text = _signed(vouching.HEADER, "live", *(f"gotong:{scid}" for scid in scids), instant(AT))
        yield refused(name, "VOUCH_FOR_ONESELF", case, about, note=text, **given)
    for case, about, text in (
        ("other-version", "another version", good.replace("vouch/v1", "vouch/v2")),
        ("acknowledgement", "another kind of statement", good.replace("gotong/vouch/v1", "gotong/erasures/v1")),
        ("network", "a network that is not", good.replace("\nlive\n", "\nprod\n")),
        ("bare-scid", "no URI of a participant", good.replace(f"\ngotong:{OLD}\n", f"\n{OLD}\n")),
        (
            "record",
            "a record instead",
            good.replace(f":{NEW}\n", f":{NEW}/need/019ced20-0000-7000-8000-000000000001\n"),
        ),
        ("seconds", "a time without its fraction", good.replace(".589Z", "Z")),
        ("one-line-less", "no time", good.replace(f"{instant(AT)}\n", "")),
        ("time-only", "nothing but the time", good[good.index(instant(AT)) :]),
        ("one-line-more", "an extra line", good.replace("\n\n", "\nand more\n\n", 1)),
        ("extra-name", "a third participant", good.replace("\nlive\n", f"\nlive\ngotong:{SCID}\n")),
        ("other-name", "signed as the log, not as who vouches", good.replace("/vouch ", "/0 ")),
        ("no-note", "no note at all", "they are the same people"),
        ("two-signatures", "two signatures", good + good.rpartition("\n\n")[2]),
        ("too-long", "longer than any", good + "— gotong/x AAAAAAAA\n" * 40),
    ):
        yield refused(name, "VOUCH_MALFORMED", case, about, note=text, **given)
    yield from _superseding()


def _superseding() -> Cases:
    name = "supersedes_vouch"
    for case, about, ahead_ms, withdrawn, was_withdrawn in (
        ("later", "a later word counts", 1, True, False),
        ("later-again", "vouching anew after it was taken back", 1, False, True),
        ("earlier", "an earlier word, heard later, does not", -1, True, False),
        ("same-instant", "of one instant the one that withdraws", 0, True, False),
        ("same-instant-vouching", "and not the one that vouches", 0, False, True),
        ("same", "the same word again changes nothing", 0, False, False),
    ):
        said = Vouch(SCID, OLD, NEW, "live", AT + timedelta(milliseconds=ahead_ms), withdrawn)
        before = Vouch(SCID, OLD, NEW, "live", AT, was_withdrawn)
        notes = [vouching.sign(each, private_key("cosigner")).decode() for each in (said, before)]
        yield valid(name, case, about, note=notes[0], before=notes[1])


def _signed(*lines: str) -> str:
    signer = note.Signer(f"gotong/{SCID}/vouch", private_key("cosigner"))
    return note.sign("".join(f"{line}\n" for line in lines), signer).decode()
