"""The architecture page says where things are, and leaves nothing out."""

import re

from tests.house.source import ROOT
from tests.house.test_imports import FEDERATION_SHELL


def test_every_module_of_the_federation_is_on_the_map_on_its_side() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("**Where things are in `federation/`.**")[1].split("\n## ")[0]
    rows = [line.split("|")[2:4] for line in table.splitlines() if line.startswith("| ")][1:]
    pure, shell = ({name for row in rows for name in re.findall(r"`(\w+)`", row[side])} for side in (0, 1))
    modules = {path.stem for path in (ROOT / "federation").glob("*.py")} - {"__init__"}
    assert pure | shell == modules
    assert pure & shell == set()
    assert shell == FEDERATION_SHELL
