"""Files that are damaged, made to harm or too large: each is documents or one clear reason, and the run goes on."""

from __future__ import annotations

import io
import os
import random
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexer.collection import Collection
from indexer.documents import LINE_BYTES, Document, Unreadable, read_documents
from indexer.extraction import Extractor, Limits
from indexer.formats import FORMATS, LONGEST_TEXT
from indexer.inputs import MIB, AgainError, open_input, read_whole
from indexer.search import Query, search
from indexer.sync import Summary, Sync
from indexer.web import read_html
from tests.corpus.office import odt
from tests.files import column, docx, epub, paragraph, pdf, pptx, shape, xlsx, zipped
from tests.fuzzing import LONG, record, tries

HIDDEN = "the secret of another folder"
BOMB = '<!DOCTYPE r [<!ENTITY a "ha">' + "".join(
    f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)
OUTSIDE = '<!DOCTYPE r [<!ENTITY j SYSTEM "file:///etc/passwd">'
GOOD = {
    ".txt": b"The river rose by night.",
    ".md": b"---\ntitle: River\n---\n# River\n\n- The river rose > by *night*.\n",
    ".html": b"<html><title>River</title><p>The river rose by night.<ul><li>one<li>two</ul></html>",
    ".csv": b"place,level\nRome,3\nParis,4\n",
    ".eml": b"From: a@b.c\nSubject: River\nContent-Type: multipart/mixed; boundary=x\n\n--x\n\nThe river rose.\n--x--\n",
    ".docx": docx(paragraph("The river rose by night.")),
    ".pptx": pptx([shape(["The river rose by night."])]),
    ".xlsx": xlsx({"river": [["place", "level"], ["Rome", 3]]}),
    ".epub": epub({"a.xhtml": "<p>The river rose by night.</p>"}),
    ".odt": odt("<text:p>The river rose by night.</text:p>"),
    ".rtf": rb"{\rtf1\ansi{\info{\title River}}The river rose by night.\par And fell at d\'e4wn.\par}",
    ".pdf": pdf([column(["The river rose by night."], 700)]),
    ".jsonl": b'{"id": "r", "text": "The river rose by night."}\n',
}


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor(Limits(seconds=20, memory=600 * MIB)) as extractor:
        yield extractor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path.resolve() / "folder"
    folder.mkdir()
    return folder


def read(extractor: Extractor, path: Path, data: bytes) -> list[Document | Unreadable]:
    path.write_bytes(data)
    return list(read_documents(path, path.name, path.parent, extractor))


def reason(extractor: Extractor, path: Path, data: bytes) -> str:
    [one] = read(extractor, path, data)
    assert isinstance(one, Unreadable)
    return one.reason


def peak(extractor: Extractor) -> int:
    """Bytes of memory that the child has had at most."""
    status = Path(f"/proc/{extractor.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


@pytest.mark.parametrize("suffix", GOOD)
def test_the_child_reads_what_this_process_reads(extractor: Extractor, folder: Path, suffix: str) -> None:
    path = folder / f"a{suffix}"
    found = read(extractor, path, GOOD[suffix])
    assert found == list(read_documents(path, path.name))
    assert isinstance(found[0], Document)


def mutated(data: bytes, random: random.Random) -> bytes:
    """Truncated, with flipped bits, with a part repeated or blanked, or with null bytes in it."""
    at, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    match random.randrange(5):
        case 0:
            return data[:at]
        case 1:
            flipped = bytearray(data)
            for _ in range(random.randint(1, 20)):
                flipped[random.randrange(len(data))] ^= 1 << random.randrange(8)
            return bytes(flipped)
        case 2:
            return data[:end] + data[at:] * random.randint(1, 5)
        case 3:
            return data[:at] + bytes(end - at) + data[end:]
        case _:
            return data[:at] + random.randbytes(9) + data[end:]


def test_damaged_and_mislabelled_files_are_documents_or_a_reason(extractor: Extractor, folder: Path) -> None:
    seeded, seen = random.Random(5), Counter[str]()  # noqa: S311  # the same damage every time
    names = list(GOOD)
    for number in range(tries(200, 5_000)):
        suffix, kind = names[number % len(names)], seeded.choice(names)
        data = GOOD[kind] if number % 7 == 0 else mutated(GOOD[suffix], seeded)
        for one in read(extractor, folder / f"x{suffix}", data):
            seen["documents" if isinstance(one, Document) else "reasons"] += 1
            assert isinstance(one, Document) or (len(one.reason) > 10 and "ended the process" not in one.reason)
    assert min(seen["documents"], seen["reasons"]) > 30
    record("files_mutated", **seen)


def bomb(suffix: str, part: str, size: int) -> bytes:
    """A file of the format, one part of which is that many spaces within its root element. Packing them takes seconds, so in
    the short form its directory only says so, and that is what is believed."""
    buffer = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(GOOD[suffix])) as old,
        zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as new,
    ):
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, data if name != part else data[:-1] + b" " * (size if LONG else 1) + data[-1:])
        if not LONG:
            new.getinfo(part).file_size = size
    return buffer.getvalue()


BOMBS = [(".docx", "word/document.xml"), (".pptx", "ppt/slides/slide1.xml"), (".xlsx", "xl/worksheets/sheet1.xml"),
         (".epub", "book/a.xhtml"), (".odt", "content.xml")]  # fmt: skip


@pytest.mark.parametrize(("suffix", "part"), BOMBS)
def test_a_zip_bomb_is_refused_before_it_is_unpacked(extractor: Extractor, folder: Path, suffix: str, part: str) -> None:
    assert "MiB" in reason(extractor, folder / f"bomb{suffix}", bomb(suffix, part, 530 * MIB))


def test_a_container_of_very_many_parts_is_refused(extractor: Extractor, folder: Path) -> None:
    data = zipped({"word/document.xml": "<a/>", **{f"word/{i}.xml": "" for i in range(20_001)}})
    assert "20,002 parts" in reason(extractor, folder / "many.docx", data)


@pytest.mark.parametrize(("suffix", "part"), BOMBS)
@pytest.mark.parametrize("prolog", [BOMB, OUTSIDE])
def test_entities_are_neither_multiplied_nor_read_from_elsewhere(
    extractor: Extractor, folder: Path, suffix: str, part: str, prolog: str
) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(GOOD[suffix])) as old, zipfile.ZipFile(buffer, "w") as new:
        for name in old.namelist():
            text = old.read(name).decode()
            new.writestr(
                name, prolog + "]>" + text.replace("river", "&j;river").replace("Rome", "&j;Rome") if name == part else text
            )
    for one in read(extractor, folder / f"e{suffix}", buffer.getvalue()):
        assert isinstance(one, Unreadable) or ("root:" not in one.text and len(one.text) < 1000)


def test_links_to_files_in_a_document_are_not_followed(extractor: Extractor, folder: Path) -> None:
    (folder / "other.txt").write_text(HIDDEN)
    link = (folder / "other.txt").as_uri()
    page = f'<p>hello<a href="{link}">x</a><iframe src="{link}"></iframe><object data="{link}"></object><link href="{link}">'
    [one] = read(extractor, folder / "a.html", page.encode())
    assert isinstance(one, Document)
    assert HIDDEN not in one.text


DEEP = {
    ".md": b"> " * 50_000 + b"deep\n" + b"- " * 50_000 + b"deep",
    ".html": b"<div>" * 20_000 + b"deep",
    ".eml": b"From: a\n" + b"".join(b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (i, i) for i in range(2_000)),
    ".jsonl": b'{"id": "a", "text": "b", "m": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ".csv": b'"' * 1_000_000,
    ".odt": odt("<text:section>" * 50_000 + "deep" + "</text:section>" * 50_000),
    ".rtf": b"{\\rtf1" + b"{" * 100_000 + b"deep" + b"}" * 100_000 + b"}",
}
SLOW = b"<p>a" * 400_000  # takes many seconds


@pytest.mark.parametrize("suffix", DEEP)
def test_deep_nesting_is_a_document_or_a_reason(extractor: Extractor, folder: Path, suffix: str) -> None:
    found = read(extractor, folder / f"deep{suffix}", DEEP[suffix])
    assert len(found) == 1
    assert peak(extractor) < 700 * MIB


@pytest.mark.parametrize("tag", ["b", "div", "li", "table", "pre", "h2", "font"])
def test_tags_that_are_never_closed_lose_no_text(tag: str) -> None:
    page = "".join(f"<{tag}>word{i} " for i in range(1_000))
    assert read_html(page.encode()).text.split() == [f"word{i}" for i in range(1_000)]


@pytest.mark.parametrize(
    "data", [b"", b" \n\t ", b"\0" * 5000, b"\xff\xfe\x00\xd8", b"\xc3(", b"\xff\xfe\x00\x00\xff\xff\xff\xff"]
)
@pytest.mark.parametrize("suffix", GOOD)
def test_nothing_and_no_text_has_a_reason(extractor: Extractor, folder: Path, suffix: str, data: bytes) -> None:
    for one in read(extractor, folder / f"x{suffix}", data):
        assert isinstance(one, Unreadable)
        assert one.reason


def test_a_line_of_50_megabytes_has_a_reason(extractor: Extractor, folder: Path) -> None:
    line = b"a" * (50 * MIB)
    assert f"more than the {LONGEST_TEXT:,}" in reason(extractor, folder / "a.txt", line)
    [whole, other] = read(extractor, folder / "a.jsonl", b'{"id": "a", "text": "' + line + b'"}\n' + GOOD[".jsonl"])
    assert isinstance(whole, Unreadable)
    assert f"{LINE_BYTES // MIB} MiB" in whole.reason
    assert isinstance(other, Document)


def test_a_plain_file_is_decoded_by_the_child_unless_it_is_small(folder: Path) -> None:
    with Extractor() as extractor:
        assert isinstance(read(extractor, folder / "small.txt", b"river " * 100)[0], Document)
        assert extractor.pid is None
        [large] = read(extractor, folder / "large.txt", b"river " * 200_000)
        assert isinstance(large, Document)
        assert len(large.text) == 1_200_000
        assert extractor.pid is not None


def test_a_file_that_needs_too_much_memory_costs_only_itself(folder: Path) -> None:
    with Extractor(Limits(memory=100 * MIB)) as extractor:
        told = reason(extractor, folder / "wide.html", b"<i>a</i>" * 150_000)
        assert "memory" in told
        assert "100 MiB" in told
        assert isinstance(read(extractor, folder / "b.html", GOOD[".html"])[0], Document)


def test_a_file_that_takes_too_long_is_ended_and_the_next_is_read(folder: Path) -> None:
    with Extractor(Limits(seconds=2)) as extractor:
        assert isinstance(read(extractor, folder / "b.html", GOOD[".html"])[0], Document)
        before = extractor.pid
        [one] = read(extractor, folder / "a.html", SLOW)
        assert isinstance(one, Unreadable)
        assert one.again
        assert "more than 2 s" in one.reason
        assert "PASSAGES_EXTRACTION_TIMEOUT_S" in one.reason
        assert isinstance(read(extractor, folder / "b.html", GOOD[".html"])[0], Document)
        assert extractor.pid != before


def test_a_child_that_crashes_costs_one_file(folder: Path) -> None:
    with Extractor() as extractor:
        read(extractor, folder / "b.html", GOOD[".html"])
        pid = extractor.pid
        assert pid is not None
        killer = threading.Timer(1, os.kill, (pid, 11))
        killer.start()
        assert "SIGSEGV" in reason(extractor, folder / "a.html", SLOW)
        killer.join()
        assert isinstance(read(extractor, folder / "b.html", GOOD[".html"])[0], Document)


def test_a_child_that_ended_while_nothing_was_asked_of_it_costs_no_file(folder: Path) -> None:
    with Extractor() as extractor:
        for _ in range(2):
            read(extractor, folder / "b.html", GOOD[".html"])
            pid = extractor.pid
            assert pid is not None
            os.kill(pid, 9)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # it has ended, and is still there to be collected
            assert isinstance(read(extractor, folder / "b.html", GOOD[".html"])[0], Document)
            assert extractor.pid != pid


def synced(collection: Collection, folder: Path, limits: Limits | None = None) -> Summary:
    return Sync(collection, limits=limits or Limits()).run([folder])


def test_a_failed_file_keeps_its_documents_and_is_tried_again(collection: Collection, folder: Path) -> None:
    slow, other = folder / "slow.html", folder / "other.html"
    slow.write_bytes(GOOD[".html"])
    assert synced(collection, folder).added == 1
    slow.write_bytes(SLOW)
    other.write_bytes(b"<p>The mountain is high.")
    for again in range(2):
        summary = synced(collection, folder, Limits(seconds=2))
        assert [(one.path, one.record) for one in summary.failed] == [(str(slow), "")]
        assert (summary.added, summary.deleted) == (1 - again, 0)
    found = search(collection, Query("What did the river do?")).results
    assert {one.passage.document.id for one in found} == {"slow.html", "other.html"}


def test_what_is_no_file_of_the_folder_is_reported_and_not_read(
    collection: Collection, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = folder.parent / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text(HIDDEN)
    (outside / "secret.json").write_text(f'{{"title": "{HIDDEN}"}}')
    (folder / "link.txt").symlink_to(outside / "secret.txt")
    (folder / "linked").symlink_to(outside)
    (folder / "loop.txt").symlink_to(folder / "loop.txt")
    (folder / "round").symlink_to(folder)
    (folder / "good.txt").write_text("The river rose.")
    (folder / "beside.txt").write_text("The river fell.")
    (folder / "beside.txt.meta.json").symlink_to(outside / "secret.json")
    os.mkfifo(folder / "pipe.txt")
    with socket.socket(socket.AF_UNIX) as listening:
        monkeypatch.chdir(folder)  # the address of a socket has at most 107 bytes
        listening.bind("s.txt")
        summary = synced(collection, folder)
    assert summary.added == 1
    assert {Path(one.path).name for one in summary.failed} == {"pipe.txt", "s.txt", "loop.txt", "beside.txt"}
    assert (summary.skipped["link out of the folder"], summary.skipped["link to a folder"]) == (1, 2)
    assert all(HIDDEN not in one.passage.text for one in search(collection, Query(HIDDEN)).results)


def test_a_path_that_becomes_a_link_or_a_pipe_is_not_followed_and_not_waited_for(folder: Path) -> None:
    secret = folder.parent / "secret.txt"
    secret.write_text(HIDDEN)
    path = folder / "a.txt"
    path.symlink_to(secret)
    with pytest.raises(Exception, match="link out of the folder"):
        open_input(path, folder)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(Exception, match="no regular file"):
        open_input(path, folder)


def test_a_file_that_is_being_written_is_not_read_half(folder: Path) -> None:
    path, stopped = folder / "a.txt", threading.Event()
    path.write_bytes(b"a" * (20 * MIB))

    def write() -> None:
        with path.open("ab") as file:
            while not stopped.is_set():
                file.write(b"b" * 10_000)
                file.flush()
                time.sleep(0.0005)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        with open_input(path) as file, pytest.raises(AgainError, match="is being written"):
            read_whole(file)
    finally:
        stopped.set()
        writer.join()


def test_a_file_over_the_limit_is_reported_and_tried_again(collection: Collection, folder: Path) -> None:
    (folder / "large.txt").write_bytes(b"The river rose." + b" " * MIB)
    [failed] = synced(collection, folder, Limits(file=MIB)).failed
    assert "PASSAGES_FILE_MB" in failed.reason
    assert synced(collection, folder, Limits(file=2 * MIB)).added == 1


def test_a_child_ends_with_its_parent(folder: Path) -> None:
    (folder / "b.html").write_bytes(GOOD[".html"])
    program = (
        "import sys, time; from pathlib import Path; from indexer.extraction import Extractor; e = Extractor(); "
        "e.content('.html', Path(sys.argv[1]).open('rb')); print(e.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(folder / "b.html")], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = Path(f"/proc/{int(parent.stdout.readline())}")
        assert child.exists()
        parent.kill()
    until = time.monotonic() + 20
    while child.exists() and "State:\tZ" not in child.joinpath("status").read_text() and time.monotonic() < until:
        time.sleep(0.05)
    assert time.monotonic() < until


def test_every_media_type_has_a_mutated_example() -> None:
    alike = {".tsv": ".csv", ".rst": ".txt", ".xhtml": ".html"}  # read by the same function
    assert {one.media_type for one in FORMATS.values()} == {FORMATS[s].media_type for s in (*GOOD, *alike) if s in FORMATS}
