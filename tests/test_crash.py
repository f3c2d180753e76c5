"""Nothing acknowledged is lost, and nothing half written is seen: not when the process is killed, the power fails, the disk is
full or breaks. The short form; all of it is ``make test-crash``."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.crash.campaign import Crash, Worker, each_fault, each_kind, moments, run_all, traced
from tests.crash.machine import FAIL_FROM, Place, Plan, memory_folder
from tests.crash.scenarios import Allowed, Operation, Outcome, Scenario, Words, World, client_of, send, start_server, terminate
from tests.crash.workshop import opened

pytestmark = [
    pytest.mark.slow,
    # httpcore leaves the socket of a server that was killed under it to the collector.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.skipif(sys.platform != "linux" or os.uname().machine != "x86_64", reason="reads registers of Linux on x86-64"),
]
FAULTS = 12  # of all that the full form tries
RESTORINGS = 4  # of so many kills and power cuts of a restore, one
MOMENTS = 3  # random ones, of each scenario
WRITES = "write,create,open,sync,truncate,allocate,rename,mkdir,unlink"


@pytest.fixture(scope="module")
def shop() -> Iterator[tuple[World, list[Worker], list[Scenario]]]:
    """The world, its workers and scenarios; making them takes seconds."""
    with tempfile.TemporaryDirectory(dir=memory_folder()) as folder, opened(Path(folder), workers=2) as (world, workers):
        yield world, workers, world.scenarios()


@pytest.fixture
def server(shop: tuple[World, list[Worker], list[Scenario]]) -> tuple[World, Worker, Scenario]:
    world, workers, scenarios = shop
    return world, workers[0], scenarios[-1]


@pytest.mark.timeout(900)  # two minutes on two idle cores
def test_nothing_is_lost_whenever_the_process_is_killed_the_power_fails_or_a_call_does(
    shop: tuple[World, list[Worker], list[Scenario]],
) -> None:
    world, workers, scenarios = shop
    tried: set[tuple[str, str]] = set()
    jobs: list[Crash] = []
    faults: list[Crash] = []
    for number, scenario in enumerate(scenarios):
        calls, took_s = traced(workers[0], scenario, world.folder / "trace")
        some = RESTORINGS if scenario.name == "restoring" else 1
        jobs += each_kind(scenario, calls, tried)[::some] + moments(scenario, took_s, MOMENTS, number)
        faults += each_fault(scenario, calls)
    jobs += faults[:: max(1, len(faults) // FAULTS)]
    tally = run_all(jobs, workers)
    assert tally.problems == []
    assert tally.missed == []
    assert {"sync", "rename", "unlink", "mkdir", "create"} <= tally.kills.keys()
    assert len(tally.power_cuts) == 6
    assert {"the command says why", "answered 507", "answered 503"} & tally.told.keys()


@pytest.mark.parametrize(("error", "status"), [(errno.ENOSPC, 507), (errno.EIO, 503), (errno.EROFS, 503)])
def test_a_server_that_cannot_write_says_so_goes_on_answering_and_writes_when_it_can_again(
    server: tuple[World, Worker, Scenario], error: int, status: int
) -> None:
    world, worker, scenario = server
    place = Place.made(world.folder / "gate", scenario.base)
    gate = place.folder / "gate"
    pid = start_server(worker.zygote, place, world.model, Plan(FAIL_FROM, WRITES, error=error, gate=str(gate)))
    first, second = (Operation("put", name, f"Only {name} tells of this.") for name in ("alpha", "beta"))
    with closing(client_of(place, pid, None)) as client:
        assert send(client, first).status == 200
        gate.touch()
        refused = send(client, second)
        assert (refused.status, "cannot be written" in refused.body) == (status, True), refused
        with ThreadPoolExecutor(8) as crowd:  # so that some open the catalog now, which SQLite grants to read
            assert [*crowd.map(lambda _: found(client, "only alpha"), range(40))] == [["alpha"]] * 40
        gate.unlink()
        assert found(client, "only beta") == []
        assert send(client, second).status == 200
        assert found(client, "only beta") == ["beta"]
    terminate(worker.zygote, pid)
    assert "Traceback" not in place.stderr.read_text()
    now: Allowed = {**scenario.allowed(Outcome(None)), "alpha": [first.text], "beta": [second.text]}
    assert world.check(worker.zygote, place, now, [], None) == []


def test_on_a_full_disk_nothing_is_lost_and_with_room_it_goes_on(server: tuple[World, Worker, Scenario]) -> None:
    world, worker, scenario = server
    place = Place.made(world.folder / "small", scenario.base)
    with mounted(place.root, scenario.base):
        words = Words(9)
        pid = start_server(worker.zygote, place, world.model, None)
        written = [Operation("put", f"w{number}", words.text(12)) for number in range(16)]
        with closing(client_of(place, pid, None)) as client:
            replies = [send(client, one) for one in written]
            refused = [reply for reply in replies if reply.status != 200]
            assert {reply.status for reply in refused} == {507}, refused
            assert found(client, " ".join(written[0].text.split()[:4])) == ["w0"]
            subprocess.run(["mount", "-o", "remount,size=64m", place.root], check=True)
            assert {send(client, reply.operation).status for reply in refused} == {200}
        terminate(worker.zygote, pid)
        now: Allowed = {**scenario.allowed(Outcome(None)), **{one.document: [one.text] for one in written}}
        assert world.check(worker.zygote, place, now, [], None) == []


@contextmanager
def mounted(root: Path, base: Path | None) -> Iterator[None]:
    """A file system of 400 kB more than the base at ``root``; skips where mounting is not permitted."""
    size = sum(path.stat().st_size for path in root.rglob("*")) + 400_000
    tried = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", root], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {tried.stderr.decode().strip()}")
    try:
        shutil.copytree(base or root, root, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "--lazy", root], check=True)


def found(client: httpx.Client, phrase: str) -> list[str]:
    response = client.post("/v1/search", json={"question": f'"{phrase}"'})
    assert response.status_code == 200, response.text
    return sorted({result["document"]["id"] for result in response.json()["results"]})
