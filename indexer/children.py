"""How this program starts processes of itself."""

from __future__ import annotations

import sys
from pathlib import Path

_PACKAGES = str(Path(__file__).resolve().parent.parent)


def child_command(module: str, *told: str) -> list[str]:
    """What runs ``main`` of a module with ``told`` as its arguments. Nothing of the working folder is imported (-P), which
    holds documents of anybody; our packages are, wherever they lie."""
    start = f"import sys; sys.path.insert(0, sys.argv.pop(1)); from {module} import main; main(*sys.argv[1:])"
    return [sys.executable, "-P", "-c", start, _PACKAGES, *told]
