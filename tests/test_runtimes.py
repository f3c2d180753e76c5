"""Every runtime gives the vectors of 32-bit floats, and a kept graph is what it was when it was made."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from indexer import graph
from indexer.encoder import Encoded, Encoder, PassageInput
from indexer.files import sealed
from indexer.models import ModelError, locate
from indexer.runtimes import KINDS, LEAST_COSINE, Batch, is_here, open_runtime
from indexer.sentences import sentences

GATE = Path(__file__).parent.parent / "eval" / "gate" / "corpus.jsonl"
ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def passages() -> list[PassageInput]:
    """A thousand passages of one to many sentences, some with a title."""
    texts = [json.loads(line)["text"] for line in GATE.read_text("utf-8").splitlines()]
    every = [text[span.start : span.end] for text in texts for span in sentences(text)]
    random = np.random.default_rng(0)
    some = [" ".join(random.choice(every, 1 + number % 6)) for number in range(1000)]
    return [PassageInput("A title" if number % 3 else "", text) for number, text in enumerate(some)]


@pytest.fixture(scope="module")
def expected(passages: list[PassageInput]) -> Encoded:
    return Encoder.of(runtime="float32").passages(passages)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of graphs."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "passages"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An entry, to be copied."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("kept")))
        graph.open_graph(locate())
        (place,) = graph.cache_folder().iterdir()
    return place


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "float32"])
def test_a_runtime_gives_the_vectors_of_32_bit_floats(kind: str, passages: list[PassageInput], expected: Encoded) -> None:
    if not is_here(kind):
        pytest.skip(f"this machine has no {kind}")
    encoder = Encoder.of(runtime=kind)  # type: ignore[arg-type]
    found = encoder.passages(passages)
    cosines = (found.pooled * expected.pooled).sum(axis=1)
    assert cosines.min() >= LEAST_COSINE, f"{encoder.runtime.name}: {cosines.min()}"
    assert encoder.runtime.accuracy >= LEAST_COSINE
    same = [((mine > 0) == (theirs > 0)).mean() for mine, theirs in zip(found.tokens, expected.tokens, strict=True)]
    assert min(same) > 0.95, "the codes of tokens are signs"
    assert all((mine == theirs).all() for mine, theirs in zip(found.offsets, expected.offsets, strict=True))


def test_a_question_has_the_vector_that_it_has_in_32_bit_floats(encoder: Encoder) -> None:
    exact = Encoder.of(runtime="float32")
    for question in ("who?", "Who will host the next ministerial meeting of the Coalition?", "word " * 200):
        assert float(encoder.question(question).pooled[0] @ exact.question(question).pooled[0]) >= LEAST_COSINE


def test_the_best_runtime_is_openvino_where_it_is_and_it_is_named(encoder: Encoder) -> None:
    if is_here("cuda"):
        pytest.skip("CUDA is better")
    assert encoder.runtime.name.startswith("OpenVINO")


def test_an_unknown_runtime_is_an_error_that_names_the_others() -> None:
    with pytest.raises(ModelError, match="no runtime 'onnx'; choose one of auto, cuda, openvino, bfloat16, float32"):
        open_runtime(locate(), "onnx")  # type: ignore[arg-type]


@pytest.mark.skipif(is_here("cuda"), reason="this machine has CUDA")
def test_a_runtime_that_is_not_here_is_an_error() -> None:
    with pytest.raises(ModelError, match="no CUDA device here; choose another runtime"):
        open_runtime(locate(), "cuda")


def test_without_openvino_torch_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    files = locate()
    monkeypatch.setattr("indexer.runtimes.importlib.util.find_spec", lambda _: None)
    _, runtime = open_runtime(files)
    assert runtime.name.startswith("torch")


def test_a_runtime_that_is_not_accurate_is_not_chosen_and_does_not_index(
    kept: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(kept, cache / kept.name)
    record = cache / kept.name / "model.json"
    text = json.dumps(json.loads(record.read_text().split("\n")[1]) | {"accuracy": 0.99})
    record.write_text(sealed(text))
    monkeypatch.setattr("indexer.runtimes.KINDS", ("openvino", "float32"))
    _, runtime = open_runtime(locate())
    assert runtime.name == "torch float32"
    assert "OpenVINO" in caplog.text
    assert "0.9900" in caplog.text
    encoder = Encoder.of(runtime="openvino")
    assert len(encoder.question("who?").pooled) == 1
    with pytest.raises(ModelError, match=r"not accurate enough to index \(least cosine 0.9900"):
        encoder.passages([PassageInput("", "text")])


def starts(code: str, cache: Path) -> str:
    environment = os.environ | {"XDG_CACHE_HOME": str(cache.parent), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True, env=environment, cwd=ROOT
    )
    return done.stdout.strip()


def test_once_the_graph_is_kept_nothing_imports_torch_and_nothing_ever_tells_the_makers(cache: Path) -> None:
    code = (
        "import sys; from indexer.encoder import Encoder; e = Encoder.of(runtime='openvino'); e.question('who?'); "
        "print(sorted({'torch', 'transformers', 'sentence_transformers'} & sys.modules.keys()), "
        "sys.modules.get('openvino_telemetry'))"
    )
    assert starts(code, cache) == "['sentence_transformers', 'torch', 'transformers'] None"
    assert starts(code, cache) == "[] None"


@pytest.mark.parametrize("name", ["graph.xml", "graph.bin", "model.json"])
@pytest.mark.parametrize("damage", ["delete", "shorten", "flip", "swap"])
def test_a_damaged_graph_is_not_used(kept: Path, cache: Path, name: str, damage: str) -> None:
    place = cache / kept.name
    shutil.copytree(kept, place)
    assert graph._read(place) is not None
    content = (place / name).read_bytes()
    at = len(content) // 2
    (place / name).unlink()
    if damage == "shorten":
        (place / name).write_bytes(content[:at])
    elif damage == "flip":
        (place / name).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
    elif damage == "swap":
        shutil.copy(place / ("graph.xml" if name != "graph.xml" else "model.json"), place / name)
    assert graph._read(place) is None


def test_a_damaged_graph_is_made_again_and_leaves_nothing(kept: Path, cache: Path) -> None:
    place = cache / kept.name
    shutil.copytree(kept, place)
    (place / "graph.bin").unlink()
    (place / "graph.bin").write_bytes(b"damaged")
    description, runtime = graph.open_graph(locate())
    assert (description.dimension, runtime.accuracy >= LEAST_COSINE) == (384, True)
    assert graph._read(place) is not None
    assert list(cache.iterdir()) == [place]


def test_a_cache_that_cannot_be_written_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    _, runtime = graph.open_graph(locate())
    assert runtime.accuracy >= LEAST_COSINE
    ones = np.ones((1, 16), np.int64)
    assert runtime.one(Batch(ones, ones, ones)).pooled.shape == (1, 384)
    assert "cannot be written" in caplog.text
    assert not list(temporary.iterdir()), "what could not be kept is not left behind"


def test_indexing_on_and_on_takes_no_more_memory(encoder: Encoder) -> None:
    """Requests and their outputs, of megabytes each, were once kept for ever."""

    def resident_mb() -> float:
        return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20

    inputs = [PassageInput("", "word " * 100)] * 20
    for _ in range(5):
        encoder.passages(inputs)
    before = resident_mb()
    for _ in range(25):
        encoder.passages(inputs)
    assert resident_mb() - before < 50


def test_what_another_process_has_kept_meanwhile_stays(kept: Path, cache: Path, tmp_path: Path) -> None:
    place = cache / kept.name
    mine = cache / ".new-mine"
    shutil.copytree(kept, place)
    shutil.copytree(kept, mine)
    before = (place / "graph.bin").stat().st_ino
    assert graph._moved(mine, place) == place
    assert (place / "graph.bin").stat().st_ino == before
    assert list(cache.iterdir()) == [place]


def test_what_a_killed_conversion_left_is_swept(cache: Path) -> None:
    old, new = cache / ".new-old", cache / ".new-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
    os.utime(old, (0, 0))
    graph._sweep(cache)
    assert list(cache.iterdir()) == [new]


def test_indexing_that_was_stopped_midway_leaves_the_runtime_usable(encoder: Encoder) -> None:
    inputs = [PassageInput("", f"{number} " + "word " * 150) for number in range(60)]

    def stop(_: int) -> None:
        raise KeyboardInterrupt

    for _ in range(8):
        with pytest.raises(KeyboardInterrupt):
            encoder.passages(inputs, stop)
        assert len(encoder.passages(inputs[:3]).pooled) == 3


def test_a_batch_that_fails_is_an_error_and_leaves_the_runtime_usable(kept: Path) -> None:
    runtime = graph.OpenVinoRuntime(kept / "graph.xml", "f32")
    good = Batch(*(np.ones((1, 16), dtype=np.int64) for _ in range(3)))
    no_numbers = Batch(np.array([["word"]]), good.mask, good.pooling)
    with pytest.raises(ValueError, match="word"):
        list(runtime.many([good, no_numbers, good]))
    assert sorted(number for number, _ in runtime.many([good, good])) == [0, 1]


def test_a_runtime_that_breaks_gives_way_to_another(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr("indexer.runtimes.KINDS", ("openvino", "float32"))

    def breaks(_: object) -> None:
        raise ImportError("libtbb.so is missing")

    monkeypatch.setattr(graph, "open_graph", breaks)
    _, runtime = open_runtime(locate())
    assert runtime.name == "torch float32"
    assert "libtbb.so is missing" in caplog.text
    with pytest.raises(ModelError, match="openvino does not work here"):
        open_runtime(locate(), "openvino")
