"""Files as people have them that a reader lost text of, or gave up on: one test a loss, the smallest file that shows it."""

from __future__ import annotations

from indexer.formats import FORMATS, Content

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
