"""The soak's smoke form, and that its judge sees what it must see."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.soak.__main__ import soak
from tests.soak.truth import Truth, faults
from tests.soak.usage import Usage, trend

SECONDS = 10


def answer(*results: tuple[str, str, int]) -> dict[str, Any]:
    """Of passages: document, text, start."""
    return {
        "results": [{"document": {"id": name}, "text": text, "start": at, "end": at + len(text)} for name, text, at in results]
    }


def settled(truth: Truth, name: str, text: str | None) -> float:
    """Changed and acknowledged; a time after that."""
    truth.begin(name, text)
    truth.acknowledge(name)
    time.sleep(0.001)
    return time.monotonic()


def test_the_judge_sees_what_was_deleted_what_is_stale_and_what_is_of_two_versions() -> None:
    truth = Truth()
    first = settled(truth, "a", "One two.\n\nThree four.")
    assert faults(answer(("a", "One two.", 0), ("a", "Three four.", 10)), truth, first, first) == []
    second = settled(truth, "a", "One six.\n\nThree four.")
    assert faults(answer(("a", "One six.", 0)), truth, second, second) == []
    assert faults(answer(("a", "One two.", 0)), truth, second, second)  # stale
    assert faults(answer(("a", "One two.", 0)), truth, first, second) == []  # it began before
    assert faults(answer(("a", "One six.", 1)), truth, second, second)  # at another place
    third = settled(truth, "a", "Five two.\n\nThree nine.")
    assert faults(answer(("a", "One six.", 0), ("a", "Three nine.", 11)), truth, second, third)  # each was there, not both
    gone = settled(truth, "a", None)
    assert faults(answer(("a", "Five two.", 0)), truth, gone, gone)
    assert faults(answer(("never", "Five two.", 0)), truth, gone, gone)


def test_the_judge_sees_one_commit_of_two_files_torn() -> None:
    truth = Truth()
    for number in (1, 2):
        for name in ("pair-1-a.txt", "pair-1-b.txt"):
            settled(truth, name, f"This is edition {number}.")
    now = time.monotonic()
    seen = [("pair-1-a.txt", "This is edition 1.", 0), ("pair-1-b.txt", "This is edition 2.", 0)]
    assert any("two commits" in one for one in faults(answer(*seen), truth, 0.0, now))
    seen[0] = ("pair-1-a.txt", "This is edition 2.", 0)
    assert faults(answer(*seen), truth, 0.0, now) == []


def test_a_leak_is_a_rise_and_noise_is_none() -> None:
    leaking = [Usage(at, 100 + at, 100 + at, 50, 20, 900, 3) for at in range(90)]
    assert trend(leaking, "pss_mib").share == pytest.approx(59 / 159.5, rel=0.01)
    noisy = [Usage(at, 100 + at % 2, 100, 50, 20, 900, 3) for at in range(90)]
    assert abs(trend(noisy, "pss_mib").share) < 0.01


def test_the_soak_finds_nothing_wrong(tmp_path: Path) -> None:
    record = soak(tmp_path, SECONDS, searchers=6, questions=20)
    assert record["faults"] == []
    assert min(record["counts"][what] for what in ("new", "searches", "syncs")) > 0
    assert record["equality"]["questions"] == 20
