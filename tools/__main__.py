"""``python -m tools``: write every file that is made from the product, and name those that changed."""

from __future__ import annotations

from tools.made import ROOT, made


def main() -> None:
    """Writes them."""
    for path, text in made().items():
        if path.is_file() and path.read_text(encoding="utf-8") == text:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        print(f"written: {path.relative_to(ROOT)}")


main()
