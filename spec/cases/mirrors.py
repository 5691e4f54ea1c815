"""Cases about mirrors: links that invite, what joins, what is asked of regions, what a deposit is answered with."""

import json
from typing import Any

from spec.cases.keys import ORIGIN, SCID, Cases, refused, valid

_CODE = "abcdefghijklmnopqrstuvwxyz234567"
_MEMBERS = {
    "v": "1",
    "network": "test",
    "operator": SCID,
    "host": "cermin.gotong.test%3A8101",
    "slug": "dapur-ibu",
    "code": _CODE,
}


def cases() -> Cases:
    """Yield the cases of mirror_link.py, interest.py and deposit.py."""
    yield from _links()
    yield from _joins()
    yield from _interests()
    yield from _answers()
    yield from _directories()


def _link(address: str = "https://cermin.gotong.test:8101", **changes: str | None) -> str:
    members = {name: value for name, value in (_MEMBERS | changes).items() if value is not None}
    return f"{address}/federation/v1/join#" + "&".join(f"{name}={value}" for name, value in members.items())


def _links() -> Cases:
    yield valid("parse_mirror_link", "whole", "A link that keeps a name.", link=_link())
    yield valid("parse_mirror_link", "no-name", "A link that keeps no name.", link=_link(slug=None))
    yield valid("parse_mirror_link", "spaces", "White space around it came from a chat.", link=f" {_link()}\n")
    wrong = {
        "cut-off": ("The end was lost on the way.", _link()[:-5]),
        "no-code": ("The code is missing.", _link(code=None)),
        "upper-case-code": ("A code is in lower case.", _link(code=_CODE.upper())),
        "other-version": ("A version that is not known.", _link(v="2")),
        "other-network": ("There is no such network.", _link(network="main")),
        "twice": ("A member stands twice.", _link() + "&slug=lain"),
        "unknown-member": ("A member that is not known.", _link() + "&trust=allowed"),
        "ip-address": ("No identity lives under an IP address.", _link(host="10.0.0.1")),
        "one-label": ("A host has two labels.", _link(host="cermin")),
        "bad-port": ("A port is a number.", _link(host="cermin.gotong.test%3Ax")),
        "bad-slug": ("A name is lower-case letters, digits and inner hyphens.", _link(slug="Dapur")),
        "bad-operator": ("The operator is an SCID.", _link(operator="Qm")),
        "other-scheme": ("An address is http or https.", _link("ftp://cermin.gotong.test")),
        "user": ("An address has no user.", _link("https://a@cermin.gotong.test")),
        "other-link": ("Another page of the mirror.", "https://cermin.gotong.test/o/dapur-ibu"),
    }
    for name, (about, link) in wrong.items():
        yield refused("parse_mirror_link", "MIRROR_LINK_MALFORMED", name, about, link=link)
    yield refused(
        "parse_mirror_link",
        "MIRROR_LINK_MALFORMED",
        "too-long",
        "A link has at most 1024 characters.",
        link={"repeat": _link(), "times": 6},
    )


def _joins() -> Cases:
    def body(**changes: Any) -> str:
        members = {"code": _CODE, "did_log": ["{}"]} | changes
        return json.dumps({name: value for name, value in members.items() if value is not None})

    yield valid("read_join", "whole", "A code and a DID log, not verified yet.", body=body())
    yield valid("read_join", "witness", "With witness proofs.", body=body(did_witness="[]"))
    yield refused("read_join", "JOIN_MALFORMED", "no-log", "A DID log has a line.", body=body(did_log=[]))
    yield refused("read_join", "JOIN_MALFORMED", "no-code", "A code is needed.", body=body(code=None))
    yield refused("read_join", "JOIN_MALFORMED", "bad-code", "A code is base32.", body=body(code="1" * 32))
    yield refused("read_join", "JOIN_MALFORMED", "not-json", "It is JSON.", body="code=1")


def _interests() -> Cases:
    yield valid("read_interest", "everything", "No parameter asks for everything.")
    yield valid("read_interest", "levels", "Codes of every level.", region="32,32.03,32.03.28,32.03.28.2001")
    yield valid("read_interest", "participants", "And somebody elsewhere.", region="32.03", scid=SCID)
    for name, region in {
        "empty": "",
        "name": "Cianjur",
        "ends-with-comma": "32.03,",
        "half-a-code": "32.3",
        "wildcard": "32.%",
    }.items():
        yield refused("read_interest", "INTEREST_MALFORMED", name, "Not a code.", region=region)
    yield refused("read_interest", "INTEREST_MALFORMED", "no-region", "Participants come beside regions.", scid=SCID)
    yield refused("read_interest", "INTEREST_MALFORMED", "bad-scid", "Not an SCID.", region="32", scid="Qm")
    many = {"repeat": "32.03,", "times": 65}
    yield refused("read_interest", "INTEREST_MALFORMED", "too-many", "At most 64 regions.", region=many)


def _answers() -> Cases:
    def answer(**changes: Any) -> str:
        return json.dumps({"logs": [{"origin": ORIGIN, "size": 7, "did_version": 1, "refused": None} | changes]})

    def wrong(name: str, about: str, text: str) -> Any:
        code = "DEPOSIT_ANSWER_MALFORMED"
        return refused("read_deposit_answer", code, name, about, answer=text, asked=[ORIGIN])

    asked = [ORIGIN]
    yield valid("read_deposit_answer", "taken", "All of it was taken.", answer=answer(), asked=asked)
    told = answer(refused="QUARANTINE_FULL")
    yield valid("read_deposit_answer", "refused", "The rest was kept out.", answer=told, asked=asked)
    yield wrong("negative", "A size is not negative.", answer(size=-1))
    yield wrong("other-log", "It is about the logs of the deposit.", answer(origin=ORIGIN[:-1] + "1"))
    yield wrong("none", "It is about all of them.", '{"logs":[]}')
    yield wrong("not-json", "It is JSON.", "ok")


def _directories() -> Cases:
    def directory(**changes: Any) -> str:
        node = {"url": "https://a.example", "operator": SCID, "name": "A", "regions": ["32.03"], "participants": 2}
        return json.dumps({"nodes": [node | changes]})

    yield valid("read_directory", "one", "One node.", directory=directory())
    yield valid("read_directory", "none", "No node.", directory='{"nodes":[]}')
    wrong = {
        "script": ("An address is http or https.", directory(url="javascript:alert(1)")),
        "escape": ("An address holds no control characters.", directory(url="https://a.example/\x1b[2J")),
        "name-escape": ("A name holds no control characters.", directory(name="A\x1b[2J")),
        "operator": ("The operator is an SCID.", directory(operator="Qm")),
        "region": ("A region is a code.", directory(regions=["Cianjur"])),
        "not-json": ("It is JSON.", "nodes"),
    }
    for name, (about, text) in wrong.items():
        yield refused("read_directory", "DIRECTORY_MALFORMED", name, about, directory=text)
