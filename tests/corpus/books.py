"""E-books: chapters in order, named by the table of contents where they do not name themselves."""

from __future__ import annotations

from tests.corpus import Piece
from tests.files import zipped

CONTAINER = (
    '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
    '<rootfile full-path="OEBPS/content.opf"/></rootfiles></container>'
)


def book(chapters: dict[str, str], *, manifest: str = "", spine: str = "", guide: str = "", **parts: str) -> bytes:
    items = "".join(f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n, name in enumerate(chapters))
    order = "".join(f'<itemref idref="i{n}"/>' for n in range(len(chapters)))
    package = (
        '<package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"><metadata>'
        "<dc:title>The Glass Mountain</dc:title><dc:creator>Ida Holm</dc:creator><dc:date>1921</dc:date></metadata>"
        f"<manifest>{items}{manifest}</manifest><spine toc='ncx'>{order}{spine}</spine>{guide}</package>"
    )
    pages = {f"OEBPS/{n}": f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{b}</body></html>' for n, b in chapters.items()}
    named = {f"OEBPS/{name.replace('_', '.')}": part for name, part in parts.items()}
    return zipped({"META-INF/container.xml": CONTAINER, "OEBPS/content.opf": package, **pages, **named})


NCX = """<ncx xmlns="http://www.daisy.org/z3986/2005/ncx/"><navMap>
<navPoint><navLabel><text>The Climb</text></navLabel><content src="two.xhtml"/>
<navPoint><navLabel><text>A rest</text></navLabel><content src="two.xhtml#rest"/></navPoint></navPoint>
<navPoint><navLabel><text>The View</text></navLabel><content src="one.xhtml"/></navPoint></navMap></ncx>"""

NAV = """<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>
<nav epub:type="toc"><ol><li><a href="a.xhtml">Of Frost</a></li><li><a href="b.xhtml">Of Thaw</a></li></ol></nav></body></html>"""

OLD = book(
    {
        "cover.xhtml": '<div><img src="cover.jpg"/></div><p>The Glass Mountain: A Novel</p>',
        "toc.xhtml": '<h1>Contents</h1><p><a href="two.xhtml">The Climb</a></p><p><a href="one.xhtml">The View</a></p>',
        "two.xhtml": '<p>They climbed for two days and saw nobody.</p><p id="rest">At noon they ate the last of the bread.</p>',
        "one.xhtml": "<p>From the top the sea could be seen, grey and without ships.</p>",
    },
    manifest='<item id="ncx" href="toc.ncx" media-type="application/x-dtbncx+xml"/>',
    guide='<guide><reference type="cover" href="cover.xhtml"/><reference type="toc" href="toc.xhtml#top"/></guide>',
    toc_ncx=NCX,
)

NEW = book(
    {
        "a.xhtml": "<section><p>Frost came in October and broke the jars in the shed.</p></section>",
        "b.xhtml": "<h2>Of Thaw</h2><p>In March the ice went out with a noise of guns.</p>"
        "<aside><p>Ice floes were blown up by soldiers until 1903.</p></aside>",
    },
    manifest='<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>',
    spine='<itemref idref="nav"/>',
    nav_xhtml=NAV,
)

METADATA = {"author": "Ida Holm"}

PIECES = [
    Piece("mountain.epub", OLD, [
"[The Climb] They climbed for two days and saw nobody.",
"[The Climb] At noon they ate the last of the bread.",
"[The View] From the top the sea could be seen, grey and without ships.",
], title="The Glass Mountain", date="1921", metadata=METADATA, question="What could be seen from the top of the mountain?", answer="From the top the sea could be seen"),
    Piece("frost.epub", NEW, [
"[Of Frost] Frost came in October and broke the jars in the shed.",
"[Of Thaw] In March the ice went out with a noise of guns.",
"[Of Thaw] Ice floes were blown up by soldiers until 1903.",
], title="The Glass Mountain", date="1921", metadata=METADATA),
]  # fmt: skip
