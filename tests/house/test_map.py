"""The architecture page says where things are, and leaves nothing out."""

import re

from tests.house.source import ROOT
from tests.house.test_imports import FEDERATION_SHELL


def test_every_module_of_the_federation_is_on_the_map_on_its_side() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = page.split("**Where things are in `federation/`.**")[1].split("\n## ")[0]
    rows = [line.split("|")[1:4] for line in table.splitlines() if line.startswith("| `")]
    pure, shell = (
        {f"{row[0].strip(' `/')}.{name}" for row in rows for name in re.findall(r"`(\w+)`", row[side])}
        for side in (1, 2)
    )
    modules = {f"{path.parent.name}.{path.stem}" for path in (ROOT / "federation").glob("*/*.py")}
    assert pure | shell == {name for name in modules if not name.endswith(".__init__")}
    assert pure & shell == set()
    assert shell == {f"{package}.{name}" for package, names in FEDERATION_SHELL.items() for name in names}
    assert [path.name for path in (ROOT / "federation").glob("*.py")] == ["__init__.py"]
