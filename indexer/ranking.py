"""Raw signals to a score and a verdict: pure functions.

Invariant: a score is a probability, the logistic function of a weighted sum of signals of one question and one passage.
Nothing is normalised over a result set, so scores compare across questions and collections, and adding passages changes
no other passage's score but through the rarity of words.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from indexer.models import ModelContract

Floats = npt.NDArray[np.float64]
Verdict = Literal["answered", "weak", "nothing", "uncalibrated"]
Calibration = Mapping[str, float]

READINGS = ("vector", "words", "tokens")
# Which reading gives a signal. "unread" ones stand in for the model where it does not read the question's language.
SIGNALS = {
    "cosine": "vector",
    "maxsim": "tokens",
    "sentence": "tokens",
    "bm25": "words",
    "coverage": "words",
    "unread": "words",
    "unread_bm25": "words",
    "unread_coverage": "words",
}
BIAS, ANSWERED, NOTHING = "bias", "answered", "nothing"

# The constants of models that were measured, by the sha256 of their weights; made by ``python -m eval calibrate``.
CALIBRATIONS: Mapping[str, Calibration] = json.loads(Path(__file__).with_name("calibrations.json").read_text("utf-8"))
# What ranks where nothing was measured: a linear combination that held for one model is a fair guess for another's order,
# but not for what its scores mean.
FALLBACK: Calibration = next(iter(CALIBRATIONS.values()))


def calibration_of(contract: ModelContract) -> Calibration | None:
    """The constants of an index's model: measured for the index, else those that ship with the model; None if neither is."""
    return contract.calibration or CALIBRATIONS.get(contract.weights)


class Readings(NamedTuple):
    """What the three readings say of n candidates, each float32 [n]: the cosine of the pooled vectors; two of the tokens
    (see :class:`indexer.tokens.TokenSignals`); BM25 over its possible maximum for the question, and the share of the question's
    words, weighted by rarity, that the passage holds."""

    cosine: npt.NDArray[np.float32]
    maxsim: npt.NDArray[np.float32]
    sentence: npt.NDArray[np.float32]
    bm25: npt.NDArray[np.float32]
    coverage: npt.NDArray[np.float32]


def signals(readings: Readings, readable: float) -> dict[str, Floats]:
    """The signals by name, each float64 [n]; ``readable`` (0 to 1) is how well the model reads the question's language.

    Coverage is squared: that a passage holds one of many words says little, that it holds nearly all of them says much.
    """
    values = {name: np.asarray(some, np.float64) for name, some in readings._asdict().items()}
    unread = 1 - readable
    return {
        **{name: readable * values[name] for name in ("cosine", "maxsim", "sentence", "bm25")},
        "coverage": readable * values["coverage"] ** 2,
        "unread": np.full(len(values["bm25"]), unread),
        "unread_bm25": unread * values["bm25"],
        "unread_coverage": unread * values["coverage"],
    }


def weights(calibration: Calibration, readings: tuple[str, ...] = READINGS) -> dict[str, float]:
    """The weight of each signal, and the bias; signals of other than these ``readings`` weigh nothing.

    Without tokens the pooled vector stands for the nearest sentence, whose coarser form it is.
    """
    chosen = {name: calibration.get(name, 0.0) if reading in readings else 0.0 for name, reading in SIGNALS.items()}
    if "tokens" not in readings and "vector" in readings:
        chosen["cosine"] += calibration["sentence"]
    return chosen | {BIAS: calibration[BIAS]}


def score(found: Mapping[str, Floats], weighing: Mapping[str, float]) -> Floats:
    """The probability, float64 [n], that each passage answers the question: logistic regression (Cox 1958)."""
    logits = weighing[BIAS] + sum((weighing[name] * values for name, values in found.items()), np.float64(0))
    return np.asarray(1 / (1 + np.exp(-np.asarray(logits, np.float64))))


def verdict(best: float | None, calibration: Calibration | None) -> Verdict:
    """What the best passage's score says of the collection; ``best`` is None where there is no passage at all."""
    if calibration is None:
        return "uncalibrated"
    if best is None or best < calibration[NOTHING]:
        return "nothing"
    return "answered" if best >= calibration[ANSWERED] else "weak"
