"""Makers of small files, byte by byte, so that no test needs an office suite: each says only what its test is about."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

OFFICE = "http://schemas.openxmlformats.org"
RELATIONS = f"{OFFICE}/package/2006/relationships"
RELATION = f"{OFFICE}/officeDocument/2006/relationships"
WORD = f"{OFFICE}/wordprocessingml/2006/main"


def zipped(parts: Mapping[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def core(title: str = "", author: str = "", created: str = "") -> str:
    return (
        f'<cp:coreProperties xmlns:cp="{OFFICE}/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:dcterms="http://purl.org/dc/terms/">'
        f"<dc:title>{escape(title)}</dc:title><dc:creator>{escape(author)}</dc:creator>"
        f"<dcterms:created>{created}</dcterms:created></cp:coreProperties>"
    )


def relations(targets: Mapping[str, str], kind: str = "") -> str:
    """Relationship id -> target; `kind` is what the targets are, if not what their ids say."""
    entries = "".join(f'<Relationship Id="{n}" Target="{t}" Type="{RELATION}/{kind or n}"/>' for n, t in targets.items())
    return f'<Relationships xmlns="{RELATIONS}">{entries}</Relationships>'


def package(main: str, parts: Mapping[str, str], types: Mapping[str, str], properties: str) -> bytes:
    """An Office file; `types`: part name or its beginning -> content type, as in "wordprocessingml.styles"."""
    named = {name: kind for name in parts for start, kind in types.items() if name.startswith(start)}
    overrides = "".join(
        f'<Override PartName="/{name}" ContentType="application/vnd.openxmlformats-officedocument.{kind}+xml"/>'
        for name, kind in named.items()
    )
    defaults = "".join(f'<Default Extension="{e}" ContentType="application/xml"/>' for e in ("rels", "xml"))
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{OFFICE}/package/2006/content-types">{defaults}{overrides}</Types>',
            "_rels/.rels": relations({"officeDocument": main}),
            **parts,
            **({"docProps/core.xml": properties} if properties else {}),
        }
    )


def paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f'<w:p>{properties}<w:r><w:t xml:space="preserve">{escape(text)}</w:t></w:r></w:p>'


def table(rows: Sequence[Sequence[str]]) -> str:
    cells = ("".join(f"<w:tc>{paragraph(cell)}</w:tc>" for cell in row) for row in rows)
    return "<w:tbl>" + "".join(f"<w:tr>{row}</w:tr>" for row in cells) + "</w:tbl>"


STYLES = (
    f'<w:styles xmlns:w="{WORD}">'
    '<w:style w:type="paragraph" w:styleId="Titel"><w:name w:val="Title"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="berschrift1"><w:name w:val="heading 1"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="berschrift2"><w:name w:val="heading 2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Eigene"><w:name w:val="My own"/><w:basedOn w:val="berschrift2"/></w:style>'
    '<w:style w:type="paragraph" w:styleId="Liste"><w:name w:val="List Bullet"/><w:pPr><w:numPr/></w:pPr></w:style>'
    "</w:styles>"
)


def docx(body: str, *, properties: str = "", footnotes: str = "") -> bytes:
    main = "word/document.xml"
    parts = {
        main: f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        "word/_rels/document.xml.rels": relations(
            {"styles": "styles.xml", **({"footnotes": "footnotes.xml"} if footnotes else {})}
        ),
        "word/styles.xml": STYLES,
    }
    if footnotes:
        parts["word/footnotes.xml"] = f'<w:footnotes xmlns:w="{WORD}">{footnotes}</w:footnotes>'
    types = {main: "wordprocessingml.document.main", "word/styles": "wordprocessingml.styles"}
    return package(main, parts, types, properties)


def shape(lines: Iterable[str], place: str = "") -> str:
    text = "".join(f"<a:p><a:r><a:t>{escape(line)}</a:t></a:r></a:p>" for line in lines)
    holder = f'<p:ph type="{place}"/>' if place else ""
    head = f'<p:nvSpPr><p:cNvPr id="2" name=""/><p:cNvSpPr/><p:nvPr>{holder}</p:nvPr></p:nvSpPr><p:spPr/>'
    return f"<p:sp>{head}<p:txBody><a:bodyPr/>{text}</p:txBody></p:sp>"


def drawn_table(rows: Sequence[Sequence[str]]) -> str:
    cells = (
        "".join(f"<a:tc><a:txBody><a:bodyPr/><a:p><a:r><a:t>{c}</a:t></a:r></a:p></a:txBody></a:tc>" for c in r) for r in rows
    )
    content = "<a:tbl>" + "".join(f"<a:tr>{row}</a:tr>" for row in cells) + "</a:tbl>"
    head = '<p:nvGraphicFramePr><p:cNvPr id="3" name=""/><p:cNvGraphicFramePr/><p:nvPr/></p:nvGraphicFramePr>'
    drawing = f'<a:graphic><a:graphicData uri="{OFFICE}/drawingml/2006/table">{content}</a:graphicData></a:graphic>'
    return f"<p:graphicFrame>{head}{drawing}</p:graphicFrame>"


def pptx(slides: Sequence[str], *, notes: str = "", properties: str = "") -> bytes:
    """The slides lie in the file in another order than they are shown; the notes are the first one's."""
    names = f'xmlns:p="{OFFICE}/presentationml/2006/main" xmlns:a="{OFFICE}/drawingml/2006/main" xmlns:r="{RELATION}"'
    files = [f"slides/slide{len(slides) - i}.xml" for i in range(len(slides))]
    order = "".join(f'<p:sldId id="{256 + i}" r:id="r{i}"/>' for i in range(len(slides)))
    main = "ppt/presentation.xml"
    parts = {
        main: f"<p:presentation {names}><p:sldIdLst>{order}</p:sldIdLst></p:presentation>",
        "ppt/_rels/presentation.xml.rels": relations({f"r{i}": file for i, file in enumerate(files)}, "slide"),
    }
    for file, slide in zip(files, slides, strict=True):
        parts[f"ppt/{file}"] = f"<p:sld {names}><p:cSld><p:spTree>{slide}</p:spTree></p:cSld></p:sld>"
    if notes:
        first = files[0].rpartition("/")[2]
        parts[f"ppt/slides/_rels/{first}.rels"] = relations({"notesSlide": "../notesSlides/notes.xml"})
        shown = shape([notes], "body") + shape(["7"], "sldNum")
        parts["ppt/notesSlides/notes.xml"] = f"<p:notes {names}><p:cSld><p:spTree>{shown}</p:spTree></p:cSld></p:notes>"
    types = {main: "presentationml.presentation.main", "ppt/slides/s": "presentationml.slide"}
    return package(main, parts, {**types, "ppt/notesSlides": "presentationml.notesSlide"}, properties)


def xlsx(
    sheets: Mapping[str, Sequence[Sequence[str | int | float | None]]],
    *,
    properties: str = "",
    formats: Sequence[int] = (),
    extent: str = "",
    first_row: int = 1,
) -> bytes:
    """`formats`: number format of each column (14 is a day); `extent`: what the sheets say that they cover."""
    main = f'xmlns="{OFFICE}/spreadsheetml/2006/main" xmlns:r="{RELATION}"'
    listed = "".join(f'<sheet name="{escape(n)}" sheetId="{i}" r:id="r{i}"/>' for i, n in enumerate(sheets, 1))
    places = {f"r{i}": f"worksheets/sheet{i}.xml" for i in range(1, len(sheets) + 1)}
    used = "".join(f'<xf numFmtId="{number}"/>' for number in formats or [0])
    parts = {
        "xl/workbook.xml": f"<workbook {main}><sheets>{listed}</sheets></workbook>",
        "xl/_rels/workbook.xml.rels": relations(places, "worksheet"),
        "xl/styles.xml": f"<styleSheet {main}><cellXfs>{used}</cellXfs></styleSheet>",
    }
    for number, rows in enumerate(sheets.values(), 1):
        written = "".join(_row(r, row, styled=bool(formats)) for r, row in enumerate(rows, first_row))
        covered = f'<dimension ref="{extent}"/>' if extent else ""
        parts[f"xl/worksheets/sheet{number}.xml"] = f"<worksheet {main}>{covered}<sheetData>{written}</sheetData></worksheet>"
    types = {"xl/workbook": "sheet.main", "xl/worksheets": "worksheet", "xl/styles": "styles"}
    return package("xl/workbook.xml", parts, {name: f"spreadsheetml.{kind}" for name, kind in types.items()}, properties)


def _row(number: int, row: Sequence[str | float | None], *, styled: bool) -> str:
    cells = (_cell(f"{chr(65 + column)}{number}", value, column if styled else 0) for column, value in enumerate(row))
    return f'<row r="{number}">{"".join(cells)}</row>'


def _cell(place: str, value: str | float | None, style: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return f'<c r="{place}" t="inlineStr"><is><t>{escape(value)}</t></is></c>'
    return f'<c r="{place}" s="{style}"><v>{value}</v></c>'


def epub(chapters: Mapping[str, str], *, head: str = "", extra: Mapping[str, str] = {}) -> bytes:
    """`chapters`: file name -> XHTML body, in reading order; `head`: Dublin Core elements."""
    names = 'xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    items = "".join(f'<item id="c{i}" href="{name.replace(" ", "%20")}"/>' for i, name in enumerate(chapters))
    spine = "".join(f'<itemref idref="c{i}"/>' for i in range(len(chapters)))
    contents = '<item id="toc" href="toc.xhtml" properties="nav"/>'
    package = (
        f"<package {names}><metadata>{head}</metadata><manifest>{contents}{items}</manifest>"
        f'<spine><itemref idref="toc"/>{spine}</spine></package>'
    )
    pages = {f"book/{n}": f'<html xmlns="http://www.w3.org/1999/xhtml"><body>{b}</body></html>' for n, b in chapters.items()}
    container = (
        '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="book/package.opf"/></rootfiles></container>'
    )
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": container,
            "book/package.opf": package,
            "book/toc.xhtml": "<html><body><p>Table of contents</p></body></html>",
            **pages,
            **extra,
        }
    )


class Print(NamedTuple):
    """A line at (`x`, `y`) points from the bottom left of a page of 600 x 800."""

    x: float
    y: float
    text: str
    size: float = 10
    bold: bool = False


def column(lines: Iterable[str], top: float, *, x: float = 50, size: float = 10) -> list[Print]:
    return [Print(x, top - 1.2 * size * i, line, size) for i, line in enumerate(lines)]


SCAN = Print(0, 0, "")  # a picture as large as the page
UNICODE = (
    "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /U def 1 begincodespacerange <0000> <FFFF> "
    "endcodespacerange 100 beginbfrange "
    + " ".join(f"<{high:02X}00> <{high:02X}FF> <{high:02X}00>" for high in range(100))
    + " endbfrange endcmap end end"
)


def pdf(pages: Sequence[Sequence[Print]], *, info: str = "", encrypt: bool = False, turned: bool = False) -> bytes:
    """A PDF in Helvetica, what is not Western in a font whose letters are drawn by their numbers; `info`: entries of the
    information dictionary; `turned`: the page lies on its side, and is shown upright."""
    kids = " ".join(f"{9 + 2 * i} 0 R" for i in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >>",
        f"<< {info} >>",
        "<< /Type /Font /Subtype /Type0 /BaseFont /U /Encoding /Identity-H /DescendantFonts [7 0 R] /ToUnicode 8 0 R >>",
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /U /DW 500 "
        "/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) /Supplement 0 >> >>",
        f"<< /Length {len(UNICODE)} >>\nstream\n{UNICODE}\nendstream",
    ]
    for i, page in enumerate(pages):
        stream = "\n".join(_shown(line, turned=turned) for line in page)
        fonts = "/Resources << /Font << /F 3 0 R /B 4 0 R /U 6 0 R >> >>" + " /Rotate 90" * turned
        objects.append(f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] {fonts} /Contents {10 + 2 * i} 0 R >>")
        objects.append(f"<< /Length {len(stream.encode('cp1252'))} >>\nstream\n{stream}\nendstream")
    lock = (
        f"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <{'11' * 32}> /U <{'22' * 32}> >> /ID [<33> <33>]" if encrypt else ""
    )
    return _pdf_file(objects, f"/Root 1 0 R /Info 5 0 R {lock}")


def _shown(line: Print, *, turned: bool) -> str:
    if line == SCAN:
        return "q 600 0 0 800 0 0 cm BI /W 1 /H 1 /CS /G /BPC 8 ID x EI Q"
    place = f"0 1 -1 0 {600 - line.y} {line.x}" if turned else f"1 0 0 1 {line.x} {line.y}"
    if line.text.isascii() or all(ord(c) < 0x100 or c in "‘’“”•–—" for c in line.text):
        font = "B" if line.bold else "F"
        shown = "(" + line.text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)") + ")"
    else:
        font, shown = "U", f"<{line.text.encode('utf-16-be').hex()}>"
    return f"BT /{font} {line.size} Tf {place} Tm {shown} Tj ET"


def _pdf_file(objects: Sequence[str], trailer: str) -> bytes:
    data, places = b"%PDF-1.4\n", []
    for number, content in enumerate(objects, 1):
        places.append(len(data))
        data += f"{number} 0 obj\n{content}\nendobj\n".encode("cp1252")
    table_of_places = "".join(f"{place:010} 00000 n \n" for place in places)
    count = len(objects) + 1
    end = f"xref\n0 {count}\n0000000000 65535 f \n{table_of_places}trailer << /Size {count} {trailer} >>\n"
    end += f"startxref\n{len(data)}\n%%EOF"
    return data + end.encode("cp1252")


def replace_bytes(path: Path, data: bytes) -> None:
    """Another file under the same name: one that is shortened while tantivy has it mapped would end this process (SIGBUS)."""
    damaged = path.with_name(path.name + ".damaged")
    damaged.write_bytes(data)
    damaged.replace(path)
