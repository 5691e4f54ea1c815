"""Small requests that would cost much: `python -m bench.attacks` prints what each costs in CPU before it is refused.

Each is a body below the limit of bodies and the code it is refused with, None
for one that is answered for what it costs. tests/api/test_attacks.py asserts
the codes, that no database is asked, and a bound on the work; the time depends
on the machine and is printed here.
"""

import time
from collections.abc import Iterator
from typing import Any

import orjson

from api.documents import Documents
from api.graphql_request import from_body
from domain.errors import GotongError
from schema.compile.plan import RequestRefused
from schema.engine import Engine
from schema.root import SCHEMA

LARGE = "DOCUMENT_TOO_LARGE"
PARSE = "GRAPHQL_PARSE_FAILED"
INVALID = "GRAPHQL_VALIDATION_FAILED"
VARIABLES = "VARIABLES_TOO_LARGE"
COSTLY = "QUERY_TOO_COSTLY"
INPUT = "BAD_USER_INPUT"
MALFORMED = "BAD_REQUEST"
CPU_MS_MAX = 50
ROUNDS = 5


def nodes(selection: str, head: str = "") -> str:
    """Return a query that selects this of needs."""
    return f"{head} {{ needs {{ nodes {{ {selection} }} }} }}"


def spread(count: int, body: str) -> str:
    """Return `count` fragments on Need with `body`, all of them spread at one place."""
    head = " ".join(f"fragment f{n} on Need {{ {body} }}" for n in range(count))
    return nodes(" ".join(f"...f{n}" for n in range(count)), head)


def nested(opening: str, inner: str, closing: str, levels: int) -> str:
    """Return `inner` inside `levels` of something."""
    return opening * levels + inner + closing * levels


_TYPES = "types { name fields { name args { name type { name ofType { name } } } } }"
_IDS = "query ($i: [ID!]!) { nodes(ids: $i) { id } }"
_FILTER = "query ($f: NeedFilter) { needs(filter: $f) { totalCount } }"

DOCUMENTS: dict[str, tuple[str, str | None]] = {
    "one field, 900 times": (nodes("id " * 900), LARGE),
    "one object, 320 times": (nodes("publisher { id } " * 320), LARGE),
    "deep objects, 110 times": (nodes("publisher { place { region { code name } } } " * 110), LARGE),
    "long lists to compare": (
        "{ " + f"needs(filter: {{kinds: [{'MONEY ' * 190}]}}) {{ totalCount }} " * 19 + "}",
        LARGE,
    ),
    "many fragments at one place": (spread(280, "id title"), LARGE),
    "fragments nobody reaches, each with all others": (
        "{ __typename } "
        + " ".join(f"fragment f{i} on Need {{ id {' '.join(f'...f{j}' for j in range(i))} }}" for i in range(60)),
        INVALID,
    ),
    "a fragment nobody reaches, full of one field": (
        "{ __typename } fragment a on Need { " + "id " * 3_900 + "}",
        INVALID,
    ),
    "fragments that double": (
        "fragment f0 on Query { __typename } "
        + " ".join(f"fragment f{n} on Query {{ ...f{n - 1} ...f{n - 1} }}" for n in range(1, 90))
        + " { ...f89 }",
        LARGE,
    ),
    "fragments in circles": (
        " ".join(f"fragment f{n} on Query {{ ...f{(n + 1) % 90} ...f{(n + 7) % 90} }}" for n in range(90))
        + " { ...f0 }",
        LARGE,
    ),
    "fragments of one name": ("fragment f on Query { __typename } " * 400 + "{ ...f }", LARGE),
    "700 operations": (" ".join(f"query q{n} {{ __typename }}" for n in range(700)), LARGE),
    "operations that open one fragment": (
        " ".join(f"query q{n} {{ ...a }}" for n in range(45))
        + " fragment a on Query { needs { nodes { "
        + "id " * 30
        + "} } }",
        "OPERATION_UNCLEAR",
    ),
    "aliases": ("{ needs { " + " ".join(f"a{n}: totalCount" for n in range(300)) + " } }", LARGE),
    "aliased root fields": ("{ " + " ".join(f"a{n}: __typename" for n in range(50)) + " }", LARGE),
    "directives on a field": (nodes("id " + "@include(if: true) " * 300), LARGE),
    "unknown directives on a field": (nodes("id " + "@a " * 1_900), LARGE),
    "unknown directives on an operation": ("query " + "@a " * 1_900 + "{ __typename }", LARGE),
    "comments": ("# x\n" * 600 + "{ __typename }", PARSE),
    "a long comment": ("#" * 60_000 + "\n{ __typename }", None),
    "tokens": (nodes("id " * 5_000), PARSE),
    "commas": ("," * 65_000 + "{ __typename }", None),
    "braces": ("{" * 65_000, PARSE),
    "selections nested deeply": ("{ needs " + nested("{ nodes ", "{ id }", "}", 3_000) + "}", PARSE),
    "selections nested 40 times": ("{ needs " + nested("{ nodes ", "{ id }", "}", 40) + "}", LARGE),
    "inline fragments nested deeply": (nested("{ ... ", "{ __typename }", "}", 600), PARSE),
    "lists nested deeply": ("{ needs(first: " + nested("[", "", "]", 1_900) + ") { totalCount } }", PARSE),
    "lists nested 100 times": ("{ needs(first: " + nested("[", "", "]", 100) + ") { totalCount } }", INVALID),
    "objects nested deeply": ("{ needs(filter: " + nested("{a:", "1", "}", 1_000) + ") { totalCount } }", PARSE),
    "types nested deeply": ("query ($a: " + nested("[", "Int", "]", 1_900) + ") { __typename }", PARSE),
    "a long name": ("{ " + "a" * 60_000 + " }", INVALID),
    "long names like ours": ("{ " + " ".join("needs" + "x" * 3_000 + str(n) for n in range(19)) + " }", INVALID),
    "unknown fields": (nodes(" ".join(f"titel{n}" for n in range(900))), INVALID),
    "unknown types": ("{ " + " ".join(f"... on Needz{n} {{ id }}" for n in range(19)) + " }", INVALID),
    "unknown enum values": (
        f"{{ needs(filter: {{kinds: [{' '.join(f'MONEYS{n}' for n in range(900))}]}}) {{ totalCount }} }}",
        INVALID,
    ),
    "unknown arguments": ("{ needs(" + " ".join(f"firs{n}: 1" for n in range(490)) + ") { totalCount } }", INVALID),
    "unknown input fields": (
        "{ needs(filter: {" + " ".join(f"regio{n}: 1" for n in range(190)) + "}) { totalCount } }",
        INVALID,
    ),
    "unused variables": ("query (" + " ".join(f"$v{n}: Int" for n in range(990)) + ") { __typename }", INVALID),
    "a number of 60,000 digits": ("{ needs(first: " + "9" * 60_000 + ") { totalCount } }", INVALID),
    "an exponent of 60,000 digits": ("{ needs(first: 1e" + "9" * 60_000 + ") { totalCount } }", INVALID),
    "a block string of indented lines": ('{ node(id: """' + "\n " * 15_000 + '""") { id } }', None),
    "escapes": ('{ node(id: "' + "\\u0041" * 10_000 + '") { id } }', None),
    "many ids in the text": ("{ nodes(ids: [" + '"a" ' * 3_900 + "]) { id } }", LARGE),
    "introspection in circles": (
        "{ __schema { types { fields " + nested("{ type { fields ", "{ name }", " } }", 3) + " } } }",
        INVALID,
    ),
    "introspection 19 times": ("{ " + " ".join(f"a{n}: __schema {{ {_TYPES} }}" for n in range(19)) + " }", COSTLY),
    "pages of pages": ("{ needs(first: 100) { nodes { updates(first: 100) { nodes { id } } } } }", COSTLY),
    "records of any type inside each other": (
        "{ updates(first: 1) { nodes { "
        + nested("about { ... on Record { publisher { updates(first: 1) { nodes { ", "id", " } } } } }", 4)
        + " } } }",
        COSTLY,
    ),
}
VALUES: dict[str, tuple[str, Any, str]] = {
    "30,000 ids": (_IDS, {"i": ["a"] * 30_000}, VARIABLES),
    "60,000 numbers for ids": (_IDS, {"i": [1] * 60_000}, VARIABLES),
    "40,000 objects for ids": (_IDS, {"i": [{}] * 40_000}, VARIABLES),
    "8,000 unknown input fields": (_FILTER, {"f": {f"regio{n}": 1 for n in range(8_000)}}, VARIABLES),
    "12,000 unknown enum values": (_FILTER, {"f": {"kinds": ["MONEYS"] * 12_000}}, VARIABLES),
    "an enum value of 100,000 characters": (_FILTER, {"f": {"kinds": ["M" * 100_000]}}, INPUT),
    "9,000 variables nobody declared": ("{ __typename }", {f"v{n}": 1 for n in range(9_000)}, VARIABLES),
    "a number no integer holds": ("query ($i: Int) { needs(first: $i) { totalCount } }", {"i": 1e300}, INPUT),
    "a text for a number": ("query ($i: Int) { needs(first: $i) { totalCount } }", {"i": "9" * 60_000}, INPUT),
}
BODIES: dict[str, tuple[bytes, str]] = {
    "JSON nested deeply": (b'{"query":"{ __typename }","variables":' + b"[" * 60_000 + b"]" * 60_000 + b"}", MALFORMED),
    "JSON objects nested deeply": (
        b'{"query":"{ __typename }","variables":' + b'{"a":' * 20_000 + b"1" + b"}" * 20_000 + b"}",
        MALFORMED,
    ),
    "JSON variables nested 500 times": (
        b'{"query":"{ __typename }","variables":{"a":' + b"[" * 500 + b"]" * 500 + b"}}",
        VARIABLES,
    ),
    "no UTF-8": (b'{"query":"{ \xff }"}', MALFORMED),
    "half a surrogate pair": (b'{"query":"{ node(id: \\"\\ud800\\") { id } }"}', MALFORMED),
    "a NUL in the document": (b'{"query":"{ \\u0000 }"}', PARSE),
    "a number of 100,000 digits": (b'{"query":"{ __typename }","variables":{"a":' + b"9" * 100_000 + b"}}", MALFORMED),
    "one member, 9,000 times": (b'{"query":"{ __typename }"' + b',"query":"{ __typename"' * 5_000 + b"}", PARSE),
}


def attacks() -> Iterator[tuple[str, bytes, str | None]]:
    """Yield each attack: what it is, its body, and the code it is refused with, None if it is answered."""
    for name, (document, code) in DOCUMENTS.items():
        yield name, orjson.dumps({"query": document}), code
    for name, (document, variables, code) in VALUES.items():
        yield name, orjson.dumps({"query": document, "variables": variables}), code
    for name, (body, code) in BODIES.items():
        yield name, body, code


def refused(engine: Engine, body: bytes) -> str | None:
    """Return the code a fresh engine refuses this body with before it asks a database, or None."""
    try:
        request = from_body(body, Documents(lambda _: True))
        engine.prepare(engine.operation(request), ())
    except GotongError as error:
        return error.code
    except RequestRefused as error:
        code: str = error.errors[0]["extensions"]["code"]
        return code
    return None


def main() -> None:
    """Print the CPU each attack takes, the median of some rounds, dearest first."""
    rows = []
    for name, body, expected in attacks():
        taken_ms, found = [], expected
        for _ in range(ROUNDS):
            engine = Engine(SCHEMA, None)  # type: ignore[arg-type]  # nothing here asks a service
            start_s = time.process_time()
            found = refused(engine, body)
            taken_ms.append((time.process_time() - start_s) * 1_000)
        rows.append((sorted(taken_ms)[ROUNDS // 2], len(body), name, found, "" if found == expected else "UNEXPECTED"))
    for taken, size_bytes, name, found, note in sorted(rows, reverse=True):
        print(f"{taken:7.1f} ms {size_bytes:8,} B  {name:48} {found or 'answered'} {note}")
    print(f"dearest: {max(rows)[0]:.1f} ms of CPU; the target is below {CPU_MS_MAX} ms")


if __name__ == "__main__":
    main()
