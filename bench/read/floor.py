"""Let pgbench ask the same of PostgreSQL directly: the floor no server can get below."""

import re
import resource
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import cluster
from bench.read.servers import CONNECTIONS, Postgres
from bench.read.statements import for_pgbench
from store.programs import find_programs


class FloorFailed(Exception):
    """pgbench ended with an error; its output follows."""


def floor(dsn: str, statements: Sequence[str], seconds: float, postgres: Postgres) -> dict[str, float]:
    """Return statements per second and processor time (us) a statement; raises FloorFailed.

    Statements carry their values as constants and are prepared once a connection: no planning, no parameters.
    """
    pgbench = find_programs().directory / "pgbench"
    with tempfile.TemporaryDirectory() as directory:
        files = []
        for number, sql in enumerate(statements):
            path = Path(directory) / f"{number}.sql"
            path.write_text(for_pgbench(sql))
            files += ["-f", str(path)]
        how = ["-n", "-M", "prepared", "-c", str(CONNECTIONS), "-j", "1", "-T", str(max(1, round(seconds)))]
        where = ["-h", cluster.socket_directory(dsn), "-U", "postgres", cluster.name_of(dsn)]
        command = [str(pgbench), *how, *files, *where]
        before_s, used_s = postgres.cpu_s(), _children_s()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
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


def _children_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
