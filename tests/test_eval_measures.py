"""Evaluation of evidence, verdict and readings: pure parts on literal inputs, commands on the gate's own set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from eval import ablation, calibrate, evidence, gate, retrieval, speed, verdict
from eval.__main__ import app
from eval.answers import Span, read_answers
from eval.compare import compare, pairs
from eval.corpus import without
from eval.errors import EvalError
from eval.fitting import Judged, calibration_error, direction, scale
from eval.indexes import index
from eval.plots import Bar, bars, reliability
from eval.rates import auroc, share
from eval.report import page
from eval.sets import JudgedSet, read_set
from indexer import Collection
from indexer.encoder import Encoder

GATE = Path(gate.__file__).with_name("gate")


@pytest.fixture(scope="module")
def judged() -> JudgedSet:
    return read_set(GATE)


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder) -> Iterator[Collection]:
    """The gate's forty paragraphs."""
    with Collection(tmp_path_factory.mktemp("gate"), create=True, encoder=encoder) as collection:
        index(collection, [GATE / "corpus.jsonl"])
        yield collection


# --- the gate ---------------------------------------------------------------------------------------------------------


def test_the_gate_holds(collection: Collection, judged: JudgedSet) -> None:
    values = gate.measure(collection, judged)
    assert gate.floors("gate")
    assert {name: floor for name, floor in gate.floors("gate").items() if values[name] < floor} == {}


@pytest.mark.parametrize("reading", ["vector", "words", "tokens"])
def test_the_gate_fails_without_any_one_reading(collection: Collection, judged: JudgedSet, reading: str) -> None:
    values = gate.measure(collection, judged, reading)
    assert [name for name, floor in gate.floors("gate").items() if values[name] < floor]


def test_a_missed_floor_is_named_and_fails(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(gate, "measure", lambda *_: {"MRR": 0.5})
    monkeypatch.setattr(gate, "floors", lambda _: {"MRR": 0.6})
    done = CliRunner().invoke(app, ["gate", str(GATE), "--index", str(tmp_path / "index")])
    assert done.exit_code == 1
    assert "MRR is 0.5000, its floor 0.6" in done.output


# --- commands over a collection -----------------------------------------------------------------------------------------


def test_evidence_is_held_against_the_answers_place(collection: Collection, judged: JudgedSet) -> None:
    answers = read_answers(judged, [])
    report = evidence.measure(collection, judged, answers)
    assert (report.questions, report.not_found) == (40, 0)
    assert report.held.value == 1.0  # each passage is one sentence
    assert report.first.value < 1.0
    nowhere = {question: [Span("none", 0, 1)] for question in answers}
    assert evidence.measure(collection, judged, nowhere).not_found == 40


def test_verdicts_are_counted_by_band(collection: Collection, judged: JudgedSet) -> None:
    record = verdict.measure(collection, judged, verdict._own_bands(judged))
    assert {band: one["questions"] for band, one in record["bands"].items()} == {"answerable": 40, "unanswerable": 12}
    for one in record["bands"].values():
        assert sum(some["value"] for some in one["verdicts"].values()) == pytest.approx(1)
    assert 0.5 < record["auroc"]["unanswerable"]["value"] <= 1
    assert len(record["calibration"]["bins"]) == verdict.BINS


def test_ablation_has_every_combination_of_readings(collection: Collection, judged: JudgedSet) -> None:
    found = ablation.measure(collection, judged)["readings"]
    assert len(found) == 7
    assert found["vector + words + tokens"]["nDCG@10"]["difference"]["value"] == 0
    assert all(one["nDCG@10"]["difference"]["value"] < 0 for name, one in found.items() if name != "vector + words + tokens")


def test_speed_tells_every_stage(collection: Collection, judged: JudgedSet) -> None:
    stages = speed.measure(collection, judged)["stages"]
    assert {"encode", "candidates", "read", "maxsim", "rank", "results", "after the encoder", "all"} <= set(stages)
    assert all(0 <= one["p50"] <= one["p95"] for one in stages.values())


def test_half_of_the_articles_can_be_removed(tmp_path: Path, judged: JudgedSet) -> None:
    removed = verdict._removed(judged)
    assert len(removed) == 20  # five of ten articles of four paragraphs
    bands = verdict._split(judged, removed)
    assert {band: len(some) for band, some in bands.items()} == {"answerable": 20, "removed": 20}
    kept = without(GATE / "corpus.jsonl", removed, tmp_path)
    assert {json.loads(line)["_id"] for line in kept.read_text().splitlines()}.isdisjoint(removed)
    assert without(GATE / "corpus.jsonl", frozenset({"none"}), tmp_path) == GATE / "corpus.jsonl"


def test_a_set_without_answers_is_told(tmp_path: Path) -> None:
    shutil.copytree(GATE, tmp_path / "gate")
    (tmp_path / "gate" / "answers.jsonl").unlink()
    with pytest.raises(EvalError, match=r"has no answers\.jsonl"):
        read_answers(read_set(tmp_path / "gate"), [])


def test_constants_are_fitted_and_kept_in_the_index(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["calibrate", str(GATE), "--index", str(tmp_path), "--apply", str(tmp_path / "gate"), "--json"]
    )
    assert done.exit_code == 0
    constants = json.loads(done.stdout.splitlines()[-1])["constants"]
    assert constants["nothing"] <= constants["answered"]
    with Collection(tmp_path / "gate") as collection, collection.catalog.read() as snapshot:
        assert snapshot.contract
        assert snapshot.contract.calibration == constants


def test_per_question_outcomes_make_a_report(collection: Collection, judged: JudgedSet) -> None:
    report = retrieval.measure(collection, judged).as_json(per_question=True)
    assert len(report["per_question"]) == 40
    records = [
        report,
        evidence.measure(collection, judged, read_answers(judged, [])).as_json(),
        verdict.measure(collection, judged, verdict._own_bands(judged)),
        ablation.measure(collection, judged),
        speed.measure(collection, judged),
    ]
    html = page(json.loads(json.dumps(records)), [report])
    for words in (
        "Retrieval",
        "Evidence",
        "Verdict",
        "Reliability",
        "Readings",
        "Speed",
        "Worst questions",
        "Since the baseline",
    ):
        assert words in html
    assert "src=" not in html
    assert "href=" not in html


# --- pure parts -----------------------------------------------------------------------------------------------------------


def test_a_page_shows_nothing_that_is_not_escaped() -> None:
    question = {"id": "1", "text": "<script>", "kind": None, "nDCG@10": 0.1, "first": [{"score": 0.5, "text": "<b>"}]}
    one = {"value": 0.1, "low": 0.0, "high": 0.2}
    measures = dict.fromkeys(("nDCG@10", "success@1", "recall@100", "MRR"), one)
    record = {
        "what": "retrieval",
        "set": "<i>",
        "questions": 1,
        "passages": 1,
        "measures": measures,
        "per_question": [question],
    }
    html = page([record])
    assert not any(tag in html for tag in ("<script>", "<b>", "<i>"))


def test_a_share_has_wilsons_interval() -> None:
    assert share(0, 0).value != share(0, 0).value  # NaN
    assert share(5, 10) == pytest.approx((0.5, 0.2366, 0.7634), abs=1e-3)
    assert share(0, 10) == pytest.approx((0, 0, 0.2775), abs=1e-3)


def test_auroc_is_the_chance_to_be_above() -> None:
    assert auroc([3, 4], [1, 2]).value == 1
    assert auroc([1, 2], [3, 4]).value == 0
    assert auroc([1, 3], [2, 3]).value == pytest.approx(0.375)
    assert auroc([1], [1]).value == 0.5


def test_the_randomisation_test_tells_a_change_from_chance() -> None:
    before = {"per_question": [{"id": str(n), "text": "", "nDCG@10": 0.5} for n in range(40)]}
    better = {"per_question": [{"id": str(n), "text": "", "nDCG@10": 0.6} for n in range(40)]}
    mixed = {"per_question": [{"id": str(n), "text": "", "nDCG@10": 0.5 + 0.1 * (-1) ** n} for n in range(40)]}
    assert compare(better, before).difference == pytest.approx(0.1)
    assert compare(better, before).p < 0.001
    assert compare(mixed, before).p > 0.5
    assert compare(before, before).p == 1
    assert len(pairs(better, {"per_question": before["per_question"][:3]})) == 3


def test_the_fit_finds_the_signal_that_ranks_and_makes_it_a_probability() -> None:
    random = np.random.default_rng(1)
    pool = []
    for _ in range(200):
        signals = random.random((10, 3))
        signals[:, 2] = signals[0, 2]  # the same for all results of a question
        chances = 1 / (1 + np.exp(-(8 * signals[:, 0] - 6)))
        pool.append(Judged(signals, random.random(10) < chances))
    weights = direction([pool])
    assert weights[0] > 10 * weights[1]
    scaled, bias = scale([pool], weights, [2])
    assert scaled[0] == pytest.approx(8, rel=0.2)
    assert bias + scaled[2] / 2 == pytest.approx(-6, rel=0.2)


def test_calibration_error_is_the_mean_gap() -> None:
    assert calibration_error(np.array([0.5, 0.5, 0.5, 0.5]), [True, False, True, False], 1) == 0
    assert calibration_error(np.array([0.9, 0.9]), [False, False], 1) == pytest.approx(0.9)


def test_translations_count_as_one_set() -> None:
    good = Judged(np.array([[1.0] * 8, [0.0] * 8]), np.array([True, False]))
    sets = [calibrate.Asked(name, frozenset({"1"}), [good] * 3, [good]) for name in ("en", "de")]
    assert calibrate.fit(sets).errors.keys() == {"en", "de"}


def test_plots_are_escaped_and_scaled() -> None:
    assert "&lt;x&gt;" in bars([Bar("<x>", 0.5, 0.4, 0.6)])
    assert reliability([(0.1, 0.2), (0.9, 0.8)]).count("<circle") == 2


def test_a_question_that_found_nothing_does_not_stop_the_fit() -> None:
    good = Judged(np.array([[1.0] * 8, [0.0] * 8]), np.array([True, False]))
    none = Judged(np.empty((0, 8)), np.empty(0, dtype=bool))
    sets = [calibrate.Asked(name, frozenset({name}), [good, none], [good, none]) for name in ("a", "b")]
    assert set(calibrate.fit(sets).constants) >= {"bias", "nothing", "answered", "maxsim"}
