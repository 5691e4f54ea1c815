"""The audits of GraphQL over HTTP, by the npm package graphql-http: `make audit-http` installs it and runs this.

Not collected with the other tests, since it needs Node.
"""

import asyncio
import json
from pathlib import Path

from tests.api.conftest import Served
from tests.api.conftest import node as node
from tests.api.conftest import regions as regions
from tests.api.conftest import served as served
from tests.api.conftest import services as services

HERE = Path(__file__).parent
AUDITS = 61
PATIENCE_S = 60


async def test_all_audits_pass(served: Served) -> None:
    running = await asyncio.create_subprocess_exec(
        "node", "run.mjs", served.url, cwd=HERE, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE_S):
        printed, _ = await running.communicate()
    results = json.loads(printed)
    assert [result for result in results if result["status"] != "ok"] == []
    assert len(results) == AUDITS
