"""What is interrupted: runs of the real command and the real server, and what they may leave."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import httpx

from tests.crash.machine import Place, Plan, Zygote

CLI = "service.cli:main"
DONE = (0, -signal.SIGTERM)  # a run that was not disturbed
Allowed = dict[str, list[str | None]]  # by document id: the texts that it may have, None if it may be missing
Step = tuple[str, ...]


class Operation(NamedTuple):
    """A request to the server."""

    kind: Literal["put", "delete"]
    document: str
    text: str = ""


class Reply(NamedTuple):
    """What came of an operation; ``status`` 0: no response."""

    operation: Operation
    status: int
    body: str


@dataclass
class Outcome:
    """How a run ended: its exit status, negative for a signal, and what the server had answered."""

    status: int | None
    replies: list[Reply] = field(default_factory=list)


@dataclass(frozen=True)
class Scenario:
    """``base`` is the root that it starts from (None: empty), ``redo`` completes what was interrupted, and ``undisturbed`` is a
    file of what the index then is. ``allowed`` tells what each document may be after a crash that ended with an outcome."""

    name: str
    base: Path | None
    run: Callable[[Zygote, Place, Plan | None, float | None], Outcome]
    redo: Callable[[Place], list[Step]]
    undisturbed: Path
    allowed: Callable[[Outcome], Allowed]


class World:
    """Documents, bases and undisturbed runs, made once; ``folder`` lies in memory, where fsync costs nothing."""

    def __init__(self, folder: Path, model: Path, zygote: Zygote) -> None:
        self.folder, self.model, self._zygote = folder, model, zygote
        folder.mkdir()
        self.documents, self.changing = folder / "documents", folder / "changing"
        self._words = Words(7)
        for place in (self.documents, self.changing):
            words = Words(8)
            _write_documents(place, {f"d{number:02}.txt": words.text() for number in range(28)})
        self.operations = _operations(self._words)

    def scenarios(self) -> list[Scenario]:
        """All of them, ready to run."""
        base, unchanged = self.folder / "bases" / "first indexing", self.folder / "bases" / "unchanged"
        first = self._command("first indexing", None, str(self.documents))
        self._command("unchanged", None, str(self.changing))
        self._change()
        return [
            first,
            self._command("indexing again", unchanged, str(self.changing)),
            self._command("reindexing", base, "--reindex"),
            self._command("restoring", self.folder / "bases" / "indexing again", *self._backup_of(base), command="restore"),
            self._serving(base),
        ]

    def check(
        self, zygote: Zygote, place: Place, allowed: Allowed, redo: Sequence[Step], undisturbed: Path | None
    ) -> list[str]:
        """Problems of what was left at a place; see :mod:`tests.crash.checks`."""
        task = place.folder / "check.json"
        asked = {
            "index": str(place.index), "model": str(self.model), "allowed": allowed, "redo": redo,
            "undisturbed": undisturbed and str(undisturbed),
        }  # fmt: skip
        task.write_text(json.dumps(asked), encoding="utf-8")
        if status := zygote.run("tests.crash.checks:main", [str(task)], place):
            return [f"the check ended with {status}: {place.stderr.read_text(encoding='utf-8')[-2000:]}"]
        problems: list[str] = json.loads(task.with_suffix(".problems").read_text(encoding="utf-8"))
        return problems

    def _backup_of(self, base: Path) -> tuple[str, str]:
        """What ``passages restore`` is told to bring the base's index back."""
        saved = self.folder / "saved"
        shutil.copyfile(base / "index" / "catalog.sqlite", saved)  # nothing has it open
        return str(saved), "--force"

    def _command(self, name: str, base: Path | None, *what: str, command: str = "index") -> Scenario:
        """``passages index`` of a folder, or with an option; or another command."""
        model = () if command == "restore" else ("--model", str(self.model))

        def steps(place: Place) -> list[Step]:
            return [("passages", command, *what, "--index", str(place.index), *model)]

        def run(zygote: Zygote, place: Place, plan: Plan | None, kill_after_s: float | None) -> Outcome:
            pid = zygote.start(CLI, steps(place)[0][1:], place, plan)
            return Outcome(_ended(zygote, pid, kill_after_s))

        undisturbed = self._undisturbed(name, base, run, steps)
        before = _texts(self._record_of(base))
        after = _texts(undisturbed)

        def allowed(outcome: Outcome) -> Allowed:
            # A command that succeeded has said that all is stored.
            states = (after,) if outcome.status == 0 else (before, after)
            return {one: [*{state.get(one) for state in states}] for one in before.keys() | after.keys()}

        return Scenario(name, base, run, steps, undisturbed, allowed)

    def _serving(self, base: Path) -> Scenario:
        before = _texts(self._record_of(base))

        def run(zygote: Zygote, place: Place, plan: Plan | None, kill_after_s: float | None) -> Outcome:
            return served(zygote, place, self.model, self.operations, plan, kill_after_s)

        def redo(_: Place) -> list[Step]:
            return [(one.kind, one.document, one.text) for one in self.operations]

        def allowed(outcome: Outcome) -> Allowed:
            return _acknowledged(before, outcome.replies)

        return Scenario("serving", base, run, redo, self._undisturbed("serving", base, run, redo), allowed)

    def _undisturbed(
        self, name: str, base: Path | None, run: Callable[..., Outcome], redo: Callable[[Place], list[Step]]
    ) -> Path:
        """Runs to the end and keeps the root as a base for others, and what the index is as a file."""
        place = Place.made(self.folder / "undisturbed", base)
        outcome = run(self._zygote, place, None, None)
        assert outcome.status in DONE, f"{name}: {outcome} {place.stderr.read_text(encoding='utf-8')}"
        kept = self.folder / "bases" / name
        shutil.copytree(place.root, kept)
        record = kept.with_suffix(".json")
        self.check(self._zygote, place, {}, redo(place), None)
        (place.folder / "check.record").replace(record)
        return record

    def _record_of(self, base: Path | None) -> Path | None:
        return base.with_suffix(".json") if base else None

    def _change(self) -> None:
        """Some documents change, are deleted, renamed, moved, new."""
        at = self.changing
        for number in (3, 4, 5):
            (at / f"d{number:02}.txt").write_text(self._words.text(), encoding="utf-8")
        for number in (6, 7, 8, 9):
            (at / f"d{number:02}.txt").unlink()
        (at / "moved").mkdir()
        for number in (10, 11):
            (at / f"d{number:02}.txt").replace(at / "moved" / f"m{number}.txt")
        for number in range(14):
            (at / f"n{number:02}.txt").write_text(self._words.text(), encoding="utf-8")


class Words:
    """Texts of words that occur nowhere else."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311

    def text(self, paragraphs: int = 2) -> str:
        """Paragraphs of a sentence."""
        return "\n\n".join(" ".join(self._word() for _ in range(10)).capitalize() + "." for _ in range(paragraphs))

    def _word(self) -> str:
        return "".join(self._random.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(6))


def served(
    zygote: Zygote, place: Place, model: Path, operations: Sequence[Operation], plan: Plan | None, kill_after_s: float | None
) -> Outcome:
    """Run the server, send it the operations one after the other, and end it; or kill it after a time."""
    until = time.monotonic() + kill_after_s if kill_after_s is not None else None
    pid = start_server(zygote, place, model, plan)
    outcome = Outcome(None)
    try:
        with closing(client_of(place, pid, until)) as client:
            for operation in operations:
                outcome.replies.append(send(client, operation, until))
                if not outcome.replies[-1].status:
                    break
            if until is None:
                time.sleep(0.1)  # what is folded in the background
    except TimeoutError:  # killed before it was ready
        pass
    outcome.status = terminate(zygote, pid) if until is None else _ended(zygote, pid, max(0.0, until - time.monotonic()))
    return outcome


def start_server(zygote: Zygote, place: Place, model: Path, plan: Plan | None) -> int:
    """The process id of a server over the place's index."""
    place.stderr.write_text("", encoding="utf-8")
    return zygote.start(CLI, ["serve", "--index", str(place.index), "--model", str(model), "--port", "0"], place, plan)


def terminate(zygote: Zygote, pid: int) -> int | None:
    """End a server as a service manager does; its exit status."""
    if (status := zygote.wait(pid, 0)) is not None:
        return status
    os.kill(pid, signal.SIGTERM)
    if (status := zygote.wait(pid, 20)) is None:
        os.kill(pid, signal.SIGKILL)
        status = zygote.wait(pid)
    return status


def _ended(zygote: Zygote, pid: int, kill_after_s: float | None) -> int | None:
    """The status of a child that ends by itself, or is killed after a time."""
    status = zygote.wait(pid, 60 if kill_after_s is None else kill_after_s)
    if status is None:
        os.kill(pid, signal.SIGKILL)
        status = zygote.wait(pid)
    return status


def client_of(place: Place, pid: int, until: float | None) -> httpx.Client:
    """A client of the server, once it is ready. Raises :class:`TimeoutError`, also if it has ended."""
    patience = min(time.monotonic() + 10, until or 1e9)
    while not (found := re.search(r"http://\S+", place.stderr.read_text(encoding="utf-8"))):
        _wait(pid, patience)
    client = httpx.Client(base_url=found[0], timeout=20)
    while not _is_ready(client):
        _wait(pid, patience)
    return client


def _is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == 200
    except httpx.TransportError:
        return False


def _wait(pid: int, until: float) -> None:
    state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    if state == "Z" or time.monotonic() > until:
        raise TimeoutError
    time.sleep(0.01)


def send(client: httpx.Client, operation: Operation, until: float | None = None) -> Reply:
    """Send an operation, unless it is too late."""
    if until is not None and time.monotonic() > until:
        return Reply(operation, 0, "not sent")
    path = f"/v1/documents/{operation.document}"
    try:
        response = client.put(path, json={"text": operation.text}) if operation.kind == "put" else client.delete(path)
    except httpx.TransportError as error:
        return Reply(operation, 0, repr(error))
    return Reply(operation, response.status_code, response.text)


def _operations(words: Words) -> list[Operation]:
    return [
        *(Operation("put", f"p{number}", words.text(3)) for number in range(5)),
        Operation("put", "d01.txt", words.text()),
        Operation("put", "p0", words.text(4)),
        *(Operation("delete", f"d{number:02}.txt") for number in range(20, 28)),
        *(Operation("put", f"q{number}", words.text(3)) for number in range(5)),
        Operation("delete", "p1"),
    ]


def _acknowledged(before: Mapping[str, str], replies: Sequence[Reply]) -> Allowed:
    """What was answered with success is there; what was not may be there or not."""
    allowed: Allowed = {one: [text] for one, text in before.items()}
    for operation, status, _ in replies:
        text = operation.text if operation.kind == "put" else None
        if 200 <= status < 300:
            allowed[operation.document] = [text]
        else:
            allowed[operation.document] = [*allowed.get(operation.document, [None]), text]
    return allowed


def _texts(record: Path | None) -> dict[str, str]:
    documents = json.loads(record.read_text(encoding="utf-8"))["documents"] if record else {}
    return {one: text for one, (_, text, _) in documents.items()}


def _write_documents(folder: Path, texts: Mapping[str, str]) -> None:
    folder.mkdir(parents=True)
    for name, text in texts.items():
        (folder / name).write_text(text, encoding="utf-8")
