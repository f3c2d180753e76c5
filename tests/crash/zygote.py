"""A process that has imported everything and forks children that run the product: each starts in milliseconds, not seconds.

It has one thread, and has loaded no model. Requests are JSON, a line each, on standard input; answers on what was standard
output.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sqlite3
import sys
import time
from typing import Any

_PR_SET_PDEATHSIG = 1
_IMPORTED = (
    "service.cli", "service.server", "indexer.sync", "indexer.graph", "tests.crash.checks", "faiss", "tantivy",
    "tokenizers", "uvloop", "httptools", "Stemmer", "rich.console", "uvicorn.loops.auto", "uvicorn.protocols.http.auto",
    "uvicorn.lifespan.on",
)  # fmt: skip


def main() -> None:
    for name in _IMPORTED:
        importlib.import_module(name)
    importlib.import_module("indexer.graph")._openvino()
    assert len(os.listdir("/proc/self/task")) == 1, "a process with threads cannot be forked"  # noqa: PTH208
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        request = json.loads(line)
        if "wait" in request:
            print(json.dumps(_waited(request["wait"], request["timeout_s"])), file=answers, flush=True)
        elif pid := os.fork():
            print(json.dumps(pid), file=answers, flush=True)
        else:
            _child(request)
            return


def _waited(pid: int, timeout_s: float) -> int | None:
    """The exit status of a child, negative for a signal; None if it still runs."""
    until = time.monotonic() + timeout_s
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > until:
            return None
        time.sleep(0.002)


def _child(request: dict[str, Any]) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in ((1, request["stdout"]), (2, request["stderr"])):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
    for name, value in request["constants"].items():
        module, _, constant = name.partition(":")
        setattr(importlib.import_module(module), constant, value)
    _checkpoint_often(request["checkpoint_pages"])
    os.chdir(request["folder"])
    sys.argv = ["passages", *request["arguments"]]
    if request["watch"]:
        _watch(request["watch"])
    module, _, function = request["call"].partition(":")
    getattr(importlib.import_module(module), function)()


def _checkpoint_often(pages: int) -> None:
    """SQLite moves its log into the database every 4 MB, which a small index never has."""
    connect = sqlite3.connect

    def often(*arguments: Any, **options: Any) -> sqlite3.Connection:
        connection: sqlite3.Connection = connect(*arguments, **options)
        connection.execute(f"PRAGMA wal_autocheckpoint = {pages}")
        return connection

    sqlite3.connect = often  # type: ignore[assignment]


def _watch(plan: dict[str, Any]) -> None:
    library = ctypes.CDLL(plan["library"], use_errno=True)
    trace = os.open(plan["trace"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    texts = {name: os.fsencode(plan[name]) for name in ("root", "shadow", "kinds", "pattern", "gate")}
    failed = library.watch(
        texts["root"], trace, texts["shadow"], plan["action"], texts["kinds"], texts["pattern"],
        ctypes.c_long(plan["occurrence"]), plan["error"], texts["gate"],
    )  # fmt: skip
    if failed:
        raise OSError(ctypes.get_errno(), "the system calls of this process cannot be watched")


if __name__ == "__main__":
    main()
