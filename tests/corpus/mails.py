"""E-mail: what the sender wrote, what he quotes and forwards, what hangs on it."""

from __future__ import annotations

from email.message import EmailMessage

from tests.corpus import Piece, text


def mail(subject: str, body: str, *, page: str = "", attached: str = "") -> bytes:
    message = EmailMessage()
    message["Subject"], message["From"], message["To"] = subject, "Bob <bob@example.org>", "ann@example.org"
    message["Date"] = "Wed, 05 Feb 2020 08:00:00 +0100"
    if body:
        message.set_content(text(body).decode())
    if page and body:
        message.add_alternative(page, subtype="html")
    elif page:
        message.set_content(page, subtype="html")
    if attached:
        message.add_attachment(b"%PDF", maintype="application", subtype="pdf", filename=attached)
    return message.as_bytes()


ABOVE = """
Yes, the reading room will be heated from Monday on.

Bob

On Tue, 4 Feb 2020 at 23:30, Ann Lee <ann@example.org> wrote:
> Dear Bob,
>
> will the reading room be heated again before the winter
> ends? The parchments suffer and so do we.
>
> On Mon, 3 Feb 2020, Carl wrote:
>> The boiler broke in December and nobody came.
"""

BETWEEN = """
On Tue, Feb 4, 2020 at 11:30 PM Ann Lee the archivist of the town
<ann@example.org> wrote:

> Who has the key of the tower?

The sexton has it, at home, in the blue jar.

> And when can we see the bells?

On Sunday after mass.
"""

FORWARDED = """
For your files.

---------- Forwarded message ---------
From: Carl <carl@example.org>
Date: Mon, 3 Feb 2020 at 10:00
Subject: Boxes
To: Bob <bob@example.org>

There are forty boxes of glass negatives in the cellar, and water comes in.
"""

PAGE = """<html><body><div>The map was lent to the museum in 1987.</div><br>
<div class="gmail_quote"><div class="gmail_attr">On Tue, 4 Feb 2020, Ann wrote:<br></div>
<blockquote><div>Where is the big map of the harbour?</div></blockquote></div></body></html>"""

FROM = {"from": "Bob <bob@example.org>", "to": "ann@example.org"}

PIECES = [
    Piece(
        "heating.eml",
        mail("Re: Heating", ABOVE),
        [
            "Yes, the reading room will be heated from Monday on.",
            "[Bob › On Tue, 4 Feb 2020 at 23:30, Ann Lee <ann@example.org> wrote: › Dear Bob,] will the reading "
            "room be heated again before the winter\nends? The parchments suffer and so do we.",
            "[On Tue, 4 Feb 2020 at 23:30, Ann Lee <ann@example.org> wrote: › On Mon, 3 Feb 2020, Carl wrote:] "
            "The boiler broke in December and nobody came.",
        ],
        title="Re: Heating",
        date="2020-02-05",
        metadata=FROM,
        question="Will the reading room be heated?",
        answer="Yes, the reading room will be heated from Monday on.",
    ),
    Piece(
        "key.eml",
        mail("Re: Key", BETWEEN),
        [
            "On Tue, Feb 4, 2020 at 11:30 PM Ann Lee the archivist of the town <ann@example.org> wrote:",
            "Who has the key of the tower?",
            "The sexton has it, at home, in the blue jar.",
            "And when can we see the bells?",
            "On Sunday after mass.",
        ],
        title="Re: Key",
        date="2020-02-05",
        metadata=FROM,
    ),
    Piece(
        "boxes.eml",
        mail("Fwd: Boxes", FORWARDED),
        [
            "For your files.",
            "---------- Forwarded message ---------\nFrom: Carl <carl@example.org>\nDate: Mon, 3 Feb 2020 at "
            "10:00\nSubject: Boxes\nTo: Bob <bob@example.org>",
            "There are forty boxes of glass negatives in the cellar, and water comes in.",
        ],
        title="Fwd: Boxes",
        date="2020-02-05",
        metadata=FROM,
    ),
    Piece(
        "map.eml",
        mail("Re: Map", "", page=PAGE),
        [
            "The map was lent to the museum in 1987.",
            "[On Tue, 4 Feb 2020, Ann wrote:] Where is the big map of the harbour?",
        ],
        title="Re: Map",
        date="2020-02-05",
        metadata=FROM,
    ),
    Piece(
        "both.eml",
        mail("Both", "\nThe plain words are read.\n", page="<p>Not this page.</p>", attached="plan.pdf"),
        ["The plain words are read."],
        title="Both",
        date="2020-02-05",
        metadata={**FROM, "attachments": ["plan.pdf"]},
    ),
]
