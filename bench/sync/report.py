"""What was measured beside what is aimed at, as a table and as JSON."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

RESULT = Path(__file__).parents[1] / "results" / "sync.json"
AT_LEAST, BELOW, AT_MOST = ">=", "<", "<="
TARGETS: tuple[tuple[str, str, str, float], ...] = (
    ("share_of_copy", "verify + apply, of a bare COPY of the same rows", AT_LEAST, 0.40),
    ("publish_visible_ms.direct.p50", "published to told, next node, median ms", BELOW, 100.0),
    ("publish_visible_ms.three_relays.p50", "published to told, through three relays, median ms", BELOW, 400.0),
    ("wire_ratio", "bytes on the wire, of gzip of headers, salts, payloads", AT_MOST, 1.1),
    ("idle_heads_bytes", "bytes of an exchange when nothing changed", BELOW, 1024.0),
    ("memory_mb", "memory of a node mirroring a long log, MB", BELOW, 200.0),
)
TOLD = (
    ("records_per_s", "records a second, verified and applied"),
    ("copy_per_s", "records a second, bare COPY"),
    ("publish_visible_ms.direct.p99", "published to told, next node, 99th percentile ms"),
    ("publish_visible_ms.three_relays.p99", "published to told, three relays, 99th percentile ms"),
    ("wire_bytes", "bytes on the wire for 1,000 records in the longest log"),
    ("quiet_logs", "logs held in the idle exchanges"),
    ("idle_exchange_ms", "an exchange when nothing has grown, ms"),
    ("one_grown_exchange_ms", "an exchange when one log has grown, ms"),
    ("quiet_logs_mirrored_s", "first copy of all these logs, s"),
    ("mirrored", "entries mirrored by a whole node"),
    ("mirror_per_s", "entries a second, whole node, text indexed beside"),
    ("text_lag_s", "text search behind the last entry, s"),
)


def machine() -> dict[str, Any]:
    """Return what it is measured on, and how busy that is."""
    return {
        "cores": psutil.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": platform.platform(),
        "load": psutil.getloadavg()[0],
    }


def value(found: Mapping[str, Any], name: str) -> Any:
    """Return the value under a dotted name, None where that part was not measured."""
    at: Any = found
    for part in name.split("."):
        at = at.get(part) if isinstance(at, Mapping) else None
    return at


def is_met(measured: float, sign: str, target: float) -> bool:
    """Return whether a target is reached."""
    return {AT_LEAST: measured >= target, BELOW: measured < target, AT_MOST: measured <= target}[sign]


def show(found: Mapping[str, Any]) -> None:
    """Print the table."""
    table = Table(title=f"Sync between nodes; size {found['size']}, {found['machine']['cores']} cores")
    for column in ("what", "measured", "aim", ""):
        table.add_column(column, justify="left" if column == "what" else "right")
    for name, what, sign, target in TARGETS:
        measured = value(found, name)
        if measured is not None:
            table.add_row(
                what, f"{measured:,}", f"{sign} {target:g}", "yes" if is_met(measured, sign, target) else "NO"
            )
    for name, what in TOLD:
        measured = value(found, name)
        if measured is not None:
            table.add_row(what, f"{measured:,}", "", "")
    Console(width=120).print(table)


def write(found: Mapping[str, Any]) -> Path:
    """Write the result and return where it is."""
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(found, indent=2) + "\n")
    return RESULT
