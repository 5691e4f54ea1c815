"""What is installed is what lies in the checkout, migrations and data included."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.house.source import ROOMS, ROOT, modules


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with our wheel's content, as pip would lay it out."""
    place = tmp_path_factory.mktemp("wheel")
    checkout = place / "checkout"
    checkout.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "requirements.in"):
        shutil.copy(ROOT / name, checkout)
    for name in (*ROOMS, "migrations"):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, "--wheel-dir", str(place), str(checkout)], check=True, capture_output=True)
    with zipfile.ZipFile(next(place.glob("*.whl"))) as wheel:
        wheel.extractall(place / "site")
    return place / "site"


def test_every_module_and_data_file_is_installed(installed: Path) -> None:
    ours = [path for room in (*ROOMS, "migrations") for path in (ROOT / room).rglob("*") if path.is_file()]
    kept = {path.relative_to(ROOT) for path in ours if "__pycache__" not in path.parts}
    assert {path for path in kept if not (installed / path).exists()} == set()


def test_an_installed_gotong_finds_its_migrations(installed: Path) -> None:
    program = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "import store.migrate as m; assert m.__file__.startswith(sys.argv[1]);"
        "print([each.name for each in m.read_migrations()])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, str(installed)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(sorted(path.name for path in (ROOT / "migrations").glob("*.sql")))


def test_the_command_is_the_one_the_project_file_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["scripts"] == {"gotong": "node.cli:main"}


def test_everything_our_modules_import_is_among_what_is_installed() -> None:
    from importlib.metadata import packages_distributions

    from tests.house.source import imports

    distributions = packages_distributions()
    locked = set(re.findall(r"^([\w.-]+)==", (ROOT / "requirements.lock").read_text(), re.MULTILINE))
    missing = set()
    for name, path in modules():
        for imported in imports(path.read_text()):
            top = imported.split(".")[0]
            if top in sys.stdlib_module_names or top in ROOMS:
                continue
            if not {each.lower().replace("_", "-") for each in distributions.get(top, ["?"])} & {
                each.lower().replace("_", "-") for each in locked
            }:
                missing.add(f"{name}: {top}")
    assert missing == set()


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_every_locked_package_has_its_hashes(name: str) -> None:
    blocks = re.split(r"^(?=[\w.-]+==)", (ROOT / name).read_text(), flags=re.MULTILINE)[1:]
    assert [block.split()[0] for block in blocks if "--hash=sha256:" not in block] == []
