"""The command line: what it prints, where, and with which exit code."""

import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import node.cli
from domain.errors import GotongError
from store.migrate import read_migrations
from store.programs import EmbeddedDatabaseUnavailable
from tests.house.source import ROOT


def gotong(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GOTONG_")}
    return subprocess.run(
        [sys.executable, "-m", "node.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**clean, **environment},
        timeout=120,
        check=False,
    )


def test_help_lists_the_commands() -> None:
    done = gotong("--help")
    assert done.returncode == 0
    assert "migrate" in done.stdout


def test_help_loads_neither_the_database_driver_nor_the_web_server() -> None:
    heavy = "{'asyncio', 'asyncpg', 'fastapi', 'httpx', 'importlib.metadata', 'pydantic', 'rich', 'strawberry'}"
    program = f"import sys, node.cli; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    "command",
    [
        ("verify-proof", "none.json"),
        ("verify-proof", "."),
        ("evidence", "verify", "none.json"),
        ("evidence", "verify", "pyproject.toml", "--did", "none.jsonl"),
    ],
)
def test_a_file_that_is_not_there_is_no_fault_of_the_program(command: tuple[str, ...]) -> None:
    done = gotong(*command)
    assert (done.returncode, done.stderr.partition(":")[0]) == (1, "FILE_REFUSED")


def test_the_version_is_that_of_the_project_file() -> None:
    done = gotong("version", "--json")
    assert json.loads(done.stdout)["gotong"] in (ROOT / "pyproject.toml").read_text()


def test_migrate_names_what_it_applied_and_then_has_nothing_to_do(empty_database_dsn: str) -> None:
    first = gotong("migrate", "--json", GOTONG_DATABASE_URL=empty_database_dsn)
    assert json.loads(first.stdout) == {"applied": [each.name for each in read_migrations()]}
    second = gotong("migrate", "--database-url", empty_database_dsn)
    assert (second.returncode, second.stdout) == (0, "The database is up to date.\n")


def test_a_refusal_is_its_code_and_a_sentence_on_standard_error() -> None:
    done = gotong("migrate", GOTONG_PORT="high")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("SETTING_INVALID: GOTONG_PORT")


def test_a_refusal_as_json_is_the_one_document_on_standard_output() -> None:
    done = gotong("migrate", "--json", GOTONG_PORT="high")
    assert (done.returncode, done.stderr) == (1, "")
    assert json.loads(done.stdout)["error"]["code"] == "SETTING_INVALID"


def test_a_database_that_is_away_is_no_refusal() -> None:
    done = gotong("migrate", "--database-url", "postgresql://u:s3cr3t@127.0.0.1:1/x")
    assert done.returncode == 3
    assert done.stderr.startswith("DATABASE_UNAVAILABLE: ")
    assert "s3cr3t" not in done.stderr


def test_a_wrong_command_line_is_a_usage_error() -> None:
    assert gotong("migrate", "--colour").returncode == 2


@pytest.mark.parametrize(
    ("raised", "exit_code"),
    [
        (EmbeddedDatabaseUnavailable("no"), 3),
        (GotongError("no"), 1),
        (KeyboardInterrupt(), 130),
        (ZeroDivisionError(), 70),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_kind_of_failure_has_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, raised: BaseException, exit_code: int
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise raised

    monkeypatch.setattr(node.cli, "app", fail)
    with pytest.raises(SystemExit) as caught:
        node.cli.main(["migrate"])
    assert caught.value.code == exit_code


def test_the_exit_codes_are_those_of_the_documentation() -> None:
    documented = {int(code) for code in re.findall(r"^(\d+) ", node.cli.__doc__ or "", re.MULTILINE)}
    ours = {value for name, value in vars(node.cli).items() if name.startswith("EXIT_")}
    assert documented == ours | {0, 2}


def test_the_embedded_database_is_used_when_no_other_is_named() -> None:
    with tempfile.TemporaryDirectory(prefix="gotong-cli-") as name:
        Path(name).chmod(0o755)
        done = gotong("migrate", "--data", name)
        assert (done.returncode, done.stderr) == (0, "")
        assert (Path(name) / "postgres" / "PG_VERSION").exists()
