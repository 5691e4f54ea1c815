"""Log lines: readable by the machine or the person asked for, and without secrets."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from node.logging import BLACKED_OUT, LogFormat, configure_logging

PASSWORD = "s3cr3t-pangkal"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()


def lines(log_format: LogFormat, **event: Any) -> str:
    stream = io.StringIO()
    configure_logging(log_format, stream=stream)
    structlog.get_logger("gotong.test").info("happened", **event)
    return stream.getvalue()


def test_a_json_line_is_one_object_with_its_time_level_and_logger() -> None:
    line = json.loads(lines("json", log="abc", size=3))
    assert {**line, "at": ""} == {
        "event": "happened", "log": "abc", "size": 3, "level": "info", "logger": "gotong.test", "at": "",
    }  # fmt: skip
    assert line["at"].endswith("Z")


def test_a_console_line_is_text() -> None:
    line = lines("console", size=3)
    assert "happened" in line
    assert "size=3" in line
    assert "\x1b" not in line  # no colours where there is no terminal


def test_lines_of_libraries_take_the_same_form() -> None:
    stream = io.StringIO()
    configure_logging("json", stream=stream)
    logging.getLogger("uvicorn.error").warning("started on %s", "http://x")
    assert json.loads(stream.getvalue())["event"] == "started on http://x"


def test_lines_below_the_level_are_not_written() -> None:
    stream = io.StringIO()
    configure_logging("json", level="warning", stream=stream)
    structlog.get_logger().info("quiet")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize(
    "event",
    [
        {"password": PASSWORD},
        {"client_secret": PASSWORD},
        {"Authorization": PASSWORD},
        {"contact": {"phone": PASSWORD}},
        {"headers": {"cookie": PASSWORD}},
        {"requests": [{"refresh_token": PASSWORD}]},
        {"dsn": f"postgresql://u:{PASSWORD}@host/x"},
        {"url": f"postgresql://u:{PASSWORD}@host/x"},
        {"message": f"could not connect to postgresql://u:{PASSWORD}@host/x"},
        {"header": f"Bearer {PASSWORD}"},
        {"body": PASSWORD.encode()},
        {"value": ValueError(f"https://u:{PASSWORD}@host")},
        {"key": f"-----BEGIN PRIVATE KEY-----\n{PASSWORD}\n-----END PRIVATE KEY-----"},
    ],
    ids=lambda event: next(iter(event)),
)
def test_a_secret_is_never_written(log_format: LogFormat, event: dict[str, Any]) -> None:
    line = lines(log_format, **event)
    assert PASSWORD not in line
    assert BLACKED_OUT in line or "bytes>" in line


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_is_written_without_the_secrets_in_it(log_format: LogFormat) -> None:
    stream = io.StringIO()
    configure_logging(log_format, stream=stream)
    try:
        raise ValueError(f"postgresql://u:{PASSWORD}@host/x")
    except ValueError:
        structlog.get_logger().exception("failed")
        logging.getLogger("library").exception("failed too")
    assert stream.getvalue().count("ValueError") >= 2
    assert PASSWORD not in stream.getvalue()
