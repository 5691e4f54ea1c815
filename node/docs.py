"""Write the pages of documentation that the code knows best: `python -m node.docs`.

docs/errors.md comes from the docstrings of the error classes, docs/settings.md from the descriptions of
the settings. Both are committed; a test fails when they differ from the code.
"""

import importlib
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic_core import PydanticUndefined

from domain.errors import GotongError, error_classes
from node.settings import FILE_NAME, PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("domain", "store", "auth", "federation", "schema", "api", "web", "node")

ALLOWED_IN_WORDS = {
    "sweep_hours": "`from-to`",
    "data_dir": "a path",
    "database_url": "`postgresql://...`",
    "base_url": "`http://` or `https://`, no path",
    "host": "an address or a name",
    "directory": "`true` or `false`",
    "witness": "`true` or `false`",
    "trusted_proxies": "addresses and networks, or nothing",
    "other_authorities": "names, each with a port unless it is the usual one, with commas between",
}

ERRORS_HEAD = """# Error codes

Everything Gotong refuses carries one of these codes: in `extensions.code` and `userErrors` of GraphQL, in the `code`
member of other HTTP answers, and as the first word `gotong` prints. A code never changes its meaning.

This page is generated from the code by `make docs`.
"""

SETTINGS_HEAD = f"""# Settings

Each setting can be given, first one wins: as an option of the command where it has one, in the environment, as a
file in `/run/secrets` (`gotong_database_url`), or in `<data>/{FILE_NAME}` under its lower-case name without the
prefix (`port = 8080`). A wrong value stops the command with `SETTING_INVALID`, before anything starts.

This page is generated from the code by `make docs`.
"""


def import_everything(root: Path = ROOT) -> list[str]:
    """Return the names of all our modules, imported."""
    names = []
    for room in ROOMS:
        for path in sorted((root / room).rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    for name in names:
        importlib.import_module(name)
    return names


def codes() -> dict[str, list[type[GotongError]]]:
    """Return the classes that define each code; a class that only groups others defines none."""
    found: dict[str, list[type[GotongError]]] = {}
    for error in dict.fromkeys(error_classes()):
        if "code" in vars(error) and error.__module__.split(".")[0] in ROOMS:
            found.setdefault(error.code, []).append(error)
    return found


def errors_page() -> str:
    """Return docs/errors.md as the loaded error classes have it."""
    rows = {}
    for code, classes in codes().items():
        meaning = " ".join((classes[0].__doc__ or "").split("\n\n")[0].split())
        rows[code] = (classes[0].__module__.replace(".", "/") + ".py", meaning)
    lines = [ERRORS_HEAD]
    for room in ROOMS:
        mine = sorted(code for code, (module, _) in rows.items() if module.startswith(f"{room}/"))
        if mine:
            lines += [f"## {room}", "", "| code | what was refused | decided in |", "|---|---|---|"]
            lines += [f"| `{code}` | {rows[code][1]} | `{rows[code][0]}` |" for code in mine]
            lines.append("")
    return "\n".join(lines)


def settings_page() -> str:
    """Return docs/settings.md as the settings have it."""
    lines = [SETTINGS_HEAD, "| setting | default | allowed | what it is |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = (
            field.default if field.default is not PydanticUndefined else field.get_default(call_default_factory=True)
        )
        shown = "" if default is None else f"`{str(default).rstrip('/')}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {shown} | {_allowed(name, field)} | {field.description} |")
    return "\n".join([*lines, ""])


def _allowed(name: str, field: Any) -> str:
    if get_origin(field.annotation) is Literal:
        return ", ".join(f"`{choice}`" for choice in get_args(field.annotation))
    low = next((part.ge for part in field.metadata if hasattr(part, "ge")), None)
    high = next((part.le for part in field.metadata if hasattr(part, "le")), None)
    if low is not None and high is not None:
        return f"{low:,} to {high:,}"
    return ALLOWED_IN_WORDS[name]


def main() -> None:
    """Write both pages."""
    import_everything()
    (ROOT / "docs" / "errors.md").write_text(errors_page())
    (ROOT / "docs" / "settings.md").write_text(settings_page())


if __name__ == "__main__":
    main()
