"""Read what the operator set: the only module that looks at the environment.

Decides names, bounds and defaults of the settings, and which source wins: what a command was told, then
the environment (`GOTONG_PORT`), then a container's secrets (`/run/secrets/gotong_database_url`), then
`<data>/gotong.toml` (`port = 8080`). A wrong value is refused by name before anything starts.
"""

import json
import os
import tomllib
from collections.abc import Sequence
from ipaddress import ip_network
from pathlib import Path
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlsplit

from pydantic import AnyHttpUrl, Field, SecretStr, TypeAdapter, ValidationError, field_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from domain.errors import GotongError
from federation.requests.signatures import authority_of

PREFIX = "GOTONG_"
FILE_NAME = "gotong.toml"
SECRETS_DIR = Path("/run/secrets")
DATA_DIR_DEFAULT = Path(".gotong")
SECRET_SETTINGS = frozenset({"database_url"})


class SettingInvalid(GotongError):
    """A setting has a value that is not allowed, or is not one of the settings there are."""

    code: ClassVar[str] = "SETTING_INVALID"


class Settings(BaseSettings):
    """What a node is told about itself and its machine; the field descriptions are the documentation."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_ignore_empty=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    data_dir: Path = Field(
        DATA_DIR_DEFAULT,
        description="Directory of everything this node keeps: its keys, its settings file and the embedded database. "
        "Not allowed in the settings file, which lies in it.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="PostgreSQL 15 or newer to use instead of the embedded one: `postgresql://user:password@host/name`.",
    )
    database_connections: int = Field(
        10, ge=2, le=200, description="Connections each process holds to the database; more than about 10 rarely helps."
    )
    statement_timeout_s: float = Field(
        15.0, ge=0.1, le=600, description="Seconds after which the database cancels a statement of a request."
    )
    base_url: AnyHttpUrl = Field(
        default_factory=lambda: TypeAdapter(AnyHttpUrl).validate_python("http://localhost:8080"),
        description="Address under which others reach this node: scheme, host and port, no path. "
        "It becomes part of the identities created here, so set it before the first `gotong init`.",
    )
    host: str = Field("127.0.0.1", min_length=1, description="Address to listen on; `0.0.0.0` for all of them.")
    port: int = Field(8080, ge=0, le=65535, description="TCP port to listen on; 0 picks a free one.")
    workers: int = Field(1, ge=1, le=64, description="Processes that serve requests.")
    network: Literal["live", "test"] = Field(
        "live", description="Which federation this node belongs to; a `test` node and a `live` one never exchange logs."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="How log lines are written to standard error: for people, or one JSON object a line."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least severe line written."
    )
    directory: bool = Field(
        False,
        description="Whether this node may be named to others who look for the communities of a region: its address, "
        "its name, the regions of its participants and how many they are.",
    )
    witness: bool = Field(
        False,
        description="Whether this node cosigns what it copies and brings its signatures to the homes of those logs. "
        "It is for nodes that nobody can connect to; others are asked.",
    )
    poll_interval_s: float = Field(
        30.0, ge=0.5, le=86_400, description="Seconds between looks at a peer that announced nothing."
    )

    sweep_hours: str = Field(
        "",
        pattern=r"^((1?[0-9]|2[0-3])-(1?[0-9]|2[0-4]))?$",
        description="Hours of this machine's clock in which tables may be rewritten to get erased bytes out of the "
        "files, such as `1-4` or `22-5`: nobody can use a table meanwhile. By default any hour; tables of more than 64 "
        "MiB wait for 1-4, a day at most.",
    )

    other_authorities: str = Field(
        "",
        description="Further names, with commas between, under which other nodes reach this one: `desa.lan:8080`. "
        "Their signed requests are meant for one of these or for the host and port of `base_url`, and for nobody else.",
    )
    peer_requests_per_min: int = Field(
        30_000, ge=60, le=10_000_000, description="Requests that each peer which signs them may make a minute."
    )
    peer_mib_per_min: int = Field(
        4_096,
        ge=16,
        le=1_000_000,
        description="Mebibytes sent to each peer which signs its requests, a minute.",
    )
    stranger_requests_per_min: int = Field(
        1_200,
        ge=10,
        le=10_000_000,
        description="Requests of nodes that are no peers here, or do not sign, a minute from each address; all such "
        "addresses together have 10 times as much. Of this machine itself nothing is taken.",
    )
    stranger_mib_per_min: int = Field(
        256, ge=16, le=1_000_000, description="Mebibytes that are sent to nodes that are no peers here, likewise."
    )

    anonymous_cost_per_min: int = Field(
        12_000,
        ge=1_000,
        le=40_000_000,
        description="What each client without a token may ask a minute, in rows read: its budget. All clients of one "
        "address together have 50 times as much. Of this machine itself nothing is taken.",
    )
    token_cost_per_min: int = Field(
        120_000, ge=1_000, le=2_000_000_000, description="What each holder of a token may ask a minute, in rows read."
    )
    trusted_proxies: str = Field(
        "127.0.0.1,::1",
        description="Addresses or networks, with commas between, of the proxies in front of this node: their "
        "`X-Forwarded-For` says who asks. Of anybody else the header means nothing.",
    )

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for network in filter(None, map(str.strip, value.split(","))):
            try:
                ip_network(network, strict=False)
            except ValueError:
                raise ValueError("should be addresses or networks, such as 10.0.0.0/8,::1") from None
        return value

    @field_validator("database_url")
    @classmethod
    def _is_postgresql(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in ("postgresql", "postgres"):
            raise ValueError("should start with postgresql://")
        return value

    @field_validator("base_url")
    @classmethod
    def _is_an_origin(cls, value: AnyHttpUrl) -> AnyHttpUrl:
        if value.path not in (None, "", "/") or value.query or value.fragment or value.username or value.password:
            raise ValueError("should be scheme, host and port alone, such as https://desa.example.org")
        return value

    def pass_on(self) -> None:
        """Put these settings into the environment, for worker processes this one is about to start."""
        for name in type(self).model_fields:
            value = getattr(self, name)
            if value is not None:
                shown = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
                os.environ[f"{PREFIX}{name.upper()}"] = shown

    @property
    def origin(self) -> str:
        """The base URL without a slash at its end."""
        return str(self.base_url).rstrip("/")

    @property
    def authorities(self) -> tuple[str, ...]:
        """The names that signed requests to this node may be meant for, that of the base URL first."""
        others = filter(None, map(str.strip, self.other_authorities.lower().split(",")))
        return (authority_of(self.origin), *others)

    @property
    def proxies(self) -> tuple[str, ...]:
        """The trusted proxies, one by one."""
        return tuple(filter(None, map(str.strip, self.trusted_proxies.split(","))))

    @classmethod
    def load(cls, data_dir: Path | None = None, **given: Any) -> Self:
        """Return the settings of this process; raise SettingInvalid for the first that is wrong.

        `given` holds what the command line said; None stands for what it did not say.
        """
        told = {name: value for name, value in given.items() if value is not None}
        directory = data_dir or Path(os.environ.get(f"{PREFIX}DATA_DIR") or DATA_DIR_DEFAULT)
        file_values = _read_file(directory / FILE_NAME)

        class Sourced(cls):  # type: ignore[valid-type, misc]
            @classmethod
            def settings_customise_sources(
                cls,
                settings_cls: type[BaseSettings],
                init_settings: PydanticBaseSettingsSource,
                env_settings: PydanticBaseSettingsSource,
                dotenv_settings: PydanticBaseSettingsSource,
                file_secret_settings: PydanticBaseSettingsSource,
            ) -> tuple[PydanticBaseSettingsSource, ...]:
                in_file = InitSettingsSource(settings_cls, file_values)
                return init_settings, env_settings, file_secret_settings, in_file

        secrets = {"_secrets_dir": SECRETS_DIR} if SECRETS_DIR.is_dir() else {}
        try:
            loaded = Sourced(data_dir=directory, **told, **secrets)
        except ValidationError as error:
            raise _refusal(error.errors(include_context=False)[0]) from None  # the cause would quote the value
        return cls.model_construct(**{name: getattr(loaded, name) for name in cls.model_fields})


def write_file(settings: Settings, names: Sequence[str]) -> None:
    """Write these settings into the data directory's file, unless there is one already: it is the operator's."""
    path = settings.data_dir / FILE_NAME
    if path.exists():
        return
    lines = [f"{name} = {_toml(getattr(settings, name))}\n" for name in names]
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.writelines(lines)


def _toml(value: object) -> str:
    if isinstance(value, int | float):
        return str(value)
    return json.dumps(value.get_secret_value() if isinstance(value, SecretStr) else str(value))


def _read_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SettingInvalid(f"{path} cannot be read: {error}", file=str(path)) from error
    if "data_dir" in values:
        raise SettingInvalid("data_dir cannot be set in the file that lies in it.", setting="data_dir", file=str(path))
    return values


def _refusal(error: ErrorDetails) -> SettingInvalid:
    name = str(error["loc"][0]) if error["loc"] else "settings"
    if error["type"] == "extra_forbidden":
        return SettingInvalid(f"There is no setting {name!r}; docs/settings.md lists them all.", setting=name)
    allowed = error["msg"].removeprefix("Value error, ")
    allowed = allowed[:1].lower() + allowed[1:]
    secret = name in SECRET_SETTINGS
    shown = "the given value" if secret else repr(error.get("input"))
    return SettingInvalid(
        f"{PREFIX}{name.upper()} is wrong: {shown} {allowed if allowed.startswith('should') else f'({allowed})'}.",
        setting=name,
        given=None if secret else str(error.get("input")),
        allowed=allowed,
    )
