"""Word, PowerPoint, Excel, LibreOffice, RTF: with what hides beside the text."""

from __future__ import annotations

from tests import files
from tests.corpus import Piece, text
from tests.files import paragraph, table, zipped


def box(written: str) -> str:
    return f"<w:r><w:pict><w:txbxContent>{paragraph(written)}</w:txbxContent></w:pict></w:r>"


def numbered(written: str) -> str:
    properties = '<w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>'
    return f"<w:p>{properties}<w:r><w:t>{written}</w:t></w:r></w:p>"


MINUTES = (
    paragraph("Minutes of the bridge committee", "Titel")
    + paragraph("Decisions", "berschrift1")
    + paragraph("The committee decided to rebuild the wooden bridge in stone.")
    + numbered("The mason Egger is asked for a plan.")
    + numbered("The toll is doubled until it is paid.")
    + table([["Member", "Vote"], ["Egger", "for"], ["Pichler", "against"]])
    + paragraph("Remarks", "berschrift1")
    + paragraph("Mr Pichler left the room in anger.")
)
TRACKED = (
    '<w:p><w:r><w:t xml:space="preserve">The rent is </w:t></w:r><w:del w:id="1" w:author="A"><w:r><w:delText>forty</w:delText></w:r>'
    '</w:del><w:ins w:id="2" w:author="A"><w:r><w:t>sixty</w:t></w:r></w:ins><w:r><w:t xml:space="preserve"> crowns a year.</w:t></w:r></w:p>'
    '<w:p><w:moveFrom w:id="3" w:author="A"><w:r><w:t>The meadow is excluded.</w:t></w:r></w:moveFrom></w:p>'
    + paragraph("The tenant mends the roof.")
    + '<w:p><w:moveTo w:id="4" w:author="A"><w:r><w:t>The meadow is excluded.</w:t></w:r></w:moveTo></w:p>'
)
NOTED = (
    '<w:p><w:r><w:t>The chapel was painted by an unknown hand.</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>'
    + f"<w:p><w:r><w:t>Above the door is a date.</w:t></w:r>{box('Seen on a walk in May.')}</w:p>"
    + "<w:sectPr/>"
)
NOTE = f'<w:footnote w:id="2">{paragraph("Perhaps by the master of the nearby cloister.")}</w:footnote>'


def with_heads(made: bytes) -> bytes:
    """A Word file with a page header and footer, which its reader leaves out."""
    import io
    import zipfile

    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    parts["word/_rels/document.xml.rels"] = files.relations(
        {"styles": "styles.xml", "header": "header1.xml", "footer": "footer1.xml"}
    )
    for kind, tag in (("header", "hdr"), ("footer", "ftr")):
        parts[f"word/{kind}1.xml"] = f'<w:{tag} xmlns:w="{files.WORD}">{paragraph(f"The {kind} of each page.")}</w:{tag}>'
    return zipped(parts)


LECTURE = files.pptx(
    [
        files.shape(["How glaciers move"], "title")
        + files.shape(["They slide on water under them.", "They also flow like honey."], "body"),
        files.shape(["Speeds"], "title") + files.drawn_table([["Glacier", "Metres a year"], ["Aletsch", "200"]]),
    ],
    notes="Ask the class who has seen one.",
    properties=files.core("Glaciers", "Ann", "2019-03-01T00:00:00Z"),
)
STOCK = files.xlsx(
    {
        "Stock": [["Item", "Shelf", "Bought"], ["Violin strings", "B 4", 43832], ["Bow hair", "B 5", None]],
        "Sheet2": [["Ask Ida first."]],
    },
    formats=[0, 0, 14],
)

ODF = "urn:oasis:names:tc:opendocument:xmlns"
ODT_NAMES = (
    f'xmlns:office="{ODF}:office:1.0" xmlns:text="{ODF}:text:1.0" xmlns:table="{ODF}:table:1.0" xmlns:draw="{ODF}:drawing:1.0"'
)


def odt(body: str) -> bytes:
    meta = (
        f'<office:document-meta xmlns:office="{ODF}:office:1.0" xmlns:meta="{ODF}:meta:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<office:meta><dc:title>The clockmaker</dc:title><meta:initial-creator>Ida</meta:initial-creator>"
        "<meta:creation-date>2018-07-01T10:00:00</meta:creation-date><meta:keyword>clocks</meta:keyword></office:meta></office:document-meta>"
    )
    content = f"<office:document-content {ODT_NAMES}><office:body><office:text>{body}</office:text></office:body></office:document-content>"
    return zipped({"mimetype": "application/vnd.oasis.opendocument.text", "content.xml": content, "meta.xml": meta})


CLOCKS = odt(
    "<text:tracked-changes><text:changed-region><text:deletion><text:p>Deleted words.</text:p></text:deletion></text:changed-region>"
    '</text:tracked-changes><text:h text:outline-level="1">His workshop</text:h>'
    "<text:p>The clockmaker<text:s/>of<text:tab/>Lund built <text:span>two</text:span> hundred clocks"
    "<text:note><text:note-citation>1</text:note-citation><text:note-body><text:p>Nine are left.</text:p></text:note-body></text:note>."
    "<office:annotation><text:p>Check this!</text:p></office:annotation></text:p>"
    "<text:list><text:list-item><text:p>with pendulums</text:p></text:list-item><text:list-item><text:p>with springs</text:p>"
    "<text:list><text:list-item><text:p>of steel</text:p></text:list-item></text:list></text:list-item></text:list>"
    "<table:table><table:table-row><table:table-cell><text:p>Year</text:p></table:table-cell><table:table-cell><text:p>Clocks</text:p>"
    "</table:table-cell></table:table-row><table:table-row><table:table-cell><text:p>1790</text:p></table:table-cell><table:table-cell>"
    "<text:p>eleven</text:p></table:table-cell></table:table-row></table:table>"
    '<text:section><text:h text:outline-level="2">His end</text:h><text:p>He died at his bench while a clock struck nine.</text:p>'
    "<text:p><draw:frame><draw:text-box><text:p>Portrait by his daughter.</text:p></draw:text-box></draw:frame></text:p></text:section>"
)

FERRY = text(r"""
{\rtf1\ansi\ansicpg1252{\fonttbl{\f0 Times;}}{\info{\title The ferry}{\author Ann}}{\header Page head\par}{\footer 3\par}
\b The ferry\b0\par The ferry crossed at dawn; nobody in the caf\'e9 saw \u1057?\u1085?\u1077?\u1075? fall.\par {\*\generator x;}
\trowd\cellx1000\cellx2000 Year\cell Fare\cell\row\trowd\cellx1000\cellx2000 1901\cell two pence\cell\row
\pard In 1950 a bridge took its place.\par }
""")

PIECES = [
    Piece("minutes.docx", files.docx(MINUTES), [
"[Minutes of the bridge committee › Decisions] The committee decided to rebuild the wooden bridge in stone.",
"[Decisions] The mason Egger is asked for a plan.\nThe toll is doubled until it is paid.",
"[Decisions] Member; Vote\nEgger; for\nPichler; against",
"[Remarks] Mr Pichler left the room in anger.",
], question="What did the committee decide about the wooden bridge?", answer="The committee decided to rebuild the wooden bridge"),
    Piece("lease.docx", files.docx(TRACKED), [
"The rent is sixty crowns a year.",
"The tenant mends the roof.",
"The meadow is excluded.",
],),
    Piece("chapel.docx", with_heads(files.docx(NOTED)), [
"The chapel was painted by an unknown hand.",
"Above the door is a date.",
"Seen on a walk in May.",
],),
    Piece("chapel-notes.docx", files.docx(NOTED, footnotes=NOTE), [
"The chapel was painted by an unknown hand.",
"Perhaps by the master of the nearby cloister.",
"Above the door is a date.",
"Seen on a walk in May.",
],),
    Piece("glaciers.pptx", LECTURE, [
"[How glaciers move] They slide on water under them.\nThey also flow like honey.",
"[How glaciers move] Ask the class who has seen one.",
"[Speeds] Glacier; Metres a year\nAletsch; 200",
], title="Glaciers", date="2019-03-01", metadata={"author": "Ann"}, question="How do glaciers move?", answer="They slide on water"),
    Piece("stock.xlsx", STOCK, [
"[Stock] Item: Violin strings; Shelf: B 4; Bought: 2020-01-02\nItem: Bow hair; Shelf: B 5",
"[Sheet2] Ask Ida first.",
], question="On which shelf are the violin strings?", answer="Item: Violin strings"),
    Piece("clocks.odt", CLOCKS, [
"[His workshop] The clockmaker of Lund built two hundred clocks.",
"[His workshop] Nine are left.",
"[His workshop] with pendulums\nwith springs\nof steel",
"[His workshop] Year; Clocks\n1790; eleven",
"[His workshop › His end] He died at his bench while a clock struck nine.",
"[His workshop › His end] Portrait by his daughter.",
], title="The clockmaker", date="2018-07-01", metadata={"author": "Ida", "keywords": "clocks"}, question="How did the clockmaker die?", answer="He died at his bench"),
    Piece("ferry.rtf", FERRY, [
"[The ferry] The ferry crossed at dawn; nobody in the café saw Снег fall.",
"Year; Fare\n1901; two pence",
"In 1950 a bridge took its place.",
], title="The ferry", metadata={"author": "Ann"}, question="When did the ferry cross?", answer="The ferry crossed at dawn"),
]  # fmt: skip
