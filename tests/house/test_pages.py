"""What the written pages point at exists: links, headings, commands with their options, and code that parses."""

import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import typer.main

from node.cli import app
from tests.house.source import ROOT

PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
INLINE = re.compile(r"`(gotong [^`]+)`")
COMMAND = re.compile(r"(?:^|\$\(|[|;&]) *(gotong [^|)#\n]*)", re.MULTILINE)
PROGRAM = typer.main.get_command(app)


def links(page: Path) -> Iterator[str]:
    """Return where a page's links lead, those to other sites left out."""
    for match in LINK.finditer(FENCE.sub("", page.read_text(encoding="utf-8"))):
        if not match["target"].startswith(("http://", "https://")):
            yield match["target"]


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text(encoding="utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def is_broken(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    linked = (page.parent / path).resolve() if path else page
    return not linked.exists() or (bool(anchor) and anchor not in anchors(linked))


def commands(text: str) -> Iterator[str]:
    """Return the command lines of `gotong` in a page: inside backquotes, and in blocks of shell."""
    for match in FENCE.finditer(text):
        if match["language"] == "sh":
            yield from (found.strip() for found in COMMAND.findall(match["code"].replace("\\\n", " ")))
    yield from INLINE.findall(FENCE.sub("", text))


def commands_of(command: Any) -> Mapping[str, Any]:
    """Return the commands of a group by name, nothing for a command that has none."""
    found: Mapping[str, Any] = getattr(command, "commands", {})
    return found


def unknown(line: str) -> str | None:
    """Return the first word of a command line that the program does not know, None if it knows all of them."""
    words = shlex.split(line.replace('"', " ").replace("'", " "))[1:]
    command = PROGRAM
    while (below := commands_of(command)) and words and not words[0].startswith(("-", "<")):
        if words[0] not in below:
            return words[0]
        command = below[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
    return next((word for word in words if word.startswith("--") and word.partition("=")[0] not in options), None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    assert [target for target in links(page) if is_broken(page, target)] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_command_and_option_exists(page: Path) -> None:
    found = {line: unknown(line) for line in commands(page.read_text(encoding="utf-8"))}
    assert {line: word for line, word in found.items() if word is not None} == {}


def test_every_command_is_described_for_operators() -> None:
    described = {line.split()[1] for line in commands((ROOT / "docs" / "operate.md").read_text(encoding="utf-8"))}
    assert set(commands_of(PROGRAM)) - described == set()


def test_the_python_of_the_pages_parses() -> None:
    samples = [
        (page.name, match["code"])
        for page in PAGES
        for match in FENCE.finditer(page.read_text(encoding="utf-8"))
        if match["language"] == "python"
    ]
    assert len(samples) >= 2
    for name, code in samples:
        compile(code, name, "exec")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("gotong up", None),
        ("gotong peer allow URL", None),
        ("gotong <command> --help", None),
        ("gotong fly", "fly"),
        ("gotong peer marry URL", "marry"),
        ("gotong token --as x --forever", "--forever"),
    ],
)
def test_an_unknown_command_is_noticed(line: str, word: str | None) -> None:
    assert unknown(line) == word


def test_a_broken_link_is_noticed() -> None:
    page = ROOT / "docs" / "operate.md"
    assert [is_broken(page, target) for target in ("quickstart.md#a-steward", "../README.md", "#backups")] == [
        False
    ] * 3
    assert [is_broken(page, target) for target in ("quickstart.md#a-pilot", "no.md", "#flying")] == [True] * 3
