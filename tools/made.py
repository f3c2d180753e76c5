"""The files that are made, never written by hand: what each must hold now."""

from __future__ import annotations

from pathlib import Path

from tools import capacity, commands, contents, figures, http_reference

ROOT = Path(__file__).parent.parent


def made() -> dict[Path, str]:
    """Each file with its text."""
    texts = {
        "docs/http-reference.md": http_reference.page(),
        "docs/commands.md": commands.page(),
        "docs/capacity.md": capacity.page(),
        "deploy/CONTENTS.md": contents.page(),
        **{f"docs/images/{name}.svg": svg for name, svg in figures.drawn().items()},
    }
    return {ROOT / name: text for name, text in texts.items()}
