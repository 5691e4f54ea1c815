"""The packaged table of regions, read once."""

from importlib import resources

import pytest

from domain.regions import Regions, parse_regions


@pytest.fixture(scope="session")
def regions() -> Regions:
    """Return the edition of regions the project ships."""
    table = resources.files("domain.data").joinpath("regions.csv").read_text(encoding="utf-8")
    return Regions(parse_regions(table.splitlines()))
