"""``passages eval``: an index measured on its users' own questions, and two indexes compared on them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.stats import permutation_test
from typer.testing import CliRunner

import indexer
from eval import own
from eval.__main__ import app
from eval.compare import needed, randomised
from eval.errors import EvalError
from eval.indexes import index
from eval.measures import ndcg, per_question
from eval.outcomes import Outcome, _found, measures
from eval.own import Side, decide
from eval.questions import OwnQuestion, Unit, from_file, from_judgements
from eval.rates import share
from eval.sets import Judgement as Graded
from eval.sets import read_set
from indexer import Collection, Document, JudgedPassage, Judgement, Judgements, Query
from indexer.encoder import Encoder
from indexer.sentences import Span

GATE = Path(own.__file__).with_name("gate")
ARCHIVE = "The archive keeps reports for ten years. Letters are kept for ever."
QUESTION = "How long are reports kept?"


# --- pure parts -------------------------------------------------------------------------------------------------------


def test_ndcg_is_that_of_ir_measures() -> None:
    random = np.random.default_rng(1)
    for number in range(20):
        found = (random.random(30) < 0.2).tolist()
        relevant = sum(found) + number % 3 or 1
        units = [f"u{rank}" if one else f"n{rank}" for rank, one in enumerate(found)]
        wanted = [unit for unit in units if unit.startswith("u")] + [f"m{one}" for one in range(relevant - sum(found))]
        judged = [Graded("q", unit, 1) for unit in wanted]
        assert ndcg(found, relevant) == pytest.approx(per_question({"q": units}, judged)["nDCG@10"][0])


def test_the_randomisation_test_is_the_exact_one_of_scipy() -> None:
    random = np.random.default_rng(2)
    for count in (2, 5, 9, 14):
        differences = np.round(random.normal(0.1, 0.2, count), 2)
        expected = permutation_test(
            (differences, np.zeros(count)), lambda a, b, axis: (a - b).mean(axis=axis), permutation_type="samples",
            vectorized=True, n_resamples=np.inf,
        ).pvalue  # fmt: skip
        assert randomised(differences) == pytest.approx(expected)
        assert randomised(np.append(differences, [0.0] * 200)) == pytest.approx(expected)  # which tell nothing
    assert randomised(np.full(5, 0.1)) == 2 / 2**5  # so five questions never tell
    assert randomised(np.zeros(9)) == 1


def test_drawn_flips_come_close_to_all_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    differences = np.random.default_rng(3).normal(0.1, 0.2, 12)
    exact = randomised(differences)
    monkeypatch.setattr("eval.compare._ENUMERATED", 0)
    assert randomised(differences) == pytest.approx(exact, abs=0.02)
    assert randomised(differences) == randomised(differences)


def test_so_many_questions_show_a_difference_in_four_of_five_samples() -> None:
    assert needed(np.array([0.3, -0.1])) == int(np.ceil(7.849 * 0.08 / 0.01))  # variance .08, mean .1
    assert needed(np.array([0.1])) is None
    assert needed(np.array([0.1, -0.1])) is None
    random = np.random.default_rng(4)
    count = needed(np.tile([0.35, -0.15], 500))
    assert count is not None
    shown = [randomised(random.choice([0.35, -0.15], count)) <= 0.05 for _ in range(300)]
    assert 0.7 < np.mean(shown) < 0.9


def test_an_interval_is_not_narrow_for_a_dozen_questions() -> None:
    estimate = share(12.0, 12)
    assert (estimate.value, estimate.high) == (1, 1)
    assert estimate.low == pytest.approx(0.757, abs=0.001)  # Wilson; a bootstrap would say 1 to 1
    mixed = share(sum([0.5, 0.63, 1.0]), 3)
    assert mixed.low < 0.4
    assert mixed.high > 0.9


def side(name: str, values: list[float], verdict: str = "answered") -> Side:
    asked = [OwnQuestion(str(at), answers=(Unit(None, "d"),)) for at in range(len(values))]
    return Side(name, "m", 1, [Outcome(one, verdict, value) for one, value in zip(asked, values, strict=True)])


def test_the_better_index_is_named_only_where_chance_does_not_explain_it() -> None:
    decision = decide(side("old", [0.2] * 8), side("new", [0.9] * 8))
    assert (decision.serve, decision.questions, decision.needed) == ("new", 8, None)
    assert decision.says.startswith("Serve new: over 8 answerable questions nDCG@10 differs by 0.700 in its favour")
    assert decide(side("old", [0.9] * 8), side("new", [0.2] * 8)).serve == "old"

    few = decide(side("old", [0.2] * 5), side("new", [0.9] * 5))
    assert (few.serve, few.needed) == (None, 6)  # five questions never tell, whatever they say
    mixed = decide(side("old", [0.5, 1.0] * 10), side("new", [1.0, 0.6] * 10))
    assert mixed.serve is None
    assert mixed.needed is not None
    assert mixed.needed > 20
    assert f"about {mixed.needed:,} judged questions will show it" in mixed.says
    assert "Judge more questions" in decide(side("old", [1.0]), side("new", [1.0])).says
    assert "no question has an answer" in decide(side("old", []), side("new", [])).says


def test_a_question_neither_steers_the_terminal_nor_is_taken_for_markup(capsys: pytest.CaptureFixture[str]) -> None:
    asked = OwnQuestion("Where is the :key: of [/red]?\x1b[2J", answers=(Unit(document="a\x1b]8;;x"),))
    own._show([Side("in[/x]dex", "m", 1, [Outcome(asked)])], ["\x9bleft"], None, 5)
    said = capsys.readouterr().out
    assert "Where is the :key: of [/red]?␛[2J" in said
    assert "in[/x]dex" in said
    assert [char for char in said if not char.isprintable() and char != "\n"] == []
    assert "━" not in said  # nothing is drawn where the output is no terminal


def test_opposite_verdicts_are_told_with_the_decision() -> None:
    says = decide(side("old", [0.2] * 8), side("new", [0.9] * 8, "nothing")).says
    assert "Of 8 questions, the verdict of old is the opposite of the truth for 0, that of new for 8." in says
    assert "verdict" not in decide(side("old", [0.2] * 8, "nothing"), side("new", [0.9] * 8, "uncalibrated")).says


def test_a_model_that_is_not_calibrated_has_no_errors_of_the_verdict() -> None:
    measured = measures(side("tiny", [0.5] * 3, "uncalibrated").outcomes)
    assert measured["false_reject"] == (3, None)
    assert measured["nDCG@10"][1] is not None


def test_each_thing_that_answers_is_credited_once_at_its_first_passage() -> None:
    """As eval.credit does: further passages of it take no rank, and one passage may hold two of them."""
    answers: list[Any] = [SimpleNamespace(is_in=lambda one, here=here: one in here) for here in ("ab", "d", "d")]
    results: list[Any] = ["a", "b", "c", "d"]
    assert _found(results, answers) == [True, False, True, True]
    assert _found(results[2:3], answers) == [False]


def test_nothing_is_the_right_verdict_where_what_answers_is_gone() -> None:
    one = Outcome(OwnQuestion("?", answers=(Unit(None, "d"),)), "nothing")
    assert one.wrong_verdict
    assert not replace(one, gone=True).wrong_verdict
    assert measures([replace(one, gone=True)])["false_reject"][0] == 0


def said(question: str, verdict: Any, text: str = "", **more: Any) -> Judgement:
    passage = JudgedPassage("p", "d", "", 0, len(text), text) if text else None
    return Judgement(question, verdict, passage, **more)


def test_judgements_of_one_question_are_one_question() -> None:
    kept = [
        said("Who?", "answers", "a"), said(" Who? ", "answers", "b"), said("Who?", "does_not", "c"), said("Who?", "nothing",
        filter={"x": 1}), said("Why?", "does_not", "a"),
    ]  # fmt: skip
    who, filtered = from_judgements(kept)
    texts = [[unit.passage and unit.passage.text for unit in some] for some in (who.answers, who.rejected)]
    assert (sorted(map(str, texts[0])), texts[1]) == (["a", "b"], ["c"])
    assert (filtered.filter, filtered.answers) == ({"x": 1}, ())  # and nothing is known of "Why?"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"answers": ["x"]}', 'has no "question"'),
        ('{"question": "Who?", "answers": "x"}', "not a list of texts"),
        ('{"question": "Who?", "document": 5}', "not text"),
        ('{"question": "Who?", "filter": []}', None),
        ('{"question": "Who?", "filter": [1]}', "not an object"),
        ("", "holds no question"),
    ],
)
def test_a_file_of_questions_is_read_or_the_line_is_named(tmp_path: Path, line: str, says: str | None) -> None:
    file = tmp_path / "questions.jsonl"
    file.write_text(f"{line}\n", encoding="utf-8")
    if says is None:
        assert from_file(file) == [OwnQuestion("Who?")]
        return
    with pytest.raises(EvalError, match=says):
        from_file(file)


# --- over collections -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


@pytest.fixture(scope="module")
def good(work: Path, encoder: Encoder) -> Iterator[Collection]:
    """The gate's paragraphs, and its questions judged as a person would: 40 that a passage answers, 12 that nothing does."""
    with Collection(work / "good", create=True, encoder=encoder) as collection:
        index(collection, [GATE / "corpus.jsonl"])
        judge(collection)
        yield collection


@pytest.fixture(scope="module")
def half(work: Path, encoder: Encoder) -> Iterator[Collection]:
    """Every second of them alone."""
    corpus = work / "corpus.jsonl"
    corpus.write_text("".join((GATE / "corpus.jsonl").read_text("utf-8").splitlines(keepends=True)[::2]), encoding="utf-8")
    with Collection(work / "half", create=True, encoder=encoder) as collection:
        index(collection, [corpus])
        yield collection


def judge(collection: Collection) -> None:
    judged, store = read_set(GATE), Judgements(collection.folder)
    for question in judged.questions:
        units = judged.relevant.get(question.id)
        if units is None:
            store.say(Judgement(question.text, "nothing"))
            continue
        with collection.view() as view:
            (passage,) = view.snapshot.passages_of(*units)
        seen = indexer.judged(collection, Query(question.text), passage.id)
        store.say(Judgement(question.text, "answers", seen))


def asked(collection: Collection) -> list[OwnQuestion]:
    return from_judgements(Judgements(collection.folder).read().judgements)


def measured(collection: Collection, questions: list[OwnQuestion]) -> dict[str, float]:
    (one,), _ = own.measure([collection], questions)
    return {name: value.value for name, (_, value) in measures(one.outcomes).items() if value}


def test_own_questions_give_what_the_set_gives(good: Collection) -> None:
    from eval import evidence, retrieval, verdict
    from eval.answers import read_answers

    judged = read_set(GATE)
    values = measured(good, asked(good))
    expected = retrieval.measure(good, judged).measures
    assert values["nDCG@10"] == pytest.approx(expected["nDCG@10"].value)
    assert values["success@1"] == pytest.approx(expected["success@1"].value)
    assert values["evidence"] == evidence.measure(good, judged, read_answers(judged, [])).held.value
    bands = verdict.measure(good, judged, verdict._own_bands(judged))["bands"]
    assert values["false_reject"] == pytest.approx(bands["answerable"]["errors"]["false_reject"]["value"])
    assert values["false_accept"] == pytest.approx(bands["unanswerable"]["errors"]["false_accept"]["value"])


def test_an_answered_question_that_nothing_answers_is_a_false_accept(good: Collection) -> None:
    sure = next(one.question for one in own.measure([good], asked(good))[0][0].outcomes if one.verdict == "answered")
    values = measured(good, [replace(sure, answers=())])
    assert values["false_accept"] == 1
    assert np.isnan(values["nDCG@10"])


def test_answers_of_a_file_are_found_by_document_by_text_and_by_both(good: Collection, tmp_path: Path) -> None:
    lines = [
        {"question": "At which buoy do pilots board according to notice 417/B?", "answers": ["BUOY  Kilo-9"]},
        {"question": "Which quay is closed from 3 March?", "document": "n1"},
        {"question": "Which quay is closed to vessels over 60 metres?", "document": "n1", "answers": ["no such words"]},
        {"question": "Who won the cup?", "answers": []},
    ]
    file = tmp_path / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    (one,), left_out = own.measure([good], from_file(file))
    assert [(outcome.rank, outcome.marked) for outcome in one.outcomes] == [(1, True), (1, None), (None, None), (None, None)]
    assert [outcome.answerable for outcome in one.outcomes] == [True, True, True, False]
    assert left_out == []


def test_a_question_outlasts_edits_and_is_left_out_when_its_answer_is_gone(collection: Collection) -> None:
    indexer.put(collection, Document("d", "", f"An opening.\n\n{ARCHIVE}"))
    (best,) = indexer.search(collection, Query(QUESTION, limit=1)).results
    judged = indexer.judged(collection, Query(QUESTION), best.passage.id)
    assert judged is not None
    question = OwnQuestion(QUESTION, answers=(Unit(judged),))
    for text in (ARCHIVE, f"Much was said before.\n\n{ARCHIVE.replace('for ever', 'for good')}"):
        indexer.put(collection, Document("d", "", text))
        (one,), left_out = own.measure([collection], [question])
        assert (one.outcomes[0].rank, one.outcomes[0].marked, left_out) == (1, True, [])

    indexer.put(collection, Document("d", "", ARCHIVE))
    letters = replace(judged, start=0, end=len(ARCHIVE), text=ARCHIVE, evidence=Span(ARCHIVE.index("Letters"), len(ARCHIVE)))
    (one,), _ = own.measure([collection], [OwnQuestion(QUESTION, answers=(Unit(letters),))])
    assert (one.outcomes[0].rank, one.outcomes[0].marked) == (1, False)  # another sentence is marked than was

    indexer.put(collection, Document("d", "", "Nothing of it is left."))
    with pytest.raises(EvalError, match=r"none of 1 questions can be measured .*is in the index no more"):
        own.measure([collection], [question])


def test_what_stands_in_the_other_index_alone_counts_against_the_one_that_lacks_it(good: Collection, half: Collection) -> None:
    (best, worse), left_out = own.measure([good, half], asked(good))
    assert left_out == []
    assert sum(one.gone for one in worse.outcomes) == 20
    assert (len(best.outcomes), len(worse.outcomes)) == (52, 52)
    decision = decide(best, worse)
    assert decision.serve == best.name
    assert decision.difference < -0.3
    assert decision.p < 0.001


def test_a_question_that_one_index_cannot_be_asked_is_left_out_with_the_reason(good: Collection) -> None:
    long = OwnQuestion("word " * 700, answers=(Unit(None, "n1"),))
    (one,), left_out = own.measure([good], [long, *asked(good)[:1]])
    assert len(one.outcomes) == 1
    assert "a question was refused: " in left_out[0]


# --- the command ------------------------------------------------------------------------------------------------------


def test_the_table_the_decision_and_the_worst_questions_are_shown(good: Collection, half: Collection) -> None:
    done = CliRunner().invoke(app, ["own", str(good.folder), "--against", str(half.folder), "--worst", "1"])
    assert done.exit_code == 0, done.output
    shown = " ".join(done.output.split())
    assert "Answerable questions: 40. Read the intervals, not the figures, and judge some 50 at least." in shown
    assert f"Serve {good.folder}: over 40 answerable questions nDCG@10 differs by 0." in shown
    assert f"{half.folder} puts first what nobody has judged for 20 questions" in shown
    assert shown.count("Worst questions of ") == 2
    assert "what answers is not in this index; verdict: " in shown
    assert shown.count(" wanted ") == 2


def test_a_model_that_is_not_here_is_told_before_anything_is_asked(good: Collection, half: Collection, work: Path) -> None:
    (work / "model").mkdir(exist_ok=True)
    against = ["--against", str(half.folder), "--against-model", str(work / "model")]
    done = CliRunner().invoke(app, ["own", str(good.folder), *against])
    assert (done.exit_code, done.stdout) == (1, "")
    assert "; or name it with --against-model" in done.stderr
    assert "asking" not in done.stderr


def test_an_index_without_judged_questions_says_how_to_judge(half: Collection, work: Path) -> None:
    done = CliRunner().invoke(app, ["own", str(half.folder)])
    assert (done.exit_code, len(done.stderr.splitlines())) == (1, 1)
    assert "press “This answers it”" in done.stderr
    nowhere = CliRunner().invoke(app, ["own", str(half.folder), "--questions", str(work / "none.jsonl")])
    assert "cannot be read" in nowhere.stderr
    shutil.rmtree(work / "empty", ignore_errors=True)
    nothing = CliRunner().invoke(app, ["own", str(work / "empty")])
    assert (nothing.exit_code, (work / "empty").exists()) == (1, False)
