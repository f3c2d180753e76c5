"""What many tests share: one loaded encoder, an open collection, and the rights of a user who is not root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from indexer.collection import Collection
from indexer.encoder import Encoder
from tests.blocked import sitecustomize
from tests.servers import serving

NOBODY = 65534
# Child processes run it at their start; this process by the import above.
os.environ["PYTHONPATH"] = str(Path(sitecustomize.__file__).parent)


@pytest.fixture(scope="session")
def encoder() -> Encoder:
    """The default model; loading it takes seconds."""
    return Encoder.of()


@pytest.fixture
def collection(tmp_path: Path, encoder: Encoder) -> Iterator[Collection]:
    """An empty collection."""
    with Collection(tmp_path / "index", create=True, encoder=encoder) as collection:
        yield collection


class Keyed(NamedTuple):
    """A server that demands a key: where it is, and a key of each scope."""

    url: str
    read: str
    write: str


@pytest.fixture(scope="session")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keyed]:
    """One server over seeds/, which may not be ready yet; what a test stores in it, other tests find too."""
    read, write = "read-" + 32 * "r", "write-" + 32 * "w"
    env = {"PASSAGES_REQUIRE_KEY": "true", "PASSAGES_API_KEYS": f"reader read {read}; writer write {write}"}
    with serving(tmp_path_factory.mktemp("keyed") / "index", env=env, ready=False) as server:
        yield Keyed(f"http://127.0.0.1:{server.port}", read, write)


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A new folder of a user to whom permissions apply; root, whom nothing stops, is nobody for the test."""
    is_root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp()).resolve()  # before the change: nobody may not write where temporary files are
    if is_root:
        os.chown(folder, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, 0)
    try:
        yield folder
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        for path in [folder, *folder.rglob("*")]:
            if path.is_dir():
                path.chmod(0o700)
        shutil.rmtree(folder)
