"""Which code a result is of."""

import subprocess
from pathlib import Path


def commit() -> str:
    """The short name of the commit that is checked out; "" where there is no repository."""
    asked = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(asked, capture_output=True, text=True, cwd=Path(__file__).parent, check=False).stdout.strip()
