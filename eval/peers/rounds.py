"""Rounds: every system is asked the same questions in turn, and one that fails is left out while the others go on."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple, Protocol, Self

from eval.client import TIMEOUT_S, Address
from eval.errors import EvalError

Told = Callable[[str, int, int], None]


class PeerError(Exception):
    """Why a peer is left out of the comparison."""


class Asked(NamedTuple):
    """Milliseconds of each question, and the ids of the passages that it found, best first."""

    took_ms: Sequence[float]
    found: Sequence[Sequence[str]]


class System(Protocol):
    """What is compared; ``index_s`` is None where the index was there before."""

    name: str
    version: str
    index_s: float | None

    def ask(self, questions: Sequence[str]) -> Asked:
        """One question after the other. Raises :class:`PeerError`."""
        ...


class Ours:
    """The real server over one kept-alive connection, with the reading of its JSON: end to end, as a program uses it."""

    def __init__(self, name: str, address: Address, limit: int, index_s: float | None) -> None:
        from importlib.metadata import version

        self.name, self.version, self.index_s, self._limit = name, version("passages"), index_s, limit
        self._connection = http.client.HTTPConnection(address.host, address.port, timeout=TIMEOUT_S)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def ask(self, questions: Sequence[str]) -> Asked:
        """One question after the other. Raises :class:`EvalError`: without ours there is nothing to compare with."""
        self._connection.close()  # while others had their turn the server ended it, as unused; the next question opens another
        took, found = [], []
        for question in questions:
            began = time.perf_counter()
            found.append([str(one["id"]) for one in self._results(question)])
            took.append((time.perf_counter() - began) * 1000)
        return Asked(took, found)

    def _results(self, question: str) -> list[dict[str, Any]]:
        body = json.dumps({"question": question, "limit": self._limit})
        try:
            self._connection.request("POST", "/v1/search", body, {"Content-Type": "application/json"})
            with self._connection.getresponse() as response:
                record = json.load(response)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise EvalError(f"the server did not answer {question!r}: {error!r}") from error
        if response.status != 200:
            raise EvalError(f"the server answered {question!r} with {response.status}: {record.get('detail')}")
        results: list[dict[str, Any]] = record["results"]
        return results


def run(
    systems: Sequence[System], batches: Sequence[Sequence[str]], told: Told
) -> tuple[dict[str, list[Asked]], dict[str, str]]:
    """What each system answered in each round, without the first batch, which warms up; and why some are left out.

    Who begins changes from round to round, so that nobody always has the turn after the slowest.
    """
    answers: dict[str, list[Asked]] = {one.name: [] for one in systems}
    failed: dict[str, str] = {}
    for at, questions in enumerate(batches):
        for system in (*systems[at % len(systems) :], *systems[: at % len(systems)]):
            if system.name not in failed:
                try:
                    answers[system.name].append(system.ask(questions))
                except PeerError as error:
                    failed[system.name] = str(error)
        told("rounds", at + 1, len(batches))
    return {name: asked[1:] for name, asked in answers.items() if name not in failed}, failed


def times(asked: Sequence[Asked], ours: Sequence[Asked]) -> dict[str, Any]:
    """Milliseconds, and the ratio of the median to ours in the same round: the median of the rounds, the least and the most."""
    from eval.loops import percentiles

    medians, those = ([median(one.took_ms) for one in some] for some in (asked, ours))
    ratios = [one / other for one, other in zip(medians, those, strict=True)]
    ratio = {"value": median(ratios), "low": min(ratios), "high": max(ratios)}
    return {
        **percentiles([took for one in asked for took in one.took_ms], [50, 95]),
        "round_p50": [round(one, 3) for one in medians],
        "ratio": {name: round(value, 3) for name, value in ratio.items()},
    }


def rankings(asked: Sequence[Asked], rounds: Sequence[Sequence[str]]) -> Mapping[str, Sequence[str]]:
    """Ids of passages by id of question; ``rounds`` are the ids of each round's questions."""
    pairs = (pair for one, ids in zip(asked, rounds, strict=True) for pair in zip(ids, one.found, strict=True))
    return dict(pairs)
