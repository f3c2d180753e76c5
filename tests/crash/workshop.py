"""All that crashes need, opened and closed: the shim, the model, processes to fork from."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from tests.crash.campaign import Worker
from tests.crash.machine import ROOT, Zygote, compiled
from tests.crash.scenarios import World


@contextmanager
def opened(folder: Path, workers: int) -> Iterator[tuple[World, list[Worker]]]:
    """A world and its workers, in a folder that should lie in memory. Raises :class:`RuntimeError` without a compiler."""
    library = compiled(folder)
    environment = {"XDG_CACHE_HOME": str(folder / "cache"), "HF_HUB_OFFLINE": "1", "PASSAGES_PROCESSES": "0"}
    model = [sys.executable, "-m", "tests.crash.model", str(folder / "model")]
    subprocess.run(model, cwd=ROOT, env={**os.environ, **environment}, check=True, capture_output=True)
    with ExitStack() as stack:
        zygotes = [stack.enter_context(closing(Zygote(library, environment))) for _ in range(workers)]
        world = World(folder / "world", folder / "model" / "model", zygotes[0])
        yield world, [Worker(world, zygote, folder / f"worker{number}") for number, zygote in enumerate(zygotes)]
