"""Write the test vectors under spec/vectors: `python -m spec.make_vectors`.

Deterministic: keys come from seeds, times are constants, so running it again
changes nothing. Refuses to write a vector that this implementation would fail.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from domain.errors import GotongError
from spec.cases import (
    batches,
    entries,
    epochs,
    erasures,
    evidence,
    mirrors,
    notes,
    proofs,
    requests,
    restricted,
    tree,
    trimming,
    values,
    vouches,
    wire,
    witness,
)
from spec.cases.keys import Case
from spec.functions import FUNCTIONS, run

VECTORS = Path(__file__).parent / "vectors"


def all_cases() -> Iterator[Case]:
    """Yield every case, by module."""
    for module in (
        tree,
        notes,
        entries,
        erasures,
        batches,
        epochs,
        proofs,
        requests,
        trimming,
        witness,
        evidence,
        mirrors,
        vouches,
        restricted,
        wire,
        values,
    ):
        yield from module.cases()


def path_of(case: Case) -> Path:
    """Return where a case lies, relative to spec/vectors."""
    if case.error is None:
        return Path(case.function, "valid", f"{case.name}.json")
    return Path(case.function, "invalid", f"{case.error.lower()}--{case.name}.json")


def render(case: Case) -> str:
    """Return a vector's file; raises ValueError for a case that does not go as it says."""
    vector: dict[str, Any] = {"about": case.about, "input": case.given}
    try:
        output = run(case.function, case.given)
    except GotongError as error:
        if error.code != case.error:
            raise ValueError(f"{path_of(case)} is refused with {error}") from error
        vector["error"] = error.code
    else:
        if case.error is not None:
            raise ValueError(f"{path_of(case)} is accepted")
        vector["output"] = output
    return json.dumps(vector, ensure_ascii=False, indent=1) + "\n"


def index() -> str:
    """Return the list of all vectors there are, by function: what is accepted, and what is refused with which code."""
    functions: dict[str, Any] = {}
    for path in sorted(VECTORS.glob("*/*/*.json")):
        kinds = functions.setdefault(path.parts[-3], {"valid": [], "invalid": {}})
        if path.parent.name == "valid":
            kinds["valid"].append(path.stem)
        else:
            code, _, name = path.stem.partition("--")
            kinds["invalid"].setdefault(code.upper(), []).append(name)
    return json.dumps(functions, ensure_ascii=False, indent=1) + "\n"


def main() -> int:
    """Write all vectors and remove those that no case describes any more, of the functions known here."""
    rendered = {path_of(case): render(case) for case in all_cases()}
    for function in FUNCTIONS:
        for old in VECTORS.glob(f"{function}/*/*.json"):
            if old.relative_to(VECTORS) not in rendered:
                old.unlink()
    for path, text in rendered.items():
        target = VECTORS / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
    (VECTORS / "index.json").write_text(index(), encoding="utf-8")
    sys.stdout.write(f"{len(rendered)} vectors\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
