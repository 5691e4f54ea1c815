"""What holds for every file of the repository."""

import re
from pathlib import Path

from tests.house.source import ROOT, files, modules

LINES_MAX = 400
ABSOLUTE_PATH = re.compile(r"(?<![\w.~*])/(?:work|root|home|Users|opt/pypi)/\w")
# Written in pieces, or this file would be the first to name one.
REGISTRY_HOSTS = re.compile(
    "|".join(re.escape(host) for host in ("pypi" + ".org", "python" + "hosted.org", "npm" + "js.org"))
)
EXTERNAL = ("tests/vectors/",)  # copied with their source named; not ours to edit


def texts() -> list[tuple[str, str]]:
    found = []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        if name.startswith(EXTERNAL):
            continue
        try:
            found.append((name, path.read_text()))
        except UnicodeDecodeError:
            continue
    return found


def where(pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in texts()
        if pattern.search(text)
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_file_names_a_path_of_the_machine_it_was_written_on() -> None:
    assert where(ABSOLUTE_PATH) == []


def test_no_file_names_a_package_registry() -> None:
    assert where(REGISTRY_HOSTS) == []


def test_the_patterns_find_what_they_look_for() -> None:
    assert ABSOLUTE_PATH.search("see /" + "work/main and go")
    assert ABSOLUTE_PATH.search('"/' + 'home/ani/x"')
    assert not ABSOLUTE_PATH.search("docs/" + "home/page and https://example.org/home/page")
    assert REGISTRY_HOSTS.search("--index-url https://" + "pypi" + ".org/simple")


def test_no_module_is_longer_than_it_should_be() -> None:
    paths = [path for _, path in modules()] + [*(ROOT / "tests").rglob("*.py"), *(ROOT / "bench").rglob("*.py")]
    long = {path.relative_to(ROOT).as_posix(): _lines(path) for path in paths}
    assert {name: lines for name, lines in long.items() if lines > LINES_MAX} == {}


def test_every_module_says_what_it_is_for() -> None:
    silent = [
        name
        for name, path in modules()
        if path.name != "__init__.py" and not path.read_text().startswith(('"""', 'r"""'))
    ]
    assert silent == []


def _lines(path: Path) -> int:
    return len(path.read_text().splitlines())
