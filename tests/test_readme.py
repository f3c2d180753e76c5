"""README's commands, as a newcomer types them: a copy of the checkout, a fresh virtual environment, the real server."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def block(language: str, containing: str) -> str:
    """README's code block of a language that contains some words."""
    blocks = re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)
    return next(str(one) for one in blocks if containing in one)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git would check out, with the working tree's content."""
    folder = tmp_path_factory.mktemp("fresh") / "passages"
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    for name in files:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def environment() -> dict[str, str]:
    """Like a newcomer's: none of this run's settings, and nothing of this virtual environment."""
    left_out = ("PASSAGES_", "VIRTUAL_ENV", "PYTHONPATH", "MAKE", "MFLAGS", "TESTS", "VENV", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    mine = str(Path(sys.executable).parent)
    kept["PATH"] = os.pathsep.join(part for part in kept["PATH"].split(os.pathsep) if part != mine)
    return kept | {"PASSAGES_PORT": str(free_port())}


@pytest.fixture(scope="module")
def server(checkout: Path, environment: dict[str, str]) -> Iterator[str]:
    """`make serve`, typed by a newcomer."""
    command = next(line.strip() for line in README.splitlines() if line.strip() == "make serve")
    log = checkout.parent / "serve.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command.split(), cwd=checkout, env=environment, stdout=output, stderr=output, start_new_session=True
        )
    address = f"http://127.0.0.1:{environment['PASSAGES_PORT']}"
    try:
        until = time.monotonic() + 900
        while subprocess.run(["curl", "-sf", f"{address}/readyz"], capture_output=True, check=False).returncode != 0:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < until, log.read_text()
            time.sleep(0.5)
        yield address
    finally:
        os.killpg(process.pid, 15)
        process.wait(30)


def without_what_varies(answer: Any) -> Any:
    """An answer without its time, and the folder in its document's address."""
    answer["took_ms"] = 0
    for result in answer["results"]:
        result["score"] = round(result["score"], 2)
        result["document"]["uri"] = result["document"]["uri"].rsplit("/", 1)[1]
    return answer


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_commands_of_the_readme_work_in_a_fresh_environment(
    checkout: Path, environment: dict[str, str], server: str
) -> None:
    command = block("sh", "curl").replace("http://127.0.0.1:8080", server)
    done = subprocess.run(["bash", "-c", command], cwd=checkout, env=environment, capture_output=True, text=True, check=True)
    assert without_what_varies(json.loads(done.stdout)) == without_what_varies(json.loads(block("json", "verdict")))

    tested = subprocess.run(
        ["make", "test", "TESTS=-q tests/test_sentences.py"],
        cwd=checkout,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr

    papers = checkout.parent / "home" / "papers"
    papers.mkdir(parents=True)
    (papers / "minutes.txt").write_text("We decided to move the archive to the cellar.", encoding="utf-8")
    (checkout / "notes.md").write_text("# Notes\n\nBuy string.\n", encoding="utf-8")
    own = [line for line in block("sh", "passages index").splitlines() if line != "passages serve"]  # it is running
    script = "set -e\n" + "\n".join(own)
    home = environment | {"HOME": str(papers.parent)}
    done = subprocess.run(["bash", "-c", script], cwd=checkout, env=home, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "documents: 2 added" in done.stdout
    assert "We decided to move the archive to the cellar." in done.stdout
    assert "3 documents" in done.stdout


def test_the_readme_names_the_test_command_that_the_makefile_has() -> None:
    assert re.search(r"^    make test$", README, re.MULTILINE)
    done = subprocess.run(["make", "--dry-run", "test"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "pytest" in done.stdout


def test_files_that_the_docs_link_to_are_there() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
