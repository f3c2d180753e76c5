"""A peer as a child process in its own environment: lines of JSON to it and from it, and why it failed if it did."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Timer
from typing import Any, Self

from eval.peers.rounds import Asked, PeerError

SCRIPT = Path(__file__).with_name("ask.py")
LIMIT_S = 900.0  # for one line: encoding a large collection takes minutes
END_S = 10.0
# Nothing is sent anywhere, and nothing fetched; the last one's warnings, one a question, would cost it time.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ANONYMIZED_TELEMETRY": "False",
    "DO_NOT_TRACK": "1",
    "OTEL_SDK_DISABLED": "true",
    "TOKENIZERS_PARALLELISM": "false",
    "LANCE_LOG": "error",
}


class Peer:
    """A running peer. Raises :class:`PeerError`, here and in every method; :meth:`close` ends it."""

    def __init__(self, name: str, venvs: Path, limit_s: float = LIMIT_S) -> None:
        self.name, self.version = name, ""
        self.index_s: float | None = None
        self._limit_s, self._is_late = limit_s, False
        self._given: frozenset[str] = frozenset()
        python = venvs.resolve() / name / "bin" / "python"
        if not python.exists():
            raise PeerError("it has no environment here; make peers makes one")
        self._said = TemporaryFile()  # noqa: SIM115  # as long as the process; close() closes it
        command = [str(python), str(SCRIPT), name]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(  # noqa: S603
            command, env=_environment(), stdin=pipe, stdout=pipe, stderr=self._said, encoding="utf-8"
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def index(self, passages: Mapping[str, str], limit: int) -> None:
        """Give it the texts by id; it notes the seconds until they were searchable, and its version."""
        records = [{"id": key, "text": text} for key, text in passages.items()]
        self._given = frozenset(passages)
        reply = self._exchange({"passages": records, "limit": limit})
        try:
            self.index_s, self.version = float(reply["index_s"]), str(reply["version"])
        except (KeyError, TypeError, ValueError) as error:
            raise PeerError(f"what it said of its index is not understood: {error!r}") from error

    def ask(self, questions: Sequence[str]) -> Asked:
        """One question after the other."""
        reply = self._exchange({"questions": questions})
        try:
            asked = Asked([float(one) for one in reply["took_ms"]], [[str(one) for one in ids] for ids in reply["found"]])
        except (KeyError, TypeError, ValueError) as error:
            raise PeerError(f"what it found is not understood: {error!r}") from error
        if not len(asked.took_ms) == len(asked.found) == len(questions):
            raise PeerError(f"it gave not one time and one list for each of {len(questions)} questions")
        if strange := next((one for ids in asked.found for one in ids if one not in self._given), None):
            raise PeerError(f"it found a passage that it was not given: {strange}")
        return asked

    def close(self) -> None:
        """End it: by the end of its input, else by force."""
        if self._process.stdin is not None:
            with suppress(OSError):  # it is gone already
                self._process.stdin.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._said.close()

    def _exchange(self, record: Mapping[str, Any]) -> Any:
        guard = Timer(self._limit_s, self._stop)
        guard.start()
        try:
            line = self._sent_and_read(json.dumps(record) + "\n")
        finally:
            guard.cancel()
        try:
            return json.loads(line)
        except ValueError:
            raise PeerError(self._reason(line)) from None

    def _sent_and_read(self, line: str) -> str:
        assert self._process.stdin is not None  # noqa: S101  # both are pipes
        assert self._process.stdout is not None  # noqa: S101
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            return ""  # it ended; its last words tell why
        return self._process.stdout.readline()

    def _stop(self) -> None:
        self._is_late = True
        self._process.kill()

    def _reason(self, line: str) -> str:
        if self._is_late:
            return f"it took longer than {self._limit_s:.0f} s"
        if line:
            return f"it answered no JSON: {line.strip()[:200]}"
        status = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode("utf-8", "replace").split("\n")
        last = next((one.strip() for one in reversed(said) if one.strip()), "it said nothing")
        return f"it ended with status {status}: {last[:300]}"


def _environment() -> dict[str, str]:
    """Ours without what would lead its Python to our packages."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")} | QUIET
