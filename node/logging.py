"""Write log lines, for people or for machines, and never a secret.

Decides the form of a line and what is blacked out on its way: values under names that hold secrets or
private details, and passwords and bearer tokens inside any text, tracebacks included.
"""

import logging
import re
import sys
from collections.abc import Mapping
from typing import Any, Literal, TextIO

import structlog

BLACKED_OUT = "[secret]"
NESTING_MAX = 8
_SECRET_NAME = re.compile(
    r"passw|secret|token|authori[sz]ation|cookie|private|api_?key|dsn|database_url|assertion|salt|contact|phone|e-?mail",
    re.IGNORECASE,
)
_SECRET_TEXT = (
    (re.compile(r"(?<=://)([^\s/:@]*):[^\s/]*@"), rf"\1:{BLACKED_OUT}@"),
    (re.compile(r"\b(bearer|basic|dpop)\s+[\w.~+/=-]+", re.IGNORECASE), rf"\1 {BLACKED_OUT}"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)", re.DOTALL), BLACKED_OUT),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), BLACKED_OUT),  # a JWT
)

LogFormat = Literal["console", "json"]


def configure_logging(log_format: LogFormat, level: str = "info", stream: TextIO | None = None) -> None:
    """Send the lines of this process, the standard library's included, to `stream` (standard error)."""
    stream = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    ]
    form: list[structlog.typing.Processor]
    if log_format == "json":
        form = [structlog.processors.format_exc_info, black_out, structlog.processors.JSONRenderer()]
    else:
        colors = stream.isatty()
        plain = structlog.dev.plain_traceback
        form = [
            structlog.processors.format_exc_info,
            black_out,
            structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=plain),
        ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *form]
        )
    )
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for every request to every peer
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())


def black_out(_logger: Any, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Return the event with its secrets blacked out; a structlog processor."""
    return {name: _cleaned(name, value, NESTING_MAX) for name, value in event.items()}


def _cleaned(name: str, value: Any, nesting: int) -> Any:
    if _SECRET_NAME.search(name):
        return BLACKED_OUT
    if value is None or isinstance(value, int | float):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if nesting and isinstance(value, Mapping):
        return {str(key): _cleaned(str(key), item, nesting - 1) for key, item in value.items()}
    if nesting and isinstance(value, list | tuple | set | frozenset):
        return [_cleaned("", item, nesting - 1) for item in value]
    text = str(value)
    for pattern, replacement in _SECRET_TEXT:
        text = pattern.sub(replacement, text)
    return text
