"""Settings: where they come from, which wins, and how a wrong one is refused."""

from pathlib import Path

import pytest

import node.settings
from node.settings import PREFIX, SettingInvalid, Settings

PASSWORD = "s3cr3t-pangkal"


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"{PREFIX}{name.upper()}", raising=False)
    monkeypatch.chdir(tmp_path)


def test_without_any_setting_there_are_defaults() -> None:
    settings = Settings.load()
    assert (settings.data_dir, settings.port, settings.origin) == (Path(".gotong"), 8080, "http://localhost:8080")
    assert settings.database_url is None


@pytest.mark.parametrize("hours", ["24-1", "1", "1-25", "-3", "a-b", "1-4 "])
def test_hours_to_sweep_in_are_two_hours_of_the_day(hours: str) -> None:
    with pytest.raises(SettingInvalid):
        Settings.load(sweep_hours=hours)


def test_the_command_wins_over_the_environment_the_environment_over_secrets_and_they_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gotong.toml").write_text('port = 1\nworkers = 1\nhost = "file"\nnetwork = "test"\n')
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "gotong_port").write_text("2")
    (secrets / "gotong_workers").write_text("2")
    (secrets / "gotong_host").write_text("secret")
    monkeypatch.setattr(node.settings, "SECRETS_DIR", secrets)
    monkeypatch.setenv("GOTONG_PORT", "3")
    monkeypatch.setenv("GOTONG_WORKERS", "3")
    settings = Settings.load(tmp_path, port=4, workers=None)
    assert (settings.port, settings.workers, settings.host, settings.network) == (4, 3, "secret", "test")


def test_the_data_directory_can_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "gotong.toml").write_text("port = 1\n")
    monkeypatch.setenv("GOTONG_DATA_DIR", str(tmp_path / "elsewhere"))
    settings = Settings.load()
    assert (settings.data_dir, settings.port) == (tmp_path / "elsewhere", 1)


def test_an_empty_variable_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTONG_PORT", "")
    assert Settings.load().port == 8080


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("port", "65536", "65535"),
        ("port", "web", "integer"),
        ("workers", "0", "1"),
        ("network", "prod", "'live' or 'test'"),
        ("base_url", "desa.example.org", "URL"),
        ("base_url", "https://desa.example.org/gotong", "alone"),
        ("poll_interval_s", "nan", "finite|equal"),
        ("statement_timeout_s", "-1", "0.1"),
        ("log_format", "xml", "'console' or 'json'"),
    ],
)
def test_a_wrong_value_is_refused_with_its_name_what_was_given_and_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, allowed: str
) -> None:
    monkeypatch.setenv(f"GOTONG_{name.upper()}", value)
    with pytest.raises(SettingInvalid, match=allowed) as caught:
        Settings.load()
    assert f"GOTONG_{name.upper()}" in caught.value.message
    assert value in caught.value.message
    assert caught.value.details["setting"] == name


def test_a_wrong_secret_is_refused_without_repeating_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOTONG_DATABASE_URL", f"mysql://u:{PASSWORD}@host/x")
    with pytest.raises(SettingInvalid, match="postgresql://") as caught:
        Settings.load()
    assert PASSWORD not in f"{caught.value} {caught.value.details} {caught.value.__cause__}"


def test_the_settings_do_not_print_their_secrets() -> None:
    assert PASSWORD not in repr(Settings.load(database_url=f"postgresql://u:{PASSWORD}@host/x"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("prot = 1", "no setting 'prot'"),
        ('data_dir = "/x"', "lies in it"),
        ("port = ", "cannot be read"),
        ("port = [1]", "GOTONG_PORT"),
    ],
)
def test_a_wrong_file_is_refused(tmp_path: Path, content: str, says: str) -> None:
    (tmp_path / "gotong.toml").write_text(content)
    with pytest.raises(SettingInvalid, match=says):
        Settings.load(tmp_path)


def test_settings_do_not_change_once_read() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().port = 1
