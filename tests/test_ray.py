"""`passages index --ray` over three Ray nodes on this machine: what it gives, and what becomes of it when a node or the command
is killed. CI has no Ray, which is 600 MB: `make test-ray` does."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from service.service import SEEDS
from tests.catalogs import contents, documents
from tests.ray_nodes import LOOPBACK
from tests.soak import texts
from tests.test_corpus import PIECES, written

if importlib.util.find_spec("ray") is None:
    pytest.skip("Ray is not installed, so this was NOT tested; run: make test-ray", allow_module_level=True)

pytestmark = pytest.mark.timeout(1200)  # Ray starts some ten processes, and the machine may be busy

NOTES = 300
PASSAGES = Path(sys.executable).with_name("passages")
ENV = {**os.environ, **LOOPBACK, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


class Nodes(NamedTuple):
    """A running cluster; ``nodes`` are the processes of its nodes that are not the head."""

    address: str
    nodes: list[int]


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    """Three nodes; the last test kills one."""
    folder = tmp_path_factory.mktemp("r")  # short: a socket's path has at most 107 characters
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ray_nodes", str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=ENV
    ) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield Nodes(**json.loads(process.stdout.readline()))
        finally:
            process.stdin.close()
            process.wait(120)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents of every format, notes, and files that cannot be read; a few hundred."""
    folder = tmp_path_factory.mktemp("documents")
    for piece in PIECES:
        written(folder, piece)
    for path in SEEDS.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    dice = random.Random(4)  # noqa: S311
    for at in range(NOTES):
        place = folder / f"shelf-{at % 7}"
        place.mkdir(exist_ok=True)
        (place / f"note-{at}.txt").write_text(texts.document(f"place {at}", 1, dice)[0][:600], encoding="utf-8")
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 and no more")
    (folder / "empty.txt").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def here(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The index that this machine makes of the documents alone, and what it says of that."""
    index = tmp_path_factory.mktemp("here") / "index"
    return index, finished(indexing(index, folder))


def indexing(index: Path, folder: Path, address: str | None = None) -> subprocess.Popen[str]:
    ray = ["--ray", address] if address else []
    command = [str(PASSAGES), "index", *ray, "--json", "--index", str(index), str(folder)]
    return subprocess.Popen(command, env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str], told: str = "") -> dict[str, Any]:
    """What it did. It tells nothing else but what is to be ``told``: no word of Ray's."""
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    assert told in err if told else err == ""
    summary: dict[str, Any] = json.loads(out)
    del summary["seconds"]
    return summary


def wait_for(index: Path, count: int, process: subprocess.Popen[str]) -> int:
    """Until so many documents are committed, and before all are; how many there are."""
    while len(documents(index)) < count:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return len(documents(index))


def below(pid: int) -> list[int]:
    """The process and all that it started."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(each for child in children for each in below(int(child)))]


def end(pids: Sequence[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_a_run_that_is_killed_goes_on_where_it_stood_and_an_unchanged_folder_costs_nothing(
    nodes: Nodes, folder: Path, here: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    alone, said = here
    index = tmp_path / "index"
    process = indexing(index, folder, nodes.address)
    wait_for(index, 20, process)
    process.kill()
    process.communicate()
    killed = len(documents(index))
    process = indexing(index, folder, nodes.address)
    wait_for(index, killed + 20, process)
    process.terminate()
    out, _ = process.communicate(timeout=120)
    assert (process.returncode, json.loads(out)["interrupted"]) == (128 + signal.SIGTERM, True)
    kept = len(documents(index))
    again = finished(indexing(index, folder, nodes.address))
    assert 0 < again["unchanged"] <= kept
    assert again["added"] + again["unchanged"] == said["added"]
    assert again["passages_encoded"] < said["passages_encoded"]
    assert contents(index).without_keys() == contents(alone).without_keys()
    unchanged = finished(indexing(index, folder, nodes.address))
    assert (unchanged["unchanged"], unchanged["passages_encoded"]) == (said["added"], 0)


def test_what_waits_is_bounded_whatever_the_folder_holds(nodes: Nodes, tmp_path: Path) -> None:
    """A consumer that stops is not run away from: of 400 MB that are asked for, most is not read before it goes on."""
    files = [tmp_path / f"{at:03}.txt" for at in range(400)]
    for at, path in enumerate(files):
        path.write_text(f"{at} " * 250_000, encoding="ascii")
    read, gone = asked("paused", nodes, tmp_path)
    assert read + gone == len(files)
    assert 0 < read < len(files) / 2


def asked(what: str, nodes: Nodes, folder: Path) -> Any:
    """What comes of asking the cluster so; see tests/ray_driver.py."""
    command = [sys.executable, "-m", "tests.ray_driver", what, nodes.address, str(folder)]
    done = subprocess.run(command, env=ENV, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("what", "said"), [("absent", "does not see the folder"), ("altered", "another version of the model")])
def test_a_machine_that_is_set_up_otherwise_ends_the_run_and_says_why(
    nodes: Nodes, tmp_path: Path, what: str, said: str
) -> None:
    (tmp_path / "a.txt").write_text("The river floods the lower town in spring.", encoding="utf-8")
    answer = asked(what, nodes, tmp_path)
    assert answer.startswith("ClusterError: a machine of the cluster failed: ")
    assert said in answer
    assert "what was committed is kept" in answer


def test_a_cluster_that_is_away_is_told_within_seconds(folder: Path, tmp_path: Path) -> None:
    began = time.monotonic()
    process = indexing(tmp_path / "index", folder, "127.0.0.1:9")
    _, err = process.communicate()
    assert process.returncode == 1
    assert "no Ray cluster answers at 127.0.0.1:9" in err
    assert "Traceback" not in err
    assert time.monotonic() - began < 30
    assert not (tmp_path / "index").exists()


def test_one_node_of_three_is_killed_in_the_middle_and_every_document_is_indexed_once(
    nodes: Nodes, folder: Path, here: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    """And all of it as this machine indexes it alone, to the bit, in the same order."""
    alone, said = here
    process = indexing(tmp_path / "index", folder, nodes.address)
    before = wait_for(tmp_path / "index", 20, process)
    # The one that has more to do: a node without a worker would prove nothing.
    killed = max((below(pid) for pid in nodes.nodes), key=len)
    assert len(killed) > 1
    end(killed)
    assert finished(process, "The node") == said
    ids = documents(tmp_path / "index")
    assert before < len(ids) == len(set(ids)) > NOTES
    assert contents(tmp_path / "index") == contents(alone)
