"""Retrieval measured on judged sets: reading them, crediting passages, the measures, and whole runs as a user starts them."""

from __future__ import annotations

import gzip
import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import indexer
from eval import indexes, retrieval
from eval.corpus import SEED_TITLE, corpus_files, text_lengths
from eval.credit import Hit, by_document, by_paragraph, counts_for, ranking
from eval.errors import EvalError
from eval.measures import DEPTH, estimate, per_question
from eval.sets import Judgement, Paragraph, Question, read_set
from indexer import DEFAULT_MODEL, Collection

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("PASSAGES_DATA", ROOT.parent / "shared" / "data"))

# Eight subjects that share no words, so that no ranking worth the name confuses them.
TEXTS = {
    "bread": "Knead the dough, let it rise for an hour and bake the loaf in a hot oven.",
    "glacier": "Glaciers are rivers of ice that grind valleys out of mountain rock over thousands of years.",
    "violin": "A violin has four strings, tuned in fifths, and is played with a bow of horsehair.",
    "bees": "Honey bees tell each other where flowers are with a dance inside the hive.",
    "moon": "The first people walked on the moon in July 1969, when Apollo 11 landed there.",
    "chess": "In chess the bishop moves along diagonals and the rook along ranks and files.",
    "malaria": "Malaria is caused by parasites that are spread to people through bites of mosquitoes.",
    "bridge": "A suspension bridge hangs its roadway from cables strung between tall towers.",
}
QUESTIONS = {
    "q1": ("When did astronauts land on the lunar surface?", "fact", {"moon": 2}),
    "q2": ("Which insects carry the illness malaria?", "fact", {"malaria": 1}),
    "q3": ("How does one make a loaf of bread?", "paraphrase", {"bread": 1, "bees": 0}),
    "q4": ("Who won the election?", "far", {}),
}


def write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records), encoding="utf-8")


def write_qrels(path: Path, judgements: Iterable[Judgement]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{unit}\t{grade}\n" for q, unit, grade in judgements))


@pytest.fixture
def beir(tmp_path: Path) -> Path:
    """The eight documents and four questions as a set in BEIR layout."""
    folder = tmp_path / "sets" / "subjects"
    write_lines(folder / "corpus.jsonl", ({"_id": name, "title": "", "text": text} for name, text in TEXTS.items()))
    write_lines(folder / "queries.jsonl", ({"_id": q, "text": text, "kind": kind} for q, (text, kind, _) in QUESTIONS.items()))
    judged = (Judgement(q, name, grade) for q, (_, _, grades) in QUESTIONS.items() for name, grade in grades.items())
    write_qrels(folder / "qrels" / "test.tsv", judged)
    return folder


@pytest.fixture
def by_paragraphs(tmp_path: Path) -> Path:
    """A set judged by paragraph: one document with all eight texts lies in a neighbouring folder, the seed in another."""
    long, seed = "\n\n".join(TEXTS.values()), "The ministers met in Rome.\r\n\r\nThey praised the border guards of Iraq."
    write_lines(tmp_path / "releases" / "corpus.jsonl", [{"_id": "long", "title": "Subjects", "text": long}])
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "note.txt").write_bytes(seed.encode())
    paragraphs = [
        {"id": f"{document}#{number}", "release": document, "start": whole.index(part), "end": whole.index(part) + len(part)}
        for document, whole, gap in (("long", long, "\n\n"), ("seed", seed, "\r\n\r\n"))
        for number, part in enumerate(whole.split(gap))
    ]
    folder = tmp_path / "questions"
    write_lines(
        folder / "queries.jsonl", [{"_id": "q1", "text": QUESTIONS["q1"][0]}, {"_id": "q2", "text": "Where was the meeting?"}]
    )
    write_qrels(folder / "qrels.tsv", [Judgement("q1", "long#4", 1), Judgement("q2", "seed#0", 1)])
    with gzip.open(folder / "paragraphs.jsonl.gz", "wt") as file:
        file.writelines(json.dumps(one) + "\n" for one in paragraphs)
    return folder


def evaluate(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "eval", *map(str, arguments)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=240, check=False
    )


# Measures


def hand_ndcg(units: Sequence[str], grades: Mapping[str, int]) -> float:
    """Järvelin & Kekäläinen 2002, the grade itself as the gain, at rank 10."""
    ideal = sum(grade / math.log2(rank + 1) for rank, grade in enumerate(sorted(grades.values(), reverse=True)[:10], 1))
    return sum(grades.get(unit, 0) / math.log2(rank + 1) for rank, unit in enumerate(units[:10], 1)) / ideal


def test_measures_are_those_a_reader_computes_by_hand() -> None:
    rankings = {"a": ["y", "x"], "b": ["p", "q", "x"], "c": []}
    judgements = [Judgement("a", "x", 2), Judgement("a", "y", 1), Judgement("b", "x", 1), Judgement("c", "x", 1)]
    values = per_question(rankings, judgements)
    # a: (1/1 + 2/log2 3) / (2/1 + 1/log2 3); b: (1/log2 4) / 1
    assert values["nDCG@10"] == pytest.approx([(1 + 1.26186) / (2 + 0.63093), 0.5, 0], abs=1e-5)
    assert values["MRR"] == pytest.approx([1, 1 / 3, 0])
    assert values["success@1"].tolist() == [1, 0, 0]
    assert values["recall@100"].tolist() == [1, 1, 0]


def test_ndcg_is_the_textbook_formula_for_graded_judgements() -> None:
    dice = random.Random(3)  # noqa: S311
    units = [f"d{number}" for number in range(30)]
    rankings = {f"q{number}": dice.sample(units, 20) for number in range(50)}
    grades = {question: {unit: dice.randint(0, 4) for unit in dice.sample(units, 8)} for question in rankings}
    grades = {question: some | {"d0": 1} for question, some in grades.items()}
    judgements = [Judgement(question, unit, grade) for question, some in grades.items() for unit, grade in some.items()]
    expected = [hand_ndcg(rankings[question], grades[question]) for question in rankings]
    assert per_question(rankings, judgements)["nDCG@10"] == pytest.approx(expected)


def test_nothing_below_rank_100_is_counted() -> None:
    units = [f"d{rank}" for rank in range(1, 103)]
    values = per_question({"last": units, "below": units}, [Judgement("last", "d100", 1), Judgement("below", "d101", 1)])
    assert values["recall@100"].tolist() == [1, 0]
    assert values["MRR"] == pytest.approx([0.01, 0])


def test_judgements_of_questions_that_were_not_asked_change_nothing() -> None:
    values = per_question({"a": ["x"]}, [Judgement("a", "x", 1), Judgement("not asked", "x", 1)])
    assert all(some.tolist() == [1.0] for some in values.values())


def test_the_interval_of_equal_values_is_the_value() -> None:
    assert estimate(np.full(7, 0.25)) == (0.25, 0.25, 0.25)


def test_the_interval_of_two_opposite_values_is_all_that_lies_between() -> None:
    # A resample is (0,0) or (1,1) with probability 1/4 each: more than 2.5 % at either end.
    assert estimate(np.array([0.0, 1.0])) == (0.5, 0.0, 1.0)


def test_the_interval_agrees_with_the_normal_approximation_of_a_share() -> None:
    share = np.repeat([0.0, 1.0], [100, 300])
    value, low, high = estimate(share)
    half = 1.96 * math.sqrt(0.75 * 0.25 / 400)
    assert value == 0.75
    assert (low, high) == pytest.approx((0.75 - half, 0.75 + half), abs=0.006)


def test_the_interval_is_the_same_every_time_and_another_with_another_seed() -> None:
    values = np.random.default_rng(1).random(50)
    assert estimate(values) == estimate(values)
    assert estimate(values) != estimate(values, seed=1)


def test_no_questions_have_no_measure() -> None:
    assert all(math.isnan(part) for part in estimate(np.array([])))


# Credit

PARAGRAPHS = {"d": (Paragraph("d#0", "d", 0, 10), Paragraph("d#1", "d", 12, 32), Paragraph("d#2", "d", 34, 38))}


@pytest.mark.parametrize(
    ("start", "end", "counts"),
    [
        (12, 32, True),  # the paragraph itself
        (0, 40, True),  # more than it
        (0, 22, True),  # exactly half
        (0, 21, False),  # one character less
        (14, 15, True),  # inside
        (12, 13, True),  # inside, at its border
        (31, 33, False),  # over its border, by one character
        (32, 40, False),  # beside it
    ],
)
def test_a_passage_counts_for_a_paragraph_that_it_covers_by_half_or_lies_in(start: int, end: int, counts: bool) -> None:
    assert counts_for(Hit("d", start, end), PARAGRAPHS["d"][1]) is counts


def test_a_passage_counts_for_its_document_once() -> None:
    hits = [Hit("b", 0, 5), Hit("a", 0, 5), Hit("b", 6, 9), Hit("c", 0, 5)]
    assert ranking(hits, by_document) == ["b", "a", "c"]


def test_a_passage_over_several_paragraphs_is_credited_for_each_in_the_order_of_the_text() -> None:
    assert ranking([Hit("d", 12, 38), Hit("d", 0, 10)], by_paragraph(PARAGRAPHS)) == ["d#1", "d#2", "d#0"]


def test_a_paragraph_is_credited_at_its_first_passage_only() -> None:
    hits = [Hit("d", 12, 20), Hit("d", 20, 32), Hit("d", 0, 32)]
    assert ranking(hits, by_paragraph(PARAGRAPHS)) == ["d#1", "d#0"]


def test_a_passage_that_counts_for_no_paragraph_takes_a_rank() -> None:
    hits = [Hit("other", 0, 9), Hit("d", 10, 12), Hit("d", 0, 10)]
    assert ranking(hits, by_paragraph(PARAGRAPHS)).index("d#0") == 2


# Reading a set


def test_a_set_is_read_with_its_kinds_and_what_it_does_not_answer(beir: Path) -> None:
    judged = read_set(beir)
    assert judged.name == "subjects"
    assert judged.questions[0] == Question("q1", QUESTIONS["q1"][0], "fact")
    assert judged.judgements[0] == Judgement("q1", "moon", 2)
    assert [one.id for one in judged.answerable] == ["q1", "q2", "q3"]  # q4 has no judgement
    assert judged.paragraphs is None


def test_a_judgement_of_grade_0_makes_no_question_answerable(beir: Path) -> None:
    write_qrels(beir / "qrels" / "test.tsv", [Judgement("q1", "moon", 0), Judgement("q2", "malaria", 1)])
    assert [one.id for one in read_set(beir).answerable] == ["q2"]


def test_a_line_separator_inside_a_question_does_not_break_its_line(beir: Path) -> None:
    write_lines(beir / "queries.jsonl", [{"_id": q, "text": "one\u2028two"} for q in QUESTIONS])
    assert {one.text for one in read_set(beir).questions} == {"one\u2028two"}


def test_gzipped_paragraphs_are_read_in_the_order_of_the_text(by_paragraphs: Path) -> None:
    paragraphs = read_set(by_paragraphs).paragraphs
    assert paragraphs is not None
    assert [one.id for one in paragraphs["long"]] == [f"long#{number}" for number in range(8)]
    assert paragraphs["seed"][1] == Paragraph("seed#1", "seed", 30, 69)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("queries.jsonl", None, "has no queries.jsonl"),
        ("qrels/test.tsv", None, "has no qrels/test.tsv or qrels.tsv"),
        ("queries.jsonl", '{"_id": "q1", "text": "a"}\n{"_id": ', "queries.jsonl, line 2: is not JSON"),
        ("queries.jsonl", "[1]\n", "line 1: is not a JSON object"),
        ("queries.jsonl", '{"text": "a"}\n', 'line 1: has no "_id"'),
        ("queries.jsonl", '{"_id": "q1", "text": " "}\n', 'line 1: has no "text"'),
        (
            "queries.jsonl",
            '{"_id": "q1", "text": "a"}\n\n{"_id": "q1", "text": "b"}\n',
            "line 3: the question q1 is there twice",
        ),
        ("qrels/test.tsv", "q1\tmoon\t1\n", "line 1: is a judgement, not a header"),
        ("qrels/test.tsv", "q\td\ts\nq1 moon 1\n", "test.tsv, line 2: is not a question, a document and a whole number"),
        ("qrels/test.tsv", "q\td\ts\nq1\tmoon\thigh\n", "line 2: is not a question, a document and a whole number"),
        ("qrels/test.tsv", "q\td\ts\nq9\tmoon\t1\n", "line 2: names the question q9, which queries.jsonl lacks"),
        ("qrels/test.tsv", "q\td\ts\nq1\tmoon\t1\nq1\tmoon\t2\n", "line 3: judges moon for q1 a second time"),
        ("qrels/test.tsv", "q\td\ts\nq1\tmoon\t0\n", "has no question with a relevant judgement"),
        ("paragraphs.jsonl", '{"id": "moon#0", "document": "moon", "start": 5, "end": 5}\n', 'line 1: needs "start" and "end"'),
        (
            "paragraphs.jsonl",
            '{"id": "moon#0", "document": "moon", "start": 0, "end": 5}\n',
            "names the paragraph moon, which the paragraphs file lacks",
        ),
        ("paragraphs.jsonl.gz", "not gzip", "paragraphs.jsonl.gz cannot be read"),
    ],
)
def test_what_is_missing_or_broken_is_named_with_its_place(beir: Path, file: str, content: str | None, message: str) -> None:
    if content is None:
        (beir / file).unlink()
    else:
        (beir / file).write_text(content)
    with pytest.raises(EvalError) as raised:
        read_set(beir)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_text_that_is_not_utf_8_is_named_with_its_place(beir: Path) -> None:
    (beir / "queries.jsonl").write_bytes(b'{"_id": "q1", "text": "caf\xe9"}\n')
    with pytest.raises(EvalError, match="line 1: is not UTF-8"):
        read_set(beir)


# Its documents


def test_documents_of_a_set_judged_by_document_are_never_guessed_from_its_neighbours(beir: Path, tmp_path: Path) -> None:
    beir.with_name("other").mkdir()
    (beir / "corpus.jsonl").rename(beir.with_name("other") / "corpus.jsonl")
    with pytest.raises(EvalError, match=r"has no corpus\.jsonl"):
        corpus_files(read_set(beir), [], tmp_path)


def test_a_judged_document_that_no_corpus_holds_is_an_error(beir: Path, tmp_path: Path) -> None:
    write_qrels(beir / "qrels" / "test.tsv", [Judgement("q1", "sun", 1), Judgement("q2", "malaria", 1)])
    with pytest.raises(EvalError, match=r"judges 1 documents that no corpus holds \(sun\)"):
        corpus_files(read_set(beir), [], tmp_path)


def test_named_files_and_folders_are_searched_beside_the_set(beir: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "more" / "one.jsonl", [{"id": 1, "text": "a"}])
    write_lines(tmp_path / "two.jsonl", [{"id": "x", "text": "b"}])
    files = corpus_files(read_set(beir), [tmp_path / "more", tmp_path / "two.jsonl"], tmp_path)
    assert files == [beir / "corpus.jsonl", tmp_path / "more" / "one.jsonl", tmp_path / "two.jsonl"]


@pytest.mark.parametrize("name", ["nowhere", "nowhere.jsonl", "empty"])
def test_a_named_corpus_that_holds_nothing_is_an_error(beir: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(EvalError, match=name):
        corpus_files(read_set(beir), [tmp_path / name], tmp_path)


def test_documents_of_paragraphs_are_found_beside_the_set_and_the_seed_verbatim(by_paragraphs: Path, tmp_path: Path) -> None:
    write_lines(tmp_path / "unrelated" / "corpus.jsonl", [{"_id": "x", "text": "b"}])
    judged, work = read_set(by_paragraphs), tmp_path / "work"
    files = corpus_files(judged, [], work)
    assert files == [tmp_path.resolve() / "releases" / "corpus.jsonl", work / "eval-seed.jsonl"]
    seed = json.loads(files[1].read_text())
    original = (tmp_path / "seed" / "note.txt").read_bytes().decode()
    assert seed == {"_id": "seed", "title": SEED_TITLE, "text": original}
    before = files[1].stat()
    corpus_files(judged, [], work)
    assert files[1].stat().st_ctime_ns == before.st_ctime_ns  # untouched, so that a sync sees no change


def test_a_paragraph_beyond_its_document_is_an_error(by_paragraphs: Path, tmp_path: Path) -> None:
    corpus = tmp_path / "releases" / "corpus.jsonl"
    text = json.loads(corpus.read_text())["text"]
    write_lines(corpus, [{"_id": "long", "text": text[:-1]}])
    with pytest.raises(EvalError, match=f"long#7 ends at character {len(text)}, its document at {len(text) - 1}"):
        corpus_files(read_set(by_paragraphs), [], tmp_path / "work")


def test_lengths_count_characters_not_bytes(tmp_path: Path) -> None:
    write_lines(tmp_path / "c.jsonl", [{"_id": "a", "text": "Łódź"}, {"id": 7, "text": "𝄞"}])
    assert text_lengths(tmp_path / "c.jsonl") == {"a": 4, "7": 1}


# Asking

FakeSearch = Callable[[Any, indexer.Query], SimpleNamespace]


def fake_search(documents: Sequence[str], asked: list[int]) -> FakeSearch:
    """A search that returns one passage of each of ``documents``, in that order, and notes the offsets asked for."""

    def search(_: Any, query: indexer.Query) -> SimpleNamespace:
        asked.append(query.offset)
        page = list(enumerate(documents))[query.offset : query.offset + query.limit]
        passages = [SimpleNamespace(document=SimpleNamespace(id=name), start=at, end=at + 1) for at, name in page]
        results = [SimpleNamespace(passage=one, also_in=()) for one in passages]
        return SimpleNamespace(took_ms=1.0 + query.offset, results=results)

    return search


@pytest.mark.parametrize(
    ("documents", "offsets", "units"),
    [
        ([f"d{n}" for n in range(500)], [0], DEPTH),  # a page of distinct documents is enough
        (["same"] * 150 + [f"d{n}" for n in range(500)], [0, 100, 200], DEPTH),  # 1, then 51, then 151 of them
        (["same"] * 120, [0, 100], 1),  # no more passages
        (["same"] * 5000, list(range(0, 1000, 100)), 1),  # as far down as a question can reach
    ],
)
def test_pages_are_asked_for_until_a_hundred_documents_are_ranked(
    monkeypatch: pytest.MonkeyPatch, documents: list[str], offsets: list[int], units: int
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(indexer, "search", fake_search(documents, asked))
    outcome = retrieval.ask(None, "?", by_document)  # type: ignore[arg-type]  # the fake needs no collection
    assert asked == offsets
    assert len(outcome.units) == units
    assert outcome.units == list(dict.fromkeys(documents))[:units]
    assert outcome.took_ms == 1.0  # of the first page


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Collection]:
    opened = Collection(tmp_path / "index", DEFAULT_MODEL, create=True)
    yield opened
    opened.close()


def test_a_kept_index_is_not_encoded_again(beir: Path, collection: Collection) -> None:
    assert indexes.index(collection, [beir / "corpus.jsonl"]).passages_encoded == len(TEXTS)
    again = indexes.index(collection, [beir / "corpus.jsonl"])
    assert (again.added, again.unchanged, again.passages_encoded) == (0, len(TEXTS), 0)


def test_an_index_with_documents_of_another_set_is_refused_and_left_alone(
    beir: Path, tmp_path: Path, collection: Collection
) -> None:
    write_lines(tmp_path / "other.jsonl", [{"_id": "x", "text": "Something else."}, {"_id": "y", "text": "And more."}])
    indexes.index(collection, [tmp_path / "other.jsonl"])
    with pytest.raises(EvalError, match="holds 2 documents that are not of this set"):
        indexes.index(collection, [beir / "corpus.jsonl"])
    with collection.view() as view:
        assert view.snapshot.document_ids() == ["x", "y"]  # and nothing was added to it


# As a user runs it


def test_a_run_prints_one_json_object_and_keeps_its_index(beir: Path, tmp_path: Path) -> None:
    ran = evaluate("retrieval", beir, "--json", "--index", tmp_path / "kept")
    assert ran.returncode == 0, ran.stderr
    outcome = json.loads(ran.stdout)
    assert {
        name: outcome[name] for name in ("set", "model", "documents", "passages", "unread", "questions", "unanswerable")
    } == {
        "set": "subjects",
        "model": "all-MiniLM-L6-v2",
        "documents": 8,
        "passages": 8,
        "unread": 0,
        "questions": 3,
        "unanswerable": 1,
    }
    best = {"value": 1.0, "low": 1.0, "high": 1.0}
    assert outcome["measures"] == {"nDCG@10": best, "success@1": best, "recall@100": best, "MRR": best}
    assert outcome["by_kind"] == {
        "fact": {"questions": 2, "nDCG@10": best, "success@1": best},
        "paraphrase": {"questions": 1, "nDCG@10": best, "success@1": best},
    }
    assert 0 < outcome["took_ms"]["p50"] <= outcome["took_ms"]["p95"]
    assert any((tmp_path / "kept").iterdir())


def test_a_wrong_judgement_lowers_the_measures(beir: Path) -> None:
    write_qrels(beir / "qrels" / "test.tsv", [Judgement("q1", "chess", 1), Judgement("q2", "malaria", 1)])
    report = retrieval.run(beir, None, DEFAULT_MODEL, [])
    assert report.questions == 2
    assert report.measures["success@1"].value == 0.5
    assert report.measures["recall@100"].value == 1.0  # chess is among all eight
    assert 0.5 < report.measures["MRR"].value < 0.76


def test_a_set_judged_by_paragraph_is_run_over_its_neighbours_and_leaves_nothing_behind(
    by_paragraphs: Path, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    ran = evaluate("retrieval", by_paragraphs, TMPDIR=str(tmp_path / "temporary"), COLUMNS="120")
    assert ran.returncode == 0, ran.stderr
    assert "2 documents, 10 passages, 0 not indexed; 0 questions without an answer left out" in " ".join(ran.stdout.split())
    rows = {
        cells[2]: cells[3:]
        for line in ran.stdout.splitlines()
        if len(cells := [one.strip() for one in line.split("│")][1:]) > 4
    }
    assert rows["success@1"][:2] == ["1.000", "1.000 to 1.000"]
    assert rows["nDCG@10"][0] == "1.000"
    assert not any((tmp_path / "temporary").glob("passages-eval-*"))


@pytest.mark.parametrize("missing", ["folder", "queries.jsonl", "qrels/test.tsv", "corpus.jsonl"])
def test_what_is_missing_is_one_line_on_standard_error(beir: Path, missing: str) -> None:
    if missing == "folder":
        beir = beir / "nowhere"
    else:
        (beir / missing).unlink()
    ran = evaluate("retrieval", beir, "--json")
    assert ran.returncode == 1
    assert ran.stdout == ""
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("error: ")
    assert str(beir) in ran.stderr


def test_a_model_that_is_not_here_is_one_line_on_standard_error(beir: Path, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    ran = evaluate("retrieval", beir, "--model", tmp_path / "model")
    assert ran.returncode == 1
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("error: ")
    assert "safetensors" in ran.stderr


def test_help_loads_nothing_heavy() -> None:
    program = "import sys, eval.__main__; print([name for name in ('indexer', 'ir_measures', 'numpy') if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout.strip() == "[]"
    assert "--corpus" in evaluate("retrieval", "--help").stdout


def test_a_hundred_xquad_questions_find_their_paragraphs(tmp_path: Path) -> None:
    folder = DATA / "xquad-en"
    if not folder.is_dir():
        pytest.skip(f"the judged set {folder} is not here; PASSAGES_DATA names the folder that holds xquad-en")
    whole = read_set(folder)
    judged = whole._replace(questions=whole.questions[::12])
    collection = Collection(tmp_path / "index", DEFAULT_MODEL, create=True)
    indexes.index(collection, corpus_files(judged, [], tmp_path))
    report = retrieval.measure(collection, judged)
    collection.close()
    assert (report.questions, report.corpus.documents) == (100, 240)
    assert report.by_kind is None
    # The vectors alone reach .94 on all 1,190 questions (design.md); .90 is lower by more than sampling explains.
    assert 0.90 < report.measures["nDCG@10"].value < 1
    assert report.measures["recall@100"].value > 0.98
