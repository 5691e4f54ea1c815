"""What was measured, as a table and as JSON."""

import json
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from bench.read.measure import FLAT_ROWS, FLOOR, PLAIN_GIN, Measured
from bench.read.questions import GOTONG, MERCURIUS, POSTGRAPHILE

RESULTS = Path(__file__).parents[1] / "results"
PEERS = (POSTGRAPHILE, MERCURIUS)
COMPARED = (GOTONG, *PEERS, FLOOR, FLAT_ROWS)


def results(size: str, measured: Mapping[str, Measured], rss_mb: Mapping[str, float]) -> dict[str, Any]:
    """Return everything as plain values: ratios are Gotong's requests per second over the other's."""
    return {
        "size": size,
        "machine": {
            "cores": psutil.cpu_count(),
            "memory_gb": round(psutil.virtual_memory().total / 2**30),
            "system": platform.platform(),
            "load": psutil.getloadavg()[0],
        },
        "ratios": {question: _ratios(found) for question, found in measured.items()},
        "per_second": _each(measured, lambda found, name: round(found.median(name, "per_second"))),
        "p99_ms": {
            question: {name: round(found.p99_ms(name), 2) for name in (GOTONG, *PEERS)}
            for question, found in measured.items()
        },
        "cpu_us": _each(measured, lambda found, name: [round(part) for part in _cpu_us(found, name)]),
        "cpu_of_floor": {
            question: {
                name: round(sum(_cpu_us(found, GOTONG)) / sum(_cpu_us(found, name)), 2) for name in (FLOOR, FLAT_ROWS)
            }
            for question, found in measured.items()
        },
        "rss_mb": {name: round(value, 1) for name, value in rss_mb.items()},
        "plain_gin": _plain_gin(measured["text"]) if "text" in measured else None,
    }


def _each(measured: Mapping[str, Measured], value: Any) -> dict[str, dict[str, Any]]:
    return {question: {name: value(found, name) for name in COMPARED} for question, found in measured.items()}


def _ratios(found: Measured) -> dict[str, float]:
    ours = found.median(GOTONG, "per_second")
    return {name: round(ours / found.median(name, "per_second"), 2) for name in COMPARED if name != GOTONG}


def _cpu_us(found: Measured, name: str) -> tuple[float, float]:
    return found.median(name, "server_us"), found.median(name, "postgres_us")


def _plain_gin(found: Measured) -> dict[str, float]:
    """Return statements per second on Gotong's index and on GIN(document) alone, both by pgbench."""
    ours, plain = found.median(FLOOR, "per_second"), found.median(PLAIN_GIN, "per_second")
    return {"per_second": round(ours), "plain_per_second": round(plain), "ratio": round(ours / plain, 2)}


def show(found: Mapping[str, Any]) -> None:
    """Print the table."""
    console = Console(width=150)
    table = Table(title=f"Requests per second at 16 connections, medians; size {found['size']}")
    table.add_column("question")
    for name in COMPARED:
        table.add_column(name, justify="right")
    table.add_column("x PostGraphile", justify="right")
    table.add_column("x Mercurius", justify="right")
    table.add_column("p99 ms at 64: G / P / M", justify="right")
    table.add_column("CPU us server+PG: G / P / M / floor", justify="right")
    table.add_column("x CPU floor, flat", justify="right")
    for question in found["ratios"]:
        ratios, cpu, p99 = found["ratios"][question], found["cpu_us"][question], found["p99_ms"][question]
        table.add_row(
            question,
            *(str(found["per_second"][question][name]) for name in COMPARED),
            *(f"{ratios[name]:.2f}" for name in PEERS),
            " / ".join(f"{p99[name]:.1f}" for name in (GOTONG, *PEERS)),
            " / ".join(f"{cpu[name][0]}+{cpu[name][1]}" for name in (GOTONG, *PEERS, FLOOR)),
            ", ".join(f"{value:.1f}" for value in found["cpu_of_floor"][question].values()),
        )
    console.print(table)
    if plain := found["plain_gin"]:
        console.print(f"Text on GIN(region_path, document) against GIN(document): x {plain['ratio']:.2f}")
    console.print("Resident memory, MB: " + ", ".join(f"{name} {value:.0f}" for name, value in found["rss_mb"].items()))


def write(name: str, found: Mapping[str, Any]) -> Path:
    """Return the file the results were written to."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")
    return path
