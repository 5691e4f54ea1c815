"""`python -m spec.did` writes spec/vectors/did again, byte for byte; the test-suite checks that it would not change."""

from pathlib import Path

from spec.did.files import VECTORS, files


def main() -> None:
    """Write every vector and remove those that no case makes any more."""
    wanted = files()
    for path in VECTORS.rglob("*.json"):
        if path.relative_to(VECTORS).as_posix() not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = Path(VECTORS, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
