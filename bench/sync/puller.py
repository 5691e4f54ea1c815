"""Pull everything from a peer once, as `gotong sync` does, and print what it took: run by `bulk` as its own process."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from federation.peers.loop import Syncer
from node.settings import Settings
from node.wiring import now, opened, settle_memory
from store.database import Connection, connect


async def pull(data_dir: str, url: str) -> dict[str, Any]:
    """Return how long one exchange took, what it brought, and this process's processor time and memory."""

    async with opened(Settings.load(Path(data_dir))) as node:

        async def own_connection() -> Connection:
            return await connect(node.dsn)

        syncer = Syncer(node.database, node.client, "test", now, own_connection, lambda: 0.5)
        cpu_s, begun_s = time.process_time(), time.perf_counter()
        done = await syncer.once(url)
        seconds, cpu_s = time.perf_counter() - begun_s, time.process_time() - cpu_s
        await syncer.close()
    return {
        "seconds": seconds,
        "cpu_s": cpu_s,
        "records": done.records,
        "refused": done.refused,
        "rss_mb": _peak_rss_mb(),
    }


def _peak_rss_mb() -> float:
    """Return the most memory this process had resident (getrusage would count its parent's before exec)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


if __name__ == "__main__":
    settle_memory()
    sys.stdout.write(json.dumps(uvloop.run(pull(*sys.argv[1:]))))
