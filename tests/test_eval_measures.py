"""Evaluation of evidence, verdict and readings: pure parts on literal inputs, commands on the gate's own set."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.main import get_command
from typer.testing import CliRunner

from eval import ablation, ann, calibrate, evidence, gate, indexing, retrieval, speed, verdict
from eval.__main__ import app
from eval.answers import Span, read_answers
from eval.compare import compare, pairs
from eval.corpus import without
from eval.errors import EvalError
from eval.fitting import Judged, calibration_error, direction, scale
from eval.indexes import index
from eval.plots import Bar, bars, growth, reliability
from eval.rates import auroc, share
from eval.report import page
from eval.sets import JudgedSet, Judgement, Paragraph, Question, read_set
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


def test_a_gate_without_floors_is_an_error() -> None:
    with pytest.raises(EvalError, match="has no floors for another"):
        gate.floors("another")
    with pytest.raises(EvalError, match="names F1; a floor can be of MRR"):
        gate.short({"F1": 0.5}, {"MRR": 1.0})


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
    some = dict(list(answers.items())[:3])
    partly = evidence.measure(collection, judged, some)
    assert (partly.questions, partly.unplaced) == (3, 37)


def result(document: str, start: int, sentence: tuple[int, int], *copies: tuple[str, int]) -> Any:
    """A result of 50 characters with that evidence, and the places of its copies."""
    passage, *others = (
        SimpleNamespace(document=SimpleNamespace(id=name), start=at, end=at + 50) for name, at in ((document, start), *copies)
    )
    return SimpleNamespace(passage=passage, evidence=Span(document, *sentence)[1:], also_in=tuple(others))


@pytest.mark.parametrize(
    ("answer", "answers", "holds"),
    [
        (Span("a", 110, 120), True, True),
        (Span("a", 109, 115), True, False),  # begins before the sentence
        (Span("a", 115, 121), True, False),  # ends after it
        (Span("a", 145, 151), False, False),  # ends after the passage
        (Span("b", 10, 20), True, True),  # the same sentence, in the copy
        (Span("b", 30, 40), True, False),  # elsewhere in the copy
        (Span("c", 110, 120), False, False),  # another document
    ],
)
def test_an_answer_is_held_whole_in_any_place_of_the_text(answer: Span, answers: bool, holds: bool) -> None:
    one = result("a", 100, (110, 120), ("b", 0))
    assert evidence._answers(one, [answer]) is answers
    assert evidence._holds(one, [answer]) is holds


def test_without_evidence_no_answer_is_held() -> None:
    one = result("a", 0, (0, 10))
    one.evidence = None
    assert not evidence._holds(one, [Span("a", 0, 10)])


def test_verdicts_are_counted_by_band(collection: Collection, judged: JudgedSet) -> None:
    record = verdict.measure(collection, judged, verdict._own_bands(judged))
    assert {band: one["questions"] for band, one in record["bands"].items()} == {"answerable": 40, "unanswerable": 12}
    for one in record["bands"].values():
        assert sum(some["value"] for some in one["verdicts"].values()) == pytest.approx(1)
    assert 0.5 < record["auroc"]["unanswerable"]["value"] <= 1
    assert record["auroc"]["all"] == record["auroc"]["unanswerable"]  # there is no other band
    assert len(record["calibration"]["bins"]) == verdict.BINS


def test_errors_of_the_verdict_are_counted_with_and_without_weak_ones() -> None:
    outcomes = [verdict.Outcome(one, 0.5, ()) for one in ("answered", "weak", "weak", "nothing")]
    rejects, accepts = (verdict._band(outcomes, answerable)["errors"] for answerable in (True, False))
    assert {name: one["value"] for name, one in rejects.items()} == {"false_reject": 0.25, "false_reject_or_weak": 0.75}
    assert {name: one["value"] for name, one in accepts.items()} == {"false_accept": 0.25, "false_accept_or_weak": 0.75}


def test_questions_of_all_bands_count_for_the_area_of_all() -> None:
    scores = {"answerable": (0.5, 0.9), "far": (0.1,), "adjacent": (0.7, 0.8)}
    areas = verdict._areas({band: [verdict.Outcome("weak", one, ()) for one in some] for band, some in scores.items()})
    assert {band: one["value"] for band, one in areas.items()} == {
        "far": 1,
        "adjacent": 0.5,
        "all": pytest.approx(4 / 6),  # .9 is above all three, .5 above one
    }


def test_one_answer_that_is_left_makes_a_question_answerable() -> None:
    judgements = (Judgement("both", "x", 1), Judgement("both", "y", 1), Judgement("one", "x", 1))
    questions = (Question("both", "?", None), Question("one", "?", None))
    bands = verdict._split(JudgedSet("s", Path(), questions, judgements, None), frozenset({"x"}))
    assert {band: [one.id for one in some] for band, some in bands.items()} == {"answerable": ["both"], "removed": ["one"]}


def test_ablation_has_every_combination_of_readings(collection: Collection, judged: JudgedSet) -> None:
    found = ablation.measure(collection, judged)["readings"]
    assert len(found) == 7
    assert found["vector + words + tokens"]["nDCG@10"]["difference"]["value"] == 0
    assert all(one["nDCG@10"]["difference"]["value"] < 0 for name, one in found.items() if name != "vector + words + tokens")


def test_speed_tells_every_stage(collection: Collection, judged: JudgedSet) -> None:
    stages = speed.measure(collection, judged)["stages"]
    assert {"encode", "candidates", "read", "maxsim", "rank", "results", "after the encoder", "all"} <= set(stages)
    assert all(0 <= one["p50"] <= one["p95"] <= one["p99"] for one in stages.values())
    assert stages["encode, new lengths"]["p50"] > 0


def test_indexing_is_measured_beside_encode_on_the_same_passages(collection: Collection, judged: JudgedSet) -> None:
    told: list[tuple[int, int]] = []
    found = indexing.measure(collection, lambda _, done, of: told.append((done, of)), rounds=2, passages=2)
    assert found["passages"] >= 4
    assert found["per_second"] > 0 < found["encode_per_second"]
    assert found["ratio"]["low"] <= found["ratio"]["value"] <= found["ratio"]["high"]
    assert told == [(1, 2), (2, 2)]
    groups = indexing.drawn(collection, 2, 2)
    assert not {one.id for one in groups[0][0]} & {one.id for one in groups[1][0]}
    with collection.view() as view:
        texts = [passage.text for one in groups[0][0] for passage in view.snapshot.passages_of(one.id)]
    assert groups[0][1] == texts


def test_the_vector_index_is_measured_with_real_vectors_and_beyond_them(collection: Collection, judged: JudgedSet) -> None:
    found = ann.measure(collection, judged, [30, 500])
    assert (found["passages"], found["dimension"], [one["vectors"] for one in found["sizes"]]) == (40, 384, [30, 500])
    assert [one["recall@10"] for one in found["sizes"]] == [1.0, None], "copies of one vector are no test of recall"
    for one in found["sizes"]:
        assert one["filtered_ms"].keys() == {"0.5", "0.1", "0.01", "0.001"}
        assert 0 < one["ms"]["p50"] <= one["ms"]["p95"]
        assert one["bytes_a_vector"] == pytest.approx(384 / 4 + 8 + 1, abs=0.1)


def test_vectors_beyond_the_real_ones_are_near_copies_of_unit_length() -> None:
    own = np.eye(4, dtype=np.float16)
    keys, rows = next(iter(ann._blocks(own, 9)))
    assert keys.tolist() == list(range(1, 10))
    assert (rows[:4] == own).all()
    assert np.allclose(np.linalg.norm(rows.astype(np.float64), axis=1), 1, atol=1e-3)
    cosines = (rows[4:8].astype(np.float64) * own).sum(axis=1)
    assert (cosines > 0.99).all()
    assert not (rows[4:8] == own).all(axis=1).any()


@pytest.mark.parametrize("sizes", ["", "many", "10,0"])
def test_sizes_that_are_none_are_told(sizes: str) -> None:
    done = CliRunner().invoke(app, ["ann", str(GATE), "--sizes", sizes])
    assert (done.exit_code, done.stderr) == (1, f"error: --sizes {sizes} is no list of sizes; write --sizes 32000,100000\n")


def test_ann_prints_a_table_or_one_json_object(collection: Collection) -> None:
    arguments = ["ann", str(GATE), "--index", str(collection.folder), "--sizes", "40,80"]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["what"] == "ann"
    assert "time and memory" in CliRunner().invoke(app, arguments, env={"COLUMNS": "200"}).stdout


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


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"_id": "q", "corpus_id": "d", "spans": [[3]]}, "line 1: has a span that is not two"),
        ({"_id": "q", "corpus_id": "d", "spans": [[3, 3]]}, "line 1: has a span that is not two"),
        ({"_id": "q", "spans": [[3, 4]]}, 'line 1: has no "corpus_id"'),
        ({"query-id": "q", "paragraph-id": "none", "start": 0, "end": 1}, "line 1: names the paragraph none"),
        ({"corpus_id": "d", "spans": [[3, 4]]}, 'line 1: has no "_id"'),
    ],
)
def test_a_broken_answer_is_named_with_its_place(tmp_path: Path, line: dict[str, Any], message: str) -> None:
    (tmp_path / "answers.jsonl").write_text(json.dumps(line))
    with pytest.raises(EvalError, match=message):
        read_answers(JudgedSet("s", tmp_path, (), (), None), [])


def test_answers_stand_in_the_document_wherever_it_has_their_text(tmp_path: Path) -> None:
    (tmp_path / "answers.jsonl").write_text(
        '{"_id": "text", "corpus_id": "d", "answers": [" a b", "", "none"]}\n'
        '{"_id": "spans", "corpus_id": "d", "answers": ["a b"], "spans": [[2, 3]]}\n'
        '{"query-id": "paragraph", "paragraph-id": "d#1", "start": 1, "end": 2}\n'
    )
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "text": "a b, a b"}\n{"_id": "e", "text": "a b"}\n')
    judged = JudgedSet("s", tmp_path, (), (), {"d": (Paragraph("d#1", "d", 5, 8),)})
    assert read_answers(judged, [tmp_path / "corpus.jsonl"]) == {
        "text": [Span("d", 0, 3), Span("d", 5, 8)],
        "spans": [Span("d", 2, 3)],
        "paragraph": [Span("d", 6, 7)],
    }


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
    one = report["per_question"][0]
    assert set(one) == {"id", "text", "kind", "nDCG@10", "success@1", "recall@100", "MRR", "took_ms", "first"}
    assert [set(some) for some in one["first"]] == [{"document", "start", "end", "score", "text"}] * 3
    records = [
        report,
        evidence.measure(collection, judged, read_answers(judged, [])).as_json(),
        verdict.measure(collection, judged, verdict._own_bands(judged)),
        ablation.measure(collection, judged),
        speed.measure(collection, judged),
        ann.measure(collection, judged, [30, 100]),
    ]
    html = page(json.loads(json.dumps(records)), [report])
    for words in (
        "Retrieval",
        "Evidence",
        "Verdict",
        "Reliability",
        "Readings",
        "Speed",
        "Nearest neighbours",
        "Worst questions",
        "Since the baseline",
    ):
        assert words in html
    assert "src=" not in html
    assert "href=" not in html


def test_every_command_and_option_is_in_the_documentation() -> None:
    text = (Path(gate.__file__).parents[1] / "docs" / "evaluation.md").read_text(encoding="utf-8")
    commands = get_command(app).commands  # type: ignore[attr-defined]  # of the group that several commands make
    assert [name for name in commands if f"`python -m eval {name} " not in text] == []
    options = {option for one in commands.values() for option in _options(one)}
    assert [option for option in sorted(options) if f"| `{option}" not in text] == []


def _options(command: Any) -> list[str]:
    return [name for parameter in command.params for name in parameter.opts if name.startswith("--")]


# --- pure parts -----------------------------------------------------------------------------------------------------------


def test_a_page_shows_nothing_that_is_not_escaped() -> None:
    first = {"document": "<u>", "start": 0, "end": 3, "score": 0.5, "text": "<em>"}
    question = {"id": "1", "text": "<script>", "kind": "<s>", "nDCG@10": 0.1, "first": [first]}
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
    assert not any(tag in html for tag in ("<script>", "<em>", "<i>", "<s>", "<u>"))


def test_a_question_for_which_nothing_was_returned_is_among_the_worst() -> None:
    none = {"value": 0.0, "low": 0.0, "high": 0.0}
    record = {"what": "retrieval", "set": "s", "questions": 1, "passages": 1}
    record["measures"] = dict.fromkeys(("nDCG@10", "success@1", "recall@100", "MRR"), none)
    record["per_question"] = [{"id": "1", "text": "Where?", "kind": None, "nDCG@10": 0.0, "first": []}]
    assert "<b>Where?</b>" in page([record])
    assert "nothing was returned" in page([record])


def test_a_page_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "speed.json").write_text('{"what": "speed", "set": "s", "passages": 1, "stages": {}}')
    done = CliRunner().invoke(app, ["report", str(tmp_path / "none" / "out.html"), str(tmp_path / "speed.json")])
    assert done.exit_code == 1
    assert "out.html cannot be written: No such file or directory" in done.output


@pytest.mark.parametrize("content", ["[]", '{"set": "s"}', "{"])
def test_what_is_no_outcome_is_not_reported(tmp_path: Path, content: str) -> None:
    (tmp_path / "some.json").write_text(content)
    done = CliRunner().invoke(app, ["report", str(tmp_path / "out.html"), str(tmp_path / "some.json")])
    assert done.exit_code == 1
    assert done.output.startswith(f"error: {tmp_path / 'some.json'} ")
    assert not (tmp_path / "out.html").exists()


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
    drawn = growth({"<p50>": [(10, 0.0), (1000, 2.0)], "exact": [(10, 1.0)]}, "vectors", "ms")
    assert drawn.count("<circle") == 3
    assert "&lt;p50&gt;" in drawn
    assert 'points="40.0,216.0 330.0,16.0"' in drawn, "from the lower left corner to the upper right one"
    assert growth({"p50": [(10, 0.0)]}, "vectors", "ms").count("<circle") == 1


def test_a_question_that_found_nothing_does_not_stop_the_fit() -> None:
    good = Judged(np.array([[1.0] * 8, [0.0] * 8]), np.array([True, False]))
    none = Judged(np.empty((0, 8)), np.empty(0, dtype=bool))
    sets = [calibrate.Asked(name, frozenset({name}), [good, none], [good, none]) for name in ("a", "b")]
    assert set(calibrate.fit(sets).constants) >= {"bias", "nothing", "answered", "maxsim"}
