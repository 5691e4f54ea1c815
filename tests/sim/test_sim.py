"""A slice of the simulation: `make sim SEEDS=1000` runs more."""

from pathlib import Path

import pytest

from tests.sim.__main__ import run_seed
from tests.sim.disks import Disks

SEEDS = (3, 7, 11, 16, 26, 29)


@pytest.mark.parametrize("seed", SEEDS)
async def test_whatever_happens_honest_nodes_end_up_with_the_same_verified_logs_and_records(
    seed: int, database_server: str, template_database: str, tmp_path: Path
) -> None:
    disks = Disks(database_server, template_database, f"test_{seed}")
    try:
        await run_seed(seed, disks, tmp_path, nodes=None, steps=40)
    finally:
        await disks.drop()
