"""Files as people have them that a reader lost text of, or gave up on: one test a loss, the smallest file that shows it."""

from __future__ import annotations

import io
import json
import zipfile
from itertools import pairwise
from pathlib import Path
from random import Random

import docx
from docx.oxml import parse_xml
from docx.oxml.ns import nsdecls

from indexer.documents import Document, read_documents, sidecar
from indexer.formats import FORMATS, Content
from indexer.printed import Line, _free

MAIL = b"From: a@example.org\nSubject: s\nMIME-Version: 1.0\n"
PARTS = b"Content-Type: multipart/%s; boundary=x\n\n--x\nContent-Type: text/plain\n\n%s\n--x\n%s\n--x--\n"


def read(suffix: str, data: bytes | str) -> Content:
    return FORMATS[suffix].read(data if isinstance(data, bytes) else data.encode())


def test_a_mail_of_an_unknown_or_undeclared_charset_is_read() -> None:
    for declared in (b"", b"Content-Type: text/plain; charset=x-weird\n", b"Content-Type: text/plain; charset=us-ascii\n"):
        for encoding in ("utf-8", "windows-1252"):
            assert read(".eml", MAIL + declared + b"\n" + "naïve".encode(encoding)).text == "naïve"


def test_a_mail_whose_plain_text_is_empty_is_its_web_page() -> None:
    html = b"Content-Type: text/html\n\n<p>The offer.</p>"
    assert read(".eml", MAIL + PARTS % (b"alternative", b" ", html)).text == "The offer."


def test_what_stands_behind_a_picture_in_a_mail_belongs_to_it_and_an_attachment_does_not() -> None:
    more = b"Content-Type: text/plain\n\nAfter the picture."
    assert read(".eml", MAIL + PARTS % (b"mixed", b"Before.", more)).text == "Before.\n\nAfter the picture."
    attached = b"Content-Type: text/plain\nContent-Disposition: attachment; filename=a.txt\n\nElsewhere."
    found = read(".eml", MAIL + PARTS % (b"mixed", b"Before.", attached))
    assert (found.text, found.metadata["attachments"]) == ("Before.", ["a.txt"])


def test_a_damaged_or_endless_field_of_a_mail_costs_that_field_alone() -> None:
    assert read(".eml", b"From: <\nSubject: s\n\nbody").text == "body"
    many = b", ".join(b"u%d <u%d@example.org>" % (number, number) for number in range(20_000))
    found = read(".eml", b"To: " + many + b"\nSubject: =?utf-8?q?caf=C3=A9?=\n\nbody")  # took minutes
    assert (found.text, found.title, found.metadata["to"][:22]) == ("body", "café", "u0 <u0@example.org>, u")


def test_a_heading_that_ends_in_a_line_break_ends_there() -> None:
    found = read(".html", "<ul><li><h3>Whales<br></h3><br>breathe</li></ul><p>air</p><h2>Next</h2><p>text")
    assert [found.text[h.start : h.end] for h in found.headings] == ["Whales", "Next"]
    assert found.text == "Whales\n\nbreathe\n\nair\n\nNext\n\ntext"


def test_a_page_cannot_write_our_separators() -> None:
    assert read(".html", "<p>a&#28;3b&#x1d;c</p><h2>d</h2>").text == "a 3b c\n\nd"


def test_rich_text_past_the_first_plane_and_titles_of_any_letters_are_read() -> None:
    found = read(".rtf", rb"{\rtf1\ansi\ansicpg1251{\info{\title \'cf\u8364?}{\author A}}smile \u-10179?\u-8704?.\par}")
    assert (found.text, found.title, found.metadata) == ("smile \U0001f600.", "П€", {"author": "A"})


def rows(tmp_path: Path, text: str) -> list[str]:
    table = tmp_path / "t.csv"
    table.write_text(text)
    sidecar(table).write_text(json.dumps({"columns": {"text": "body"}}))
    found = list(read_documents(table, "t.csv"))
    return [one.text if isinstance(one, Document) else f"{one.source} {one.reason}" for one in found]


def test_no_cell_of_a_row_is_lost_without_a_word(tmp_path: Path) -> None:
    assert rows(tmp_path, "body\nWhales, it seems, breathe air.\nSo do, say, seals.\n") == [
        "Whales, it seems, breathe air.",
        "So do, say, seals.",
    ]
    good, bad = rows(tmp_path, "no;body\n1;fine\n2;one; two\n")
    assert good == "fine"
    assert bad.startswith("row 3 has 1 more cells than the first row names")


def odt(body: str) -> bytes:
    names = " ".join(
        f'xmlns:{short}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for short, name in {"o": "office", "t": "text", "b": "table", "d": "drawing", "s": "svg-compatible"}.items()
    )
    content = f"<o:document-content {names}><o:body><o:text>{body}</o:text></o:body></o:document-content>"
    return zipped({"content.xml": content})


def zipped(parts: dict[str, str | bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as container:
        for name, part in parts.items():
            container.writestr(name, part)
    return file.getvalue()


def test_a_table_in_a_cell_is_read_once_and_a_comment_in_a_list_never() -> None:
    row = "<b:table><b:table-row>%s</b:table-row></b:table>"
    cell = "<b:table-cell><t:p>%s</t:p>%s</b:table-cell>"
    assert read(".odt", odt(row % (cell % ("a", row % (cell % ("b", ""))) + cell % ("c", "")))).text == "a b; c"
    item = "<t:list><t:list-item><t:p>item<o:annotation><t:p>remark</t:p></o:annotation></t:p></t:list-item></t:list>"
    assert read(".odt", odt(item)).text == "item"
    assert read(".odt", odt("<t:p>a<d:frame><s:title>alt</s:title></d:frame>b</t:p>")).text == "ab"


def test_word_text_of_another_direction_and_below_readings_is_read() -> None:
    document = docx.Document()
    document.element.body.insert(
        0,
        parse_xml(
            f"<w:p {nsdecls('w')}><w:bdo w:val='rtl'><w:r><w:t>one </w:t></w:r></w:bdo><w:r><w:ruby><w:rt><w:r><w:t>kan</w:t>"
            "</w:r></w:rt><w:rubyBase><w:r><w:t>漢</w:t></w:r></w:rubyBase></w:ruby></w:r></w:p>"
        ),
    )
    file = io.BytesIO()
    document.save(file)
    assert read(".docx", file.getvalue()).text == "one 漢"


def test_a_book_with_a_picture_among_its_chapters_or_without_one_of_them_keeps_the_others() -> None:
    named = {"a.xhtml": "application/xhtml+xml", "b.jpg": "image/jpeg", "gone.xhtml": "application/xhtml+xml"}
    items = "".join(f'<item id="{name}" href="{name}" media-type="{kind}"/>' for name, kind in named.items())
    order = "".join(f'<itemref idref="{name}"/>' for name in named)
    found = read(
        ".epub",
        zipped(
            {
                "META-INF/container.xml": '<container><rootfiles><rootfile full-path="p.opf"/></rootfiles></container>',
                "p.opf": f"<package><manifest>{items}</manifest><spine>{order}</spine></package>",
                "a.xhtml": "<?xml version='1.0' encoding='windows-1252'?><p>Chapter’s end.</p>".encode("windows-1252"),
                "b.jpg": b"\xff\xd8\xff\0",
            }
        ),
    )
    assert found.text == "Chapter’s end."
    assert [remark.about for remark in found.remarks] == ["gone.xhtml"]


def test_a_line_that_is_drawn_far_outside_of_the_page_costs_nothing_and_moves_no_column() -> None:
    random = Random(3)  # noqa: S311
    for _ in range(200):
        starts = [random.randrange(60) for _ in range(random.randrange(1, 40))]
        lines = [Line("x", at, at + random.randrange(20), 0, 10, 0, False) for at in starts]
        most = max(2, len(lines) // 10)
        inked = [x for x in range(90) if sum(line.left <= x <= line.right for line in lines) > most]
        gutters = [(a, b) for a, b in pairwise(inked) if b - a > 3]
        far = Line("x", -1e12, 1e12, 0, 10, 0, False)
        assert [(one.left, one.right) for one in _free(lines, 3)] == gutters
        assert len(list(_free([*lines, far], 3))) <= len(lines)
