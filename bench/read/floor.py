"""Let pgbench ask the same of PostgreSQL directly: the floor no server can get below."""

import re
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import cluster
from bench.read.servers import CONNECTIONS, Postgres
from bench.read.statements import Statement, for_pgbench, literal
from store.database import PLANNING
from store.programs import find_programs

PLANNED_ALIKE = {"PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in PLANNING.items())}


class FloorFailed(Exception):
    """pgbench ended with an error; its output follows."""


def floor(dsn: str, statements: Sequence[Statement], seconds: float, postgres: Postgres) -> dict[str, float]:
    """Return statements per second and processor time (us) a statement; raises FloorFailed.

    Each connection prepares each SQL once and executes it with the values, planned without them as the server's are.
    """
    pgbench = find_programs().directory / "pgbench"
    with tempfile.TemporaryDirectory() as directory:
        files = []
        names: dict[str, int] = {}
        for number, statement in enumerate(statements):
            name = names.setdefault(statement.sql, len(names))
            path = Path(directory) / f"{number}.sql"
            path.write_text(_script(name, statement))
            files += ["-f", str(path)]
        files += [part for name in names.values() for part in ("-D", f"ready{name}=0")]
        how = ["-n", "-M", "simple", "-c", str(CONNECTIONS), "-j", "1", "-T", str(max(1, round(seconds)))]
        where = ["-h", cluster.socket_directory(dsn), "-U", "postgres", cluster.name_of(dsn)]
        command = [str(pgbench), *how, *files, *where]
        before_s, used_s = postgres.cpu_s(), _children_s()
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=PLANNED_ALIKE)
    per_second = re.search(r"tps = ([0-9.]+)", done.stdout)
    count = re.search(r"transactions actually processed: (\d+)", done.stdout)
    if done.returncode != 0 or per_second is None or count is None:
        raise FloorFailed(done.stderr[-2000:])
    requests = int(count[1])
    return {
        "per_second": float(per_second[1]),
        "requests": requests,
        "server_us": (_children_s() - used_s) / requests * 1e6,
        "postgres_us": (postgres.cpu_s() - before_s) / requests * 1e6,
    }


def _script(name: int, statement: Statement) -> str:
    """Return a script that executes the statement, prepared by whichever script of the connection comes first."""
    values = ", ".join(map(literal, statement.values))
    execute = f"execute q{name}({values})" if values else f"execute q{name}"
    return (
        f"\\if :ready{name} = 0\nprepare q{name} as {for_pgbench(statement.sql)}\\set ready{name} 1\n\\endif\n"
        f"{for_pgbench(execute)}"
    )


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
