"""What each format's text, title, date, pages and headings are, and what is said of a file that cannot be read."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer import documents, formats
from indexer.documents import (
    Document,
    Unreadable,
    content_hash,
    document_from_record,
    is_supported,
    read_documents,
    sidecar,
)
from indexer.errors import UnreadableError
from tests import files

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, content: str | bytes, meta: Any = None) -> Path:
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if meta is not None:
            sidecar(path).write_text(meta if isinstance(meta, str) else json.dumps(meta))
        return path

    return write_file


def read(path: Path) -> Document:
    [document] = read_documents(path, "the id")
    assert isinstance(document, Document), document
    assert document.id == "the id"
    return document


def reason(path: Path) -> str:
    [unreadable] = read_documents(path, "the id")
    assert isinstance(unreadable, Unreadable), unreadable
    assert unreadable.source == ""
    return unreadable.reason


def headings(document: Document) -> list[tuple[int, str]]:
    return [(h.level, document.text[h.start : h.end]) for h in document.headings]


# --- plain text ---------------------------------------------------------------------------------------------------


def test_plain_text_is_kept_but_for_its_line_ends(write: Write) -> None:
    document = read(write("a note.txt", "\n  Снег \r\n\r\nидёт.\rEnd\t \n"))
    assert document.text == "\n  Снег \n\nидёт.\nEnd\t \n"
    assert (document.title, document.date, document.media_type) == ("a note", None, "text/plain")
    assert document.uri is not None
    assert document.uri.startswith("file:///")
    assert document.uri.endswith("/a%20note.txt")
    assert (document.pages, document.headings, document.metadata) == ((), (), {})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_text_in_every_unicode_encoding_reads_the_same(write: Write, encoding: str) -> None:
    assert read(write("a.log", "naïve 雪 😀\r\n".encode(encoding))).text == "naïve 雪 😀\n"


def test_text_in_another_encoding_names_the_byte_and_the_cure(write: Write) -> None:
    said = reason(write("a.txt", "caf\xe9".encode("latin-1")))
    assert "is not UTF-8 (byte 0xe9 at offset 3)" in said
    assert "iconv -f WINDOWS-1252 -t UTF-8" in said


@pytest.mark.parametrize("content", [b"abc\0def", b"a\x01\x02\x03\x04", "abc\0".encode("utf-16")])
def test_binary_content_under_a_text_suffix_is_not_text(write: Write, content: bytes) -> None:
    assert "looks binary, not text" in reason(write("a.txt", content))


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "a PNG image"),
        (b"%PDF-1.4\n\xe2\xe3", "a PDF"),
        (files.zipped({"a": "b"}), "a zip container"),
    ],
)
def test_a_known_kind_of_file_under_a_text_suffix_is_named(write: Write, content: bytes, what: str) -> None:
    assert f"is not text but {what}" in reason(write("a.txt", content))


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.html", "a.pdf", "a.docx", "a.xlsx", "a.eml", "a.csv", "a.jsonl"])
def test_a_file_of_no_bytes_is_empty(write: Write, name: str) -> None:
    assert reason(write(name, b"")).startswith("is empty")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.txt", " \n\t"),
        ("a.md", "---\ntitle: T\n---\n \n"),
        ("a.csv", ",,\n,,\n"),
        ("a.html", "<title>T</title><p> </p>"),
        ("a.docx", files.docx(files.paragraph(" "))),
    ],
)
def test_a_file_of_white_space_says_so(write: Write, name: str, content: str | bytes) -> None:
    assert reason(write(name, content)) == "holds no text, only white space"


# --- Markdown -----------------------------------------------------------------------------------------------------


def test_markdown_stays_verbatim_and_knows_its_headings(write: Write) -> None:
    source = (
        "# One *x* #\n\ntext\n\nTwo\n===\n\n```\n# code\n```\n\n  ### Drei ä\n- # in a list\n\ntext\n\n    # indented code\n"
    )
    document = read(write("a.md", source))
    assert document.text == source
    assert headings(document) == [(1, "One *x*"), (1, "Two"), (3, "Drei ä"), (1, "in a list")]
    assert document.title == "One *x*"


def test_front_matter_becomes_metadata_and_leaves_the_text(write: Write) -> None:
    source = "---\ntitle: Снег\ndate: 2020-01-02\ntags: [a, b]\n---\n# H\n\ntext\n"
    document = read(write("a.markdown", source))
    assert document.text == "# H\n\ntext\n"
    assert headings(document) == [(1, "H")]
    assert (document.title, document.date) == ("Снег", "2020-01-02")
    assert document.metadata == {"date": "2020-01-02", "tags": ["a", "b"]}


@pytest.mark.parametrize("front", ["a: [", "- a list", "a: &x [1]\nb: *x", "x: .nan"])
def test_front_matter_that_cannot_be_used_stays_text(write: Write, front: str) -> None:
    source = f"---\n{front}\n---\ntext\n"
    document = read(write("a.md", source))
    assert (document.text, document.metadata, document.title) == (source, {}, "a")


def test_a_rule_at_the_top_is_no_front_matter(write: Write) -> None:
    assert read(write("a.md", "---\ntext")).text == "---\ntext"


# --- tables -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ","), ("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")])
def test_each_row_says_its_columns(write: Write, name: str, mark: str) -> None:
    rows = [["Name", "Says"], ["Ann", f'"one{mark} two\n three"'], ["Бо", ""]]
    document = read(write(name, "\n".join(mark.join(row) for row in rows)))
    says = f"one{mark} two three".replace("\t", "")
    assert document.text == f"Name: Ann; Says: {says}\nName: Бо"


def test_a_table_without_a_header_gives_its_cells(write: Write) -> None:
    assert read(write("a.csv", "1,Ann\n2,\n,Bob\n")).text == "1; Ann\n2\nBob"


def test_a_cell_of_any_length_is_read(write: Write) -> None:
    assert read(write("a.csv", f"Name,Text\nAnn,{'x' * 200_000}\n")).text == f"Name: Ann; Text: {'x' * 200_000}"


def test_a_workbook_gives_each_sheet_under_its_name(write: Write) -> None:
    people: list[list[Any]] = [["Name", "Age"], ["Ann", 5], ["Бо <&> | x", None], [None, 3.5]]
    sheets: dict[str, list[list[Any]]] = {"People": people, "Empty": [], "Notes": [["just this"]]}
    document = read(write("a.xlsx", files.xlsx(sheets, properties=files.core("Census", "Ann", "2020-01-02T03:04:05Z"))))
    assert document.text == "People\n\nName: Ann; Age: 5\nName: Бо <&> | x\nAge: 3.5\n\nNotes\n\njust this"
    assert headings(document) == [(1, "People"), (1, "Notes")]
    assert (document.title, document.date, document.metadata) == ("Census", "2020-01-02", {"author": "Ann"})


def test_days_times_and_whole_numbers_are_written_as_they_are_shown(write: Write) -> None:
    made = files.xlsx({"S": [[43832, 43832.5, 0.25, 5.0, 1.5]]}, formats=[14, 22, 20, 0, 0])
    assert read(write("a.xlsx", made)).text == "S\n\n2020-01-02; 2020-01-02 12:00:00; 06:00:00; 5; 1.5"


def test_a_workbook_is_read_whatever_its_properties_and_extent_say(write: Write) -> None:
    made = files.xlsx({"S": [["a"], ["b", "c"]]}, properties=files.core("T", created="March 2020"), extent="A1")
    document = read(write("a.xlsx", made))
    assert (document.text, document.title, document.date) == ("S\n\na\nb; c", "T", None)


def test_a_workbook_whose_main_part_is_not_named_is_damaged(write: Write) -> None:
    assert "is damaged" in reason(write("a.xlsx", files.package("x", {"xl/workbook.xml": "<workbook/>"}, {}, "")))


def test_a_damaged_row_number_is_not_counted_to(write: Write) -> None:
    made = files.xlsx({"S": [["a"]]}, first_row=10**15)
    assert reason(write("a.xlsx", made)) == "holds no text, only white space"


# --- web pages ----------------------------------------------------------------------------------------------------

PAGE = """<!doctype html><html lang="ru"><head><title> A &amp;
 B </title><meta name="author" content="Ann"><meta property="article:published_time" content="2020-02-04T10:00:00Z">
<style>p {}</style></head><body><nav><ul><li>Home</ul></nav><h1>Head <em>one</em></h1>
<p>First <b>bold</b> <a href="x">link</a>,
soft&shy;ly a &lt;tag&gt; &amp; 5*3 _x_.<p>unclosed<br>line<br><br>after two
<h2>Список</h2><ul><li>one<li><p>two</p><ul><li>inner</ul></ul>
<table><tr><th>Name<th>Says<tr><td>Ann<td><p>a</p><p>b</p></table>
loose<div>text</div><pre>code
  line</pre><dl><dt>Term<dd>Meaning</dl><script>var x = "<p>no</p>"</script></body><footer>Imprint</footer></html>"""


def test_a_web_page_gives_all_its_text_in_blocks(write: Write) -> None:
    document = read(write("a.html", PAGE))
    assert document.text.split("\n\n") == [
        "Head one",
        "First bold link, softly a <tag> & 5*3 _x_.",
        "unclosed line",
        "after two",
        "Список",
        "one\ntwo\ninner",
        "Name; Says\nAnn; a b",
        "loose",
        "text",
        "code\nline",
        "Term\nMeaning",
    ]
    assert headings(document) == [(1, "Head one"), (2, "Список")]
    assert (document.title, document.date) == ("A & B", "2020-02-04")
    assert document.metadata == {"author": "Ann", "language": "ru"}


def test_a_table_that_only_places_things_is_no_table(write: Write) -> None:
    page = "<table><tr><td>menu<td><h1>Head</h1><p>one</p><p>two</p><table><tr><td>a<td>b</table>tail</table>end"
    assert read(write("a.htm", page)).text == "menu\n\nHead\n\none\n\ntwo\n\na; b\n\ntail\n\nend"


@pytest.mark.parametrize(
    ("page", "blocks"),
    [
        ("<p>a<br>b<br> <br>c", ["a b", "c"]),
        ("<ul><li>a<br><br>b<li><h2>H</h2>c<li>d</ul>", ["a\nb", "H", "c\nd"]),
        ("<table><tr><td><ul><li><h2>H</h2></ul><td>b</table>", ["H", "b"]),
        ("<ul><li>a<table><tr><td>b<td>c</table></ul>", ["a\nb; c"]),
        ("<h1>One<div>two</div></h1>end", ["One two", "end"]),
        ("<h1>never closed <h2>Two</h2> three", ["never closed", "Two", "three"]),
        (
            "<table>loose<caption>Cap</caption><tr>odd<td>a<!-- no --></tr><tr><td><p>x<p>y</table>",
            ["Cap", "loose\nodd; a\nx\ny"],
        ),
        ("<pre>a <!-- no -->\n<b>b</b> c<br>d</pre>", ["a\nb c\nd"]),
        ("<p>漢<ruby>字<rp>(</rp><rt>kan</rt><rp>)</rp></ruby>", ["漢字"]),
        ("a\x1c1 b &#28;c\x1dd", ["a 1 b c d"]),
        ("<?xml version='1.0'?><title/>text<script/> after", ["text after"]),
        ("http://example.org/a.html", ["http://example.org/a.html"]),
        ("<div>" * 3000 + "deep", ["deep"]),
    ],
)
def test_odd_web_pages_lose_nothing(write: Write, page: str, blocks: list[str]) -> None:
    assert read(write("a.html", page)).text.split("\n\n") == blocks


@pytest.mark.parametrize("page", ["<nav>never closed<p>the text</p>", "<nav><p>the text</p></nav>"])
def test_navigation_is_read_where_leaving_it_out_could_lose_the_page(write: Write, page: str) -> None:
    assert "the text" in read(write("a.html", page)).text


@pytest.mark.parametrize(
    ("encoding", "declaration"),
    [
        ("utf-16", ""),
        ("utf-8", '<meta charset="iso-8859-1">'),
        ("windows-1251", '<meta charset="windows-1251">'),
        ("koi8-r", '<meta http-equiv="Content-Type" content="text/html; charset=koi8-r">'),
    ],
)
def test_a_web_page_is_decoded_by_mark_then_utf8_then_declaration(write: Write, encoding: str, declaration: str) -> None:
    assert read(write("a.html", f"{declaration}<p>Снег идёт".encode(encoding))).text == "Снег идёт"


def test_a_web_page_in_an_undeclared_encoding_is_unreadable(write: Write) -> None:
    assert "iconv" in reason(write("a.html", "<p>Снег".encode("windows-1251")))
    assert "nobody knows" in reason(write("b.html", '<meta charset="klingon"><p>Снег'.encode("windows-1251")))


# --- Office, e-books ----------------------------------------------------------------------------------------------


def test_a_word_document_gives_blocks_headings_and_properties(write: Write) -> None:
    body = (
        files.paragraph("Отчёт", "Titel")
        + files.paragraph("Part", "berschrift1")
        + "<w:p><w:r><w:t>AT&amp;T, a &lt; b,</w:t><w:tab/><w:t>tab</w:t><w:br/><w:t>soft</w:t></w:r>"
        "<w:del><w:r><w:delText>gone</w:delText></w:r></w:del><w:ins><w:r><w:t> added</w:t></w:r></w:ins></w:p>"
        + files.paragraph("Own style", "Eigene")
        + files.paragraph("one", "Liste")
        + files.paragraph("two", "Liste")
        + files.table([["Name", "Age"], ["بيروت", "6 | x"]])
        + files.paragraph("# no *markup*")
    )
    note = f'<w:footnote w:type="separator">{files.paragraph("---")}</w:footnote>'
    note += f"<w:footnote>{files.paragraph('A note.')}</w:footnote>"
    document = read(
        write("a.docx", files.docx(body, properties=files.core("T & x", "Ann", "2021-03-04T00:00:00Z"), footnotes=note))
    )
    assert document.text.split("\n\n") == [
        "Отчёт",
        "Part",
        "AT&T, a < b, tab soft added",
        "Own style",
        "one\ntwo",
        "Name; Age\nبيروت; 6 | x",
        "# no *markup*",
        "A note.",
    ]
    assert headings(document) == [(1, "Отчёт"), (1, "Part"), (2, "Own style")]
    assert (document.title, document.date, document.metadata) == ("T & x", "2021-03-04", {"author": "Ann"})


def test_a_word_document_gives_what_stands_in_controls_boxes_and_inner_tables(write: Write) -> None:
    def box(text: str) -> str:
        return f"<w:txbxContent>{files.paragraph(text)}</w:txbxContent>"

    other = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    choice = f"<mc:AlternateContent {other}><mc:Choice>{box('box')}</mc:Choice><mc:Fallback>{box('box')}</mc:Fallback>"
    cells = files.table([["outer", "@"]]).replace(files.paragraph("@"), files.table([["in"], ["ner"]]) + files.paragraph(""))
    body = (
        f"<w:sdt><w:sdtPr/><w:sdtContent>{files.paragraph('control')}</w:sdtContent></w:sdt>"
        f"<w:p><w:r><w:t>around</w:t></w:r><w:r>{choice}</mc:AlternateContent></w:r><w:r>{box('second')}</w:r></w:p>{cells}"
    )
    note = f'<w:footnote w:type="normal">{files.paragraph("A note.")}</w:footnote>'
    document = read(write("a.docx", files.docx(body, footnotes=note)))
    assert document.text == "control\n\naround\n\nbox\n\nsecond\n\nouter; in ner\n\nA note."


def test_a_file_without_properties_gets_none_made_up(write: Write) -> None:
    for name, made in CONTAINERS.items():
        document = read(write(name, made))
        assert (document.title, document.date, document.metadata) == ("a", None, {})


def test_shapes_in_groups_and_in_two_versions_are_read_once(write: Write) -> None:
    other = 'xmlns:mc="http://schemas.openxmlformats.org/markup-compatibility/2006"'
    versions = f"<mc:Choice>{files.shape(['new'])}</mc:Choice><mc:Fallback>{files.shape(['old'])}</mc:Fallback>"
    group = f"<p:grpSp><p:nvGrpSpPr><p:cNvPr id='9' name=''/><p:nvPr/></p:nvGrpSpPr>{files.shape(['inner'])}</p:grpSp>"
    slide = f"<mc:AlternateContent {other}>{versions}</mc:AlternateContent>{group}"
    assert read(write("a.pptx", files.pptx([slide]))).text == "new\n\ninner"


@pytest.mark.parametrize("name", ["a.docx", "a.pptx"])
def test_a_damaged_picture_damages_no_text(write: Write, name: str) -> None:
    path = write(name, CONTAINERS[name])
    with zipfile.ZipFile(path, "a") as container:
        container.writestr("media/image1.png", "picture")  # uncompressed
    path.write_bytes(path.read_bytes().replace(b"picture", b"damaged"))
    assert read(path).text == "text"


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx", "a.epub"])
def test_a_part_too_large_to_be_read_is_refused(write: Write, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    path = write(name, CONTAINERS[name])
    monkeypatch.setattr(formats, "LARGEST_PART", 100)
    assert "too large to be read" in reason(path)


def test_a_presentation_gives_slides_in_the_order_shown_with_notes(write: Write) -> None:
    first = (
        files.shape(["point one", "point два"], "body") + files.shape(["The title"], "ctrTitle") + files.shape(["9"], "sldNum")
    )
    second = files.shape(["Second"], "title") + files.drawn_table([["a", "b"], ["c", "d"]])
    document = read(write("a.pptx", files.pptx([first, second], notes="Say this.", properties=files.core("Deck"))))
    assert document.text == "The title\n\npoint one\npoint два\n\nSay this.\n\nSecond\n\na; b\nc; d"
    assert headings(document) == [(1, "The title"), (1, "Second")]
    assert (document.title, document.date) == ("Deck", None)


def test_a_book_gives_its_chapters_in_reading_order(write: Write) -> None:
    chapters = {"z 1.xhtml": "<h1>Глава</h1><p>First\nline.</p>", "a.xhtml": "<h2>Two</h2><p>Second.</p>loose"}
    head = "<dc:title>Book</dc:title><dc:creator>Ann</dc:creator><dc:creator>Bob</dc:creator><dc:date>2019-05-06</dc:date>"
    document = read(write("a.epub", files.epub(chapters, head=head)))
    assert document.text == "Глава\n\nFirst line.\n\nTwo\n\nSecond.\n\nloose"
    assert headings(document) == [(1, "Глава"), (2, "Two")]
    assert (document.title, document.date, document.metadata) == ("Book", "2019-05-06", {"author": "Ann, Bob"})


def test_a_locked_book_is_named_so_but_veiled_fonts_lock_nothing(write: Write) -> None:
    def book(hidden: str) -> bytes:
        lock = f'<e><CipherReference xmlns="http://www.w3.org/2001/04/xmlenc#" URI="{hidden}"/></e>'
        return files.epub({"a.xhtml": "<p>text</p>"}, extra={"META-INF/encryption.xml": lock})

    assert "DRM" in reason(write("a.epub", book("book/a.xhtml")))
    assert read(write("b.epub", book("book/font.otf"))).text == "text"


@pytest.mark.parametrize("name", ["a.docx", "a.pptx", "a.xlsx"])
def test_an_encrypted_office_file_says_what_to_do(write: Write, name: str) -> None:
    content = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "EncryptedPackage".encode("utf-16-le")
    assert reason(write(name, content)) == "is encrypted; save a copy without a password"


def test_an_old_binary_office_file_says_what_to_do(write: Write) -> None:
    assert "save it as docx" in reason(write("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500)))


CONTAINERS = {
    "a.docx": files.docx(files.paragraph("text")),
    "a.pptx": files.pptx([files.shape(["text"])]),
    "a.xlsx": files.xlsx({"S": [["text"]]}),
    "a.epub": files.epub({"a.xhtml": "<p>text</p>"}),
}
MAIN_PARTS = {
    "a.docx": b"word/document.xml",
    "a.pptx": b"ppt/presentation.xml",
    "a.xlsx": b"xl/worksheets/sheet1.xml",
    "a.epub": b"META-INF/container.xml",
}


@pytest.mark.parametrize("name", MAIN_PARTS)
def test_a_damaged_container_says_so(write: Write, name: str) -> None:
    made = CONTAINERS[name]
    assert read(write(name, made)).text.endswith("text")
    assert "is damaged" in reason(write(name, made[: len(made) // 2]))
    content = made.index(b"ml", made.index(MAIN_PARTS[name])) + 2  # the packed bytes follow the part's name
    flipped = bytearray(made)
    flipped[content + 10 : content + 30] = bytes(20)
    assert "damaged" in reason(write(name, bytes(flipped)))


@pytest.mark.parametrize(
    ("name", "content", "what"),
    [
        ("a.docx", files.xlsx({"S": [["text"]]}), "is not a docx file but a xlsx file"),
        ("a.docx", files.zipped({"a.txt": "b"}), "is not a docx file but another zip container"),
        ("a.docx", b"{\\rtf1 text}", "is not a docx file but an RTF text"),
        ("a.xlsx", b"<html><table><tr><td>1</table>", "is not a xlsx file but a web page"),
        ("a.pdf", files.docx(files.paragraph("x")), "is not a PDF but a zip container"),
        ("a.epub", b"%PDF-1.4", "is not a epub file but a PDF"),
        ("a.eml", b"just some words", "is not an e-mail"),
    ],
)
def test_a_mislabelled_file_is_told_what_it_is(write: Write, name: str, content: bytes, what: str) -> None:
    assert what in reason(write(name, content))


# --- e-mail -------------------------------------------------------------------------------------------------------


def message(subject: str = "Привет", **content: Any) -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"], mail["From"], mail["To"] = subject, "Ann <ann@example.org>", "bob@example.org"
    mail["Date"] = "Tue, 04 Feb 2020 23:30:00 -0500"
    mail.set_content("Dear Bob,\r\n\r\nснег идёт.\r\n", **content)
    return mail


def test_a_message_gives_its_plain_text_and_names_its_attachments(write: Write) -> None:
    mail = message()
    mail.add_alternative("<p>not this</p>", subtype="html")
    mail.add_attachment(b"x", maintype="application", subtype="pdf", filename="отчёт.pdf")
    document = read(write("a.eml", mail.as_bytes()))
    assert document.text == "Dear Bob,\n\nснег идёт.\n"
    assert (document.title, document.date) == ("Привет", "2020-02-04")
    assert document.metadata == {"from": "Ann <ann@example.org>", "to": "bob@example.org", "attachments": ["отчёт.pdf"]}


def test_a_message_without_plain_text_gives_its_page(write: Write) -> None:
    mail = EmailMessage()
    mail["From"] = "ann@example.org"
    mail.set_content("<h1>Head</h1><p>Some\nтекст</p>", subtype="html")
    document = read(write("a.eml", mail.as_bytes()))
    assert (document.text, headings(document), document.title) == ("Head\n\nSome текст", [(1, "Head")], "a")


def test_flowed_lines_are_joined(write: Write) -> None:
    mail = b"From: a@b.c\nContent-Type: text/plain; format=flowed\n\none \ntwo\nthree\n-- \nAnn\n"
    assert read(write("a.eml", mail)).text == "one two\nthree\n-- \nAnn\n"


def test_a_message_of_attachments_only_names_them(write: Write) -> None:
    mail = EmailMessage()
    mail["From"] = "ann@example.org"
    mail.add_attachment(b"x", maintype="application", subtype="pdf", filename="scan.pdf")
    assert reason(write("a.eml", mail.as_bytes())) == "is a message without text (attached: scan.pdf)"


# --- PDF ----------------------------------------------------------------------------------------------------------

LONG = ["The committee continued its long deliberations about the", "cooperation of its members and the means to stabilise the"]


def test_a_pdf_gives_paragraphs_headings_and_pages(write: Write) -> None:
    first = [
        files.Print(50, 740, "Report", 20),
        files.Print(50, 700, "A bold label", 10, bold=True),
        *files.column([*LONG, "region."], 680),
        *files.column([*LONG, "world, which is (not) the end, and so it goes on over"], 630),
    ]
    second = [*files.column(["the border of the page, as caf\xe9s do."], 740), *files.column([*LONG, "end."], 700)]
    info = "/Title (The title) /Author (Ann) /CreationDate (D:20210304050607Z)"
    document = read(write("a.pdf", files.pdf([first, second], info=info)))
    running = " ".join([*LONG, "world, which is (not) the end, and so it goes on over"])
    assert document.text.split("\n\n") == [
        "Report",
        "A bold label",
        " ".join([*LONG, "region."]),
        running + " the border of the page, as caf\xe9s do.",
        " ".join([*LONG, "end."]),
    ]
    assert headings(document) == [(1, "Report"), (2, "A bold label")]
    assert document.pages == (0, document.text.index("the border of"))
    assert (document.title, document.date, document.metadata) == ("The title", "2021-03-04", {"author": "Ann"})


def test_pages_without_text_have_their_place(write: Write) -> None:
    page = files.column(["One line only."], 700)
    document = read(write("a.pdf", files.pdf([[], page, [], page, []])))
    assert document.text == "One line only.\n\nOne line only."
    assert document.pages == (0, 0, 16, 16, 30)


def test_running_heads_and_page_numbers_are_left_out(write: Write) -> None:
    pages = [
        [files.Print(50, 780, "Annual report"), *files.column([f"Text of page {n}."], 600), files.Print(300, 20, f"- {n} -")]
        for n in ("one", "two", "three")
    ]
    document = read(write("a.pdf", files.pdf(pages)))
    assert "Annual report" not in document.text
    assert [document.text[start:].partition("\n")[0] for start in document.pages] == [
        f"Text of page {n}." for n in ("one", "two", "three")
    ]


def test_list_items_of_a_pdf_stay_apart(write: Write) -> None:
    lines = ["\x95 " + LONG[0], "  " + LONG[1] + " end", "\x95 second item"]
    printed = [files.Print(50 + 10 * (i == 1), 700 - 12 * i, line.replace("\x95", "•")) for i, line in enumerate(lines)]
    assert read(write("a.pdf", files.pdf([printed]))).text == f"• {LONG[0]} {LONG[1]} end\n\n• second item"


def test_a_pdf_without_text_asks_for_ocr(write: Write) -> None:
    assert "ocrmypdf" in reason(write("a.pdf", files.pdf([[], []])))


def test_an_encrypted_pdf_says_what_to_do(write: Write) -> None:
    content = files.pdf([files.column(["secret"], 700)], encrypt=True)
    assert reason(write("a.pdf", content)) == "is encrypted; save a copy without a password"


def test_a_damaged_pdf_says_so(write: Write) -> None:
    assert "is damaged" in reason(write("a.pdf", b"%PDF-1.4\nnothing more"))


# --- JSON lines ---------------------------------------------------------------------------------------------------


def records(path: Path) -> list[Document | Unreadable]:
    return list(read_documents(path, "unused"))


def test_a_record_keeps_id_title_text_and_fields_verbatim(write: Write) -> None:
    line = {
        "_id": " 7 ",
        "id": 7,
        "title": " T ",
        "text": " a\r\n\0b ",
        "date": "Tue, 04 Feb 2020 10:00:00 GMT",
        "url": "http://x",
    }
    [document] = records(write("a.jsonl", b"\xef\xbb\xbf" + json.dumps(line).encode()))
    assert isinstance(document, Document)
    assert (document.id, document.title, document.text) == (" 7 ", " T ", " a\r\n\0b ")
    assert (document.date, document.uri) == ("2020-02-04", "http://x")
    assert document.metadata == {"id": 7, "date": line["date"], "url": "http://x"}


@given(identifier=st.text(min_size=1), text=st.text().filter(lambda t: t.strip()), ascii_only=st.booleans())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_id_and_text_come_back_as_they_were(tmp_path: Path, identifier: str, text: str, ascii_only: bool) -> None:
    path = tmp_path / "a.ndjson"
    line = json.dumps({"id": identifier, "text": text}, ensure_ascii=ascii_only).encode("utf-8")
    path.write_bytes(line + b"\r\n\n" + line.replace(b'"id"', b'"_id"') + b"\n")
    first, second = records(path)
    assert isinstance(first, Document)
    assert (first.id, first.text) == (identifier, text)
    assert isinstance(second, Unreadable)
    assert second.source == "line 3"
    assert "that of line 1" in second.reason


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b'{"id": 1, "text"', "is not JSON: Expecting ':' delimiter at character"),
        (b"[1]", "is not a JSON object but a list"),
        (b'{"text": "x"}', "has no id"),
        (b'{"id": "", "text": "x"}', "its id is empty"),
        (b'{"id": true, "text": "x"}', "its id is true or false"),
        (b'{"id": 1.5, "text": "x"}', "its id is a number"),
        (b'{"id": 1}', 'has no "text"'),
        (b'{"id": 1, "text": " \\n"}', 'its "text" is empty'),
        (b'{"id": 1, "text": ["x"]}', 'its "text" is a list'),
        (b'{"id": 1, "text": "x", "title": 3}', 'its "title" is a number'),
        (b'{"id": 1, "text": "caf\xe9"}', "is not UTF-8 (byte 22 of the line is 0xe9)"),
        (b'{"id": 1, "text": "\\ud800"}', "half of a surrogate pair"),
        (b'{"id": 1, "text": "x", "a": [{"\\udc00": 1}]}', "half of a surrogate pair"),
        (b'{"id": 1, "text": "x", "a": 1e999}', "the number inf"),
        (b'{"id": 1, "text": "x", "a": NaN}', "the number nan"),
        (b"[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_is_named_and_the_rest_goes_on(write: Write, line: bytes, said: str) -> None:
    path = write("a.jsonl", b'{"id": "a", "text": "x", "title": null}\n\n' + line + b'\n{"id": 2, "text": "y"}')
    first, bad, last = records(path)
    assert isinstance(first, Document)
    assert first.title == ""
    assert isinstance(bad, Unreadable)
    assert bad.source == "line 3"
    assert said in bad.reason
    assert isinstance(last, Document)
    assert last.id == "2"


@pytest.mark.parametrize(
    ("written", "date"),
    [
        ("2020-02-04", "2020-02-04"),
        ("2020-02-04T23:00:00-05:00", "2020-02-04"),
        ("2020-02-04 10:00", "2020-02-04"),
        ("20200204", "2020-02-04"),
        ("4 Feb 2020 10:00", "2020-02-04"),
        ("February", None),
        ("2020-13-01", None),
        (2020, None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_is_normalised_where_it_is_one(written: Any, date: str | None) -> None:
    document = document_from_record({"id": 1, "text": "x", "date": written})
    assert (document.date, document.metadata) == (date, {"date": written})


def test_uri_goes_before_url_and_both_must_be_strings() -> None:
    assert document_from_record({"id": 1, "text": "x", "uri": "a", "url": "b"}).uri == "a"
    assert document_from_record({"id": 1, "text": "x", "uri": 3, "url": "b"}).uri == "b"
    assert document_from_record({"id": 1, "text": "x", "url": 3}).uri is None


def test_a_record_that_is_no_object_is_refused_in_words() -> None:
    with pytest.raises(UnreadableError, match="is not a JSON object but a list"):
        document_from_record(["no"])  # type: ignore[arg-type]


def test_records_are_read_as_they_are_asked_for(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0

    def count(record: Any) -> Document:
        nonlocal asked
        asked += 1
        return document_from_record(record)

    path = write("a.jsonl", b'{"id": 1, "text": "x"}\n' + b'{"id": 2, "text": "y"}\n')
    monkeypatch.setattr(documents, "document_from_record", count)
    next(read_documents(path, ""))
    assert asked == 1


# --- sidecars and hashes ------------------------------------------------------------------------------------------


def test_a_sidecar_overrides_what_the_file_says(write: Write) -> None:
    meta = {"title": "Better", "date": "2022-05-11T10:00:00Z", "uri": "http://x", "author": "Bob", "tags": ["a"]}
    document = read(write("a.html", PAGE, meta))
    assert (document.title, document.date, document.uri) == ("Better", "2022-05-11", "http://x")
    assert document.metadata == {"author": "Bob", "language": "ru", "tags": ["a"]}


@pytest.mark.parametrize(
    ("meta", "said"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object but a list"),
        ('{"title": 3}', 'has a "title" that is a number'),
        ('{"x": "\\ud800"}', "half of a surrogate pair"),
    ],
)
def test_a_broken_sidecar_makes_the_file_unreadable(write: Write, meta: str, said: str) -> None:
    path = write("a.txt", "text", meta)
    assert reason(path).startswith("its sidecar a.txt.meta.json cannot be used: it ")
    assert said in reason(path)


def test_json_lines_have_no_sidecar(write: Write) -> None:
    path = write("a.jsonl", '{"id": 1, "text": "x"}', "broken")
    [document] = records(path)
    assert isinstance(document, Document)
    before = content_hash(path)
    sidecar(path).unlink()
    assert content_hash(path) == before


def test_a_sidecar_is_no_document_of_its_own() -> None:
    assert sidecar(Path("d/note.txt")) == Path("d/note.txt.meta.json")
    assert not is_supported(Path("note.txt.meta.json"))
    assert not is_supported(Path("note.md.meta.json"))


def test_formats_are_told_by_suffix_in_any_case() -> None:
    suffixes = "txt log text rst md markdown html htm xhtml pdf docx pptx xlsx epub eml csv tsv jsonl ndjson PDF".split()
    assert all(is_supported(Path(f"a.{suffix}")) for suffix in suffixes)
    assert not any(is_supported(Path(name)) for name in ("a", "txt", "a.json", "a.exe", "a.txt.gz"))


def test_the_hash_covers_file_and_sidecar_and_where_one_ends(write: Write) -> None:
    alone = content_hash(write("a.txt", "ab"))
    with_sidecar = content_hash(write("b.txt", "ab", "c"))
    assert len({alone, with_sidecar, content_hash(write("c.txt", "a", "bc")), content_hash(write("d.txt", "abc"))}) == 4
    assert content_hash(write("e.txt", "ab", "c")) == with_sidecar


# --- the machine --------------------------------------------------------------------------------------------------


def test_a_file_that_vanished_says_so(tmp_path: Path) -> None:
    assert reason(tmp_path / "a.txt").startswith("is no longer there")
    assert reason(tmp_path / "a.jsonl").startswith("is no longer there")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").mkdir()
    assert reason(tmp_path / "a.txt") == "is a folder, not a file"


def test_a_suffix_of_no_format_says_so(write: Write) -> None:
    assert 'a suffix (".exe") of no format' in reason(write("a.exe", "x"))


class _Panic(BaseException):
    """What native libraries raise: no Exception."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(13, "Permission denied"), "permission denied"),
        (OSError(5, "Input/output error"), "could not be read from the disk [Input/output error]"),
        (ValueError("odd bytes"), "may be damaged; open it in its own program and save it again [ValueError: odd bytes]"),
        (_Panic("index out of range"), "[_Panic: index out of range]"),
    ],
)
def test_no_error_of_reading_gets_out(write: Write, monkeypatch: pytest.MonkeyPatch, error: BaseException, said: str) -> None:
    path = write("a.txt", "text")

    def fail(_: bytes) -> Any:
        raise error

    monkeypatch.setitem(formats.FORMATS, ".txt", formats.FORMATS[".txt"]._replace(read=fail))
    assert said in reason(path)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_interrupts_get_out(write: Write, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]) -> None:
    def fail(_: bytes) -> Any:
        raise error

    monkeypatch.setitem(formats.FORMATS, ".txt", formats.FORMATS[".txt"]._replace(read=fail))
    with pytest.raises(error):
        list(read_documents(write("a.txt", "text"), "x"))


def test_no_library_is_imported_before_the_first_file_of_its_format() -> None:
    heavy = ["bs4", "docx", "lxml", "markdown_it", "pptx", "pypdfium2", "python_calamine", "striprtf", "yaml"]
    told = f"import sys, indexer.documents; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, check=True).stdout.strip() == b"[]"


def test_reading_leaves_nothing_on_the_disk(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("a.xlsx", files.xlsx({"S": [["text"]]}))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    read(path)
    assert list(tmp_path.iterdir()) == [path]


FILES = {
    "a.pdf": files.pdf([files.column([*LONG, "end."], 700)]),
    "a.docx": files.docx(files.paragraph("text")),
    "a.xlsx": files.xlsx({"S": [["a", "b"], ["text", 1]]}),
    "a.epub": files.epub({"a.xhtml": "<p>text</p>"}),
    "a.eml": message().as_bytes(),
    "a.html": PAGE.encode(),
}


@given(
    name=st.sampled_from(sorted(FILES)), place=st.floats(0, 1, exclude_max=True), junk=st.binary(max_size=8), cut=st.booleans()
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_anywhere_never_raises(tmp_path: Path, name: str, place: float, junk: bytes, cut: bool) -> None:
    whole = FILES[name]
    at = int(place * len(whole))
    (tmp_path / name).write_bytes(whole[:at] + junk + (b"" if cut else whole[at + len(junk) :]))
    [result] = read_documents(tmp_path / name, "x")
    if isinstance(result, Document):
        assert result.text.strip()
        assert all(result.text[h.start : h.end].strip() for h in result.headings)


@pytest.mark.parametrize(
    ("written", "date", "metadata"),
    [
        ("1650", "1650", {}),
        ("1887-05", "1887-05", {}),
        ("2022-05-11T10:00:00Z", "2022-05-11", {}),
        ("circa 1650", None, {"date": "circa 1650"}),
    ],
)
def test_a_year_is_a_date_and_one_in_words_stays_as_metadata(
    write: Write, written: str, date: str | None, metadata: dict[str, str]
) -> None:
    [document] = read_documents(write("a.txt", "text", json.dumps({"date": written})), "id")
    assert isinstance(document, Document)
    assert (document.date, document.metadata) == (date, metadata)


def test_front_matter_that_is_no_text_is_reported_and_stops_nothing(write: Write) -> None:
    assert "half of a surrogate pair" in reason(write("a.md", '---\ntitle: "a \\ud800"\n---\nHello'))
