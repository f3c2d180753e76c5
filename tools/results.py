"""Committed measurements, which pages and plots are made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

_RESULTS = Path(__file__).parent.parent / "eval" / "results"


def latest(name: str) -> Any:
    """The latest of that name."""
    return json.loads(max(_RESULTS.glob(f"*-{name}.json")).read_text(encoding="utf-8"))
