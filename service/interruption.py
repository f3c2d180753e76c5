"""Commands that run for long and are ended by Ctrl-C or SIGTERM, at a good place and with the status of that signal."""

from __future__ import annotations

import signal

_received: list[int] = []


def end_on_sigterm() -> None:
    """From now on, SIGTERM raises `KeyboardInterrupt`, as Ctrl-C does."""
    signal.signal(signal.SIGTERM, _terminate)


def status() -> int:
    """What a shell reports for a process that the signal ended which raised `KeyboardInterrupt`."""
    return 128 + (_received[0] if _received else signal.SIGINT)


def _terminate(number: int, _: object) -> None:
    _received.append(number)
    raise KeyboardInterrupt
