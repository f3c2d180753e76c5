"""Signals to score and verdict."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.encoder import Encoder
from indexer.models import DEFAULT_WEIGHTS
from indexer.ranking import CALIBRATIONS, READINGS, SIGNALS, Readings, calibration_of, score, signals, verdict, weights

CONSTANTS = {name: float(number) for number, name in enumerate(SIGNALS, 1)} | {"bias": -3.0, "nothing": 0.2, "answered": 0.6}


def readings(*rows: tuple[float, float, float, float, float]) -> Readings:
    return Readings(*(np.array(column, np.float32) for column in zip(*rows, strict=True)))


@given(st.lists(st.floats(-1, 1, width=32), min_size=5, max_size=5), st.floats(0, 1))
def test_the_score_is_the_logistic_of_the_weighted_sum(values: list[float], readable: float) -> None:
    found = signals(readings((values[0], values[1], values[2], values[3], values[4])), readable)
    assert set(found) == set(SIGNALS)
    logit = CONSTANTS["bias"] + sum(CONSTANTS[name] * float(some[0]) for name, some in found.items())
    assert score(found, weights(CONSTANTS))[0] == pytest.approx(1 / (1 + math.exp(-logit)), abs=1e-9)


def test_half_readable_is_half_of_each_signal_and_coverage_counts_squared() -> None:
    found = signals(readings((0.8, 0.6, 0.4, 0.2, 0.5)), 0.5)
    expected = {"cosine": 0.4, "maxsim": 0.3, "sentence": 0.2, "bm25": 0.1, "coverage": 0.125}
    expected |= {"unread": 0.5, "unread_bm25": 0.1, "unread_coverage": 0.25}
    assert {name: float(some[0]) for name, some in found.items()} == pytest.approx(expected)


@given(st.lists(st.tuples(*[st.floats(-50, 50)] * len(SIGNALS)), max_size=4), st.floats(-50, 50))
def test_any_signals_score_as_their_logistic_regression_says(rows: list[tuple[float, ...]], bias: float) -> None:
    found = {name: np.array([row[number] for row in rows]) for number, name in enumerate(SIGNALS)}
    weighing = {name: 0.125 * number for number, name in enumerate(SIGNALS)} | {"bias": bias}
    logits = [bias + math.fsum(0.125 * number * value for number, value in enumerate(row)) for row in rows]
    np.testing.assert_allclose(score(found, weighing), [1 / (1 + math.exp(-logit)) for logit in logits], rtol=0, atol=1e-9)


def test_what_the_model_cannot_read_is_left_to_the_words() -> None:
    one = readings((0.9, 0.8, 0.7, 0.5, 0.5))
    read, unread = signals(one, 1.0), signals(one, 0.0)
    assert [float(read[name][0]) for name in ("unread", "unread_bm25", "unread_coverage")] == [0, 0, 0]
    assert [float(unread[name][0]) for name in ("cosine", "maxsim", "sentence", "bm25", "coverage")] == [0] * 5
    assert [float(unread[name][0]) for name in ("unread", "unread_bm25", "unread_coverage")] == [1, 0.5, 0.5]


def test_a_score_does_not_depend_on_the_other_passages() -> None:
    rows = [(0.1, 0.2, 0.3, 0.4, 0.5), (0.9, 0.8, 0.7, 0.6, 0.5)]
    alone = [float(score(signals(readings(row), 0.7), weights(CONSTANTS))[0]) for row in rows]
    assert score(signals(readings(*rows), 0.7), weights(CONSTANTS)).tolist() == pytest.approx(alone)


@pytest.mark.parametrize("reading", READINGS)
def test_signals_of_a_reading_that_is_off_weigh_nothing(reading: str) -> None:
    others = tuple(one for one in READINGS if one != reading)
    found = weights(CONSTANTS, others)
    assert all(found[name] == 0 for name, of in SIGNALS.items() if of == reading)
    assert found["bias"] == CONSTANTS["bias"]
    assert all(found[name] >= CONSTANTS[name] for name, of in SIGNALS.items() if of != reading)


def test_without_tokens_the_pooled_vector_stands_for_the_nearest_sentence() -> None:
    assert weights(CONSTANTS) == {name: CONSTANTS[name] for name in (*SIGNALS, "bias")}
    assert weights(CONSTANTS, ("vector", "words"))["cosine"] == CONSTANTS["cosine"] + CONSTANTS["sentence"]
    assert weights(CONSTANTS, ("tokens", "words"))["cosine"] == 0
    assert weights(CONSTANTS, ("words",))["cosine"] == 0


@pytest.mark.parametrize(
    ("best", "expected"),
    [(None, "nothing"), (0.1, "nothing"), (0.2, "weak"), (0.59, "weak"), (0.6, "answered"), (1.0, "answered")],
)
def test_the_verdict_goes_by_the_bounds(best: float | None, expected: str) -> None:
    assert verdict(best, CONSTANTS) == expected


def test_a_model_that_nobody_measured_claims_nothing() -> None:
    assert [verdict(best, None) for best in (None, 0.1, 0.99)] == ["uncalibrated"] * 3


def test_what_ships_has_every_constant() -> None:
    for constants in CALIBRATIONS.values():
        assert set(constants) == {*SIGNALS, "bias", "nothing", "answered"}
        assert 0 < constants["nothing"] < constants["answered"] < 1
        assert all(constants[name] >= 0 for name in SIGNALS)


def test_constants_of_the_index_go_before_those_of_the_model(encoder: Encoder) -> None:
    assert calibration_of(encoder.contract) == CALIBRATIONS[DEFAULT_WEIGHTS]
    assert calibration_of(replace(encoder.contract, calibration=CONSTANTS)) == CONSTANTS
    assert calibration_of(replace(encoder.contract, weights="of nobody's model")) is None
