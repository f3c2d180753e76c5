"""How much the fuzzing tests try: a little in CI, much under `make test-fuzz`, which also keeps what they counted."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.commits import commit

LONG = bool(os.environ.get("FUZZ_RESULTS"))  # where the counts go
SHARE = float(os.environ.get("FUZZ_SHARE", "1"))  # of the long form's inputs


def tries(short: int, long: int) -> int:
    """How many inputs to try now."""
    return max(short, round(long * SHARE)) if LONG else short


def record(name: str, **counts: Any) -> None:
    """Keep what a long run counted, with its date and commit."""
    if not LONG:
        return
    path = Path(os.environ["FUZZ_RESULTS"])
    results: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"kind": "fuzz"}
    results |= {"date": datetime.now(UTC).date().isoformat(), "commit": commit(), "share": SHARE, name: counts}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n")
