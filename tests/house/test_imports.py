"""Roads between the rooms go one way, and what is called pure is."""

import ast
import importlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pytest

from tests.house.source import ROOMS, ROOT, imports, modules, names_used

# A room may use what stands on a lower floor, never its own floor's neighbour or what is above.
FLOORS = {"domain": 0, "store": 1, "auth": 2, "federation": 2, "schema": 3, "api": 4, "web": 4, "node": 5}

# The packages of federation, from the ground up: each may use those before it.
FEDERATION_FLOORS = (
    "encoding",
    "did",
    "log",
    "identity",
    "sealing",
    "projection",
    "publish",
    "moderation",
    "requests",
    "sync",
    "witness",
    "lifecycle",
    "erasing",
    "backup",
    "bundles",
    "mirror",
    "restricted",
    "peers",
)

# The half of federation that talks to disks, clocks and networks. All the rest is pure; a new module that is not
# has to be written down here.
FEDERATION_SHELL = {
    "log": {"static"},
    "identity": {"cards", "identities", "keys", "states", "writing"},
    "sealing": {"reseal", "sealed_to", "vault"},
    "projection": {"adopt", "check", "project", "reapply", "rebuild", "withdraw"},
    "publish": {"append", "guard", "prepare", "waiting"},
    "moderation": {"reports", "suppress", "trust"},
    "requests": {"caller", "outbound", "refusal", "signer"},
    "sync": {"announce", "apply", "backlog", "client", "heal", "news", "receive", "serve"},
    "witness": {"bringing", "cosigning", "forks", "freeze", "gossip", "sightings", "tellings", "witnessing"},
    "lifecycle": {"custody", "enroll", "guests", "introduce", "moving", "recover", "succession", "vouch"},
    "erasing": {"acknowledge", "overview", "removal_mail"},
    "backup": {"backing_up", "contents", "keeping", "restore"},
    "bundles": {"bundle", "intake"},
    "mirror": {"depositor", "deposits", "join"},
    "restricted": {"asking", "mailbox", "places", "release"},
    "peers": {"aftercare", "exchange", "loop", "mail"},
}
IMPURE_IMPORTS = {
    "asyncio",
    "asyncpg",
    "fcntl",
    "httpx",
    "os",
    "random",
    "secrets",
    "socket",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}
IMPURE_NAMES = {
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "uuid.uuid1",
    "uuid.uuid4",
    "uuid.uuid7",
}
ENVIRONMENT = {"os.environ", "os.getenv", "os.putenv"}


def circles(roads: Mapping[str, Collection[str]]) -> list[list[str]]:
    """Return, sorted, the modules of each circle: those of which each leads to each (Tarjan's components)."""
    reach = {start: _reached(start, roads) for start in roads}
    found = {frozenset(to for to in reach[start] if start in reach[to]) for start in roads if start in reach[start]}
    return sorted(map(sorted, found))


def _reached(start: str, roads: Mapping[str, Collection[str]]) -> set[str]:
    """Return the modules that some way of at least one import leads to."""
    reached: set[str] = set()
    ahead = list(roads[start])
    while ahead:
        module = ahead.pop()
        if module not in reached:
            reached.add(module)
            ahead += roads.get(module, ())
    return reached


def roads_between(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return which of these modules each one imports, wherever in it: for the type checker and in functions too."""
    return {module: _imported(source, sources) - {module} for module, source in sources.items()}


def _imported(source: str, known: Collection[str]) -> set[str]:
    return {_module_of(name, known) for name in imports(source)} - {""}


def _module_of(name: str, known: Collection[str]) -> str:
    """Return the module that holds what is imported under this name, or nothing if it is none of the known."""
    while name and name not in known:
        name = name.rpartition(".")[0]
    return name


def is_pure(module: str) -> bool:
    room, package, name = (*module.split("."), "", "")[:3]
    return room == "domain" or (room == "federation" and name not in FEDERATION_SHELL.get(package, ()))


def wrong_roads(module: str, source: str) -> Iterator[str]:
    room = module.split(".")[0]
    for imported in imports(source):
        target = imported.split(".")[0]
        if target in FLOORS and target != room and FLOORS[target] >= FLOORS[room]:
            yield f"{module} imports {imported}"
        if room == target == "federation" and _floor(imported) > _floor(module):
            yield f"{module} imports {imported}"


def _floor(module: str) -> int:
    package = module.split(".")[1]
    return FEDERATION_FLOORS.index(package) if package in FEDERATION_FLOORS else -1


def impurities(module: str, source: str) -> Iterator[str]:
    for imported in imports(source):
        if imported.split(".")[0] in IMPURE_IMPORTS:
            yield f"{module} imports {imported}"
    for name in names_used(source):
        if name in IMPURE_NAMES:
            yield f"{module} uses {name}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield f"{module} awaits at line {node.lineno}"


def test_no_road_is_driven_the_wrong_way() -> None:
    wrong = [road for name, path in modules() for road in wrong_roads(name, path.read_text())]
    assert wrong == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    """Whoever reads one module of a circle has to read them all; what both need belongs in a third."""
    assert circles(roads_between({name: path.read_text() for name, path in modules()})) == []


def test_what_is_pure_has_no_clock_chance_or_input_of_its_own() -> None:
    impure = [
        found
        for name, path in modules("domain", "federation")
        if is_pure(name)
        for found in impurities(name, path.read_text())
    ]
    assert impure == []


def test_only_the_settings_read_the_environment() -> None:
    readers = {name for name, path in modules() if ENVIRONMENT & set(names_used(path.read_text()))}
    readers |= {
        name
        for name, path in modules()
        if {"os.environ", "os.getenv"} & set(imports(path.read_text()))  # from os import environ
    }
    assert readers == {"node.settings"}


@pytest.mark.parametrize(
    ("module", "source", "found"),
    [
        ("domain.x", "from store.logs import y", ["domain.x imports store.logs.y"]),
        ("auth.x", "import federation.sync", ["auth.x imports federation.sync"]),
        ("schema.x", "def f():\n    import api", ["schema.x imports api"]),
        ("federation.log.x", "from federation.sync import y", ["federation.log.x imports federation.sync.y"]),
        ("schema.x", "from domain import money\nimport store.logs, schema.y, json", []),
    ],
    ids=["upwards", "sideways", "inside a function", "between packages", "downwards"],
)
def test_the_walk_finds_wrong_roads(module: str, source: str, found: list[str]) -> None:
    assert list(wrong_roads(module, source)) == found


def test_the_walk_finds_circles() -> None:
    sources = {
        "domain": "",
        "domain.a": "from domain import b",
        "domain.b": "from domain.c import x, y\nimport json",
        "domain.c": "def f():\n    from domain.a import x",
        "domain.d": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from domain.e import x",
        "domain.e": "import domain.d",
        "domain.f": "from domain import a, d",
    }
    assert circles(roads_between(sources)) == [["domain.a", "domain.b", "domain.c"], ["domain.d", "domain.e"]]


@pytest.mark.parametrize(
    "source",
    ["import time", "from os.path import join", "datetime.now()", "async def f(): ...", "def f():\n    import random"],
)
def test_the_walk_finds_impurities(source: str) -> None:
    assert len(list(impurities("domain.x", source))) == 1


@pytest.mark.parametrize("room", [room for room in ROOMS if any((ROOT / room).glob("*.py"))])
def test_the_top_level_packages_are_ours(room: str) -> None:
    file = importlib.import_module(room).__file__
    assert file is not None, f"{room}/ has no __init__.py"
    assert Path(file).resolve() == ROOT / room / "__init__.py"
