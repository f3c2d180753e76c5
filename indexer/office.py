"""Word documents, presentations and workbooks -> canonical text."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import TYPE_CHECKING, Any

from indexer.errors import UnreadableError
from indexer.formats import LARGEST_PART, Block, Container, Content, assemble, squeeze
from indexer.tables import row_lines

if TYPE_CHECKING:
    from docx.document import Document
    from pptx.shapes.base import BaseShape
    from pptx.slide import Slide

W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
MC = "{http://schemas.openxmlformats.org/markup-compatibility/2006}"
LAST_ROW = 1 << 20  # of any sheet; to a damaged row number the library would count empty rows for hours


def _content(container: Container, blocks: Iterable[Block]) -> Content:
    """Blocks and the file's core properties -> content.

    Of the libraries' own properties some are made up where the file has none (a title "Word Document", today's date).
    """
    core = {e.tag.rpartition("}")[2]: squeeze(e.text or "") for e in container.tree_or_empty("docProps/core.xml")}
    text, headings = assemble(blocks)
    names = {"creator": "author", "subject": "subject", "keywords": "keywords", "language": "language"}
    metadata = {names[name]: value for name, value in core.items() if name in names and value}
    return Content(text, core.get("title", ""), core.get("created"), metadata, headings=headings)


def _without_media(container: Container) -> io.BytesIO:
    """A copy with empty pictures and films: the libraries hold all parts in memory, and one damaged film is no loss."""
    copy = io.BytesIO()
    size = 0
    with zipfile.ZipFile(copy, "w") as light:
        for name in dict.fromkeys(container.namelist()):
            part = container.part(name) if name.endswith((".xml", ".rels")) else b""
            size += len(part)
            if size > LARGEST_PART:
                raise UnreadableError(f"holds more than {LARGEST_PART >> 20} MiB of text parts, too much to be read")
            light.writestr(name, part)
    return copy


def read_docx(data: bytes) -> Content:
    """A Word document: paragraphs, lists, tables, text boxes, notes; not deleted text, page headers and footers."""
    import docx
    from docx.oxml import parse_xml

    with Container(data, "docx") as container:
        document = docx.Document(_without_media(container))
        notes: Notes = {}
        for kind in ("footnote", "endnote"):  # the library does not know them
            for relation in document.part.rels.values():
                if relation.reltype.endswith(f"/{kind}s"):
                    found = parse_xml(relation.target_part.blob)
                    # The other types are the lines that separate notes from text.
                    own = [note for note in found if note.get(f"{W}type", "normal") == "normal"]
                    notes |= {(kind, note.get(f"{W}id") or str(number)): note for number, note in enumerate(own)}
        blocks = [*_word_blocks(document.element.body, document, notes)]
        # What nothing refers to comes last; a note is taken out when it is read.
        blocks += [block for key in list(notes) for block in _word_blocks(notes.pop(key), document, {})]
        return _content(container, _merge_lists(blocks))


Notes = dict[tuple[str, str], Any]  # by kind and id


def _notes_of(element: Any, document: Document, notes: Notes) -> Iterator[Block]:
    """The notes that a paragraph or table refers to, each once."""
    for reference in element.iter(f"{W}footnoteReference", f"{W}endnoteReference"):
        kind = reference.tag.removeprefix(W).removesuffix("Reference")
        if (note := notes.pop((kind, reference.get(f"{W}id") or ""), None)) is not None:
            yield from _word_blocks(note, document, {})


class _Item(Block):
    """A list item, before the items of one list are brought together."""


def _merge_lists(blocks: Iterable[Block]) -> Iterator[Block]:
    items: list[str] = []
    for block in blocks:
        if isinstance(block, _Item):
            items.extend(block.lines)
        elif any(block.lines):
            yield Block(items)
            items = []
            yield block
    yield Block(items)


def _word_blocks(root: Any, document: Document, notes: Notes) -> Iterator[Block]:
    from docx.text.paragraph import Paragraph

    _lay_open(root)
    kind_of = cache(lambda style_id: _style_kind(document, style_id))
    for element in root.iterchildren(f"{W}p", f"{W}tbl"):
        if element.tag == f"{W}tbl":
            yield Block([_word_row(row) for row in element.tr_lst])
        else:
            line = squeeze(Paragraph(element, document).text)
            level, is_list = _outline(element), bool(element.xpath("w:pPr/w:numPr"))
            style_level, style_is_list = kind_of(element.style)
            level = style_level if level is None else level
            yield Block([line], level) if level or not (is_list or style_is_list) else _Item([line])
        if notes:
            yield from _notes_of(element, document, notes)


def _lay_open(root: Any) -> None:
    """Bring what the library passes over to where it looks: inserted text, content controls, text boxes; drop deletions."""
    from lxml import etree

    etree.strip_elements(root, *(f"{W}{name}" for name in ("del", "moveFrom", "sdtPr", "sdtEndPr")), f"{MC}Fallback")
    for base in root.iter(f"{W}rubyBase"):
        etree.strip_tags(base, f"{W}r")  # a run within the run that has the reading
    wrappers = "bdo dir ins moveTo sdt sdtContent smartTag customXml fldSimple ruby rubyBase".split()
    etree.strip_tags(root, *(f"{W}{name}" for name in wrappers), f"{MC}AlternateContent", f"{MC}Choice")
    for box in reversed(list(root.iter(f"{W}txbxContent"))):  # the last first, for each goes right behind its paragraph
        for paragraph in islice(box.iterancestors(f"{W}p"), 1):
            for child in reversed(box):
                paragraph.addnext(child)


def _outline(element: Any) -> int | None:
    """The heading level that a paragraph or style sets itself: 0 for body text, None if it sets none."""
    found = element.xpath("w:pPr/w:outlineLvl/@w:val")
    level = int(found[0]) + 1 if found and found[0].isdigit() else None
    return 0 if level is not None and level > 6 else level


def _style_kind(document: Document, style_id: str | None) -> tuple[int, bool]:
    """The heading level of a paragraph style, 0 if it is none, and whether it is a list's; both may be inherited."""
    from docx.enum.style import WD_STYLE_TYPE

    style = document.styles.get_by_id(style_id, WD_STYLE_TYPE.PARAGRAPH)
    level, is_list = None, False
    for _ in range(20):  # a damaged file's styles may be based on each other in a circle
        if style is None:
            break
        named = re.fullmatch("Heading ([1-6])|Title", style.name or "")
        if level is None:
            level = _outline(style.element)
        if level is None and named:
            level = int(named[1] or 1)
        is_list = is_list or bool(style.element.xpath("w:pPr/w:numPr"))
        style = style.base_style
    return level or 0, is_list


def _word_row(row: Any) -> str:
    """The row's cells. The library's own give a merged cell once for each that it covers, and no tables inside cells."""
    cells = (squeeze(" ".join(paragraph.text for paragraph in cell.iter(f"{W}p"))) for cell in row.tc_lst)
    return "; ".join(cell for cell in cells if cell)


def read_pptx(data: bytes) -> Content:
    """A presentation: on each slide its title (a heading), text, tables, then the speaker's notes."""
    import pptx

    with Container(data, "pptx") as container:
        presentation = pptx.Presentation(_without_media(container))
        return _content(container, (block for slide in presentation.slides for block in _slide_blocks(slide)))


def _slide_blocks(slide: Slide) -> Iterator[Block]:
    from lxml import etree

    # The library passes over shapes that the file gives in two versions, for newer and older programs.
    etree.strip_elements(slide._element, f"{MC}Fallback")
    etree.strip_tags(slide._element, f"{MC}AlternateContent", f"{MC}Choice")
    # The title first, wherever the file has it.
    yield from sorted(_shape_blocks(slide.shapes), key=lambda block: block.level == 0)
    notes = slide.notes_slide.notes_text_frame if slide.has_notes_slide else None
    if notes is not None:
        yield Block([squeeze(paragraph.text) for paragraph in notes.paragraphs])


def _shape_blocks(shapes: Iterable[BaseShape]) -> Iterator[Block]:
    from pptx.enum.shapes import PP_PLACEHOLDER as PLACE
    from pptx.shapes.autoshape import Shape
    from pptx.shapes.graphfrm import GraphicFrame
    from pptx.shapes.group import GroupShape

    for shape in shapes:
        place = shape.placeholder_format.type if shape.is_placeholder else None
        if isinstance(shape, GroupShape):
            yield from _shape_blocks(shape.shapes)
        elif isinstance(shape, GraphicFrame) and shape.has_table:
            rows = ([squeeze(cell.text) for cell in row.cells] for row in shape.table.rows)
            yield Block(["; ".join(filter(None, row)) for row in rows])
        elif isinstance(shape, Shape) and place not in (PLACE.DATE, PLACE.FOOTER, PLACE.SLIDE_NUMBER):
            lines = [squeeze(paragraph.text) for paragraph in shape.text_frame.paragraphs]
            is_title = place in (PLACE.TITLE, PLACE.CENTER_TITLE, PLACE.VERTICAL_TITLE)
            yield Block([" ".join(filter(None, lines))], 1) if is_title else Block(lines)


def read_xlsx(data: bytes) -> Content:
    """A workbook: each sheet under its name, one line a row."""
    with Container(data, "xlsx") as container:
        container.check_parts()
        return _content(container, _sheet_blocks(io.BytesIO(data)))


def _sheet_blocks(file: io.BytesIO) -> list[Block]:
    from python_calamine import CalamineError, CalamineWorkbook, SheetTypeEnum, XmlError, ZipError

    blocks = []
    try:
        workbook = CalamineWorkbook.from_filelike(file)
        for one in workbook.sheets_metadata:
            if one.typ != SheetTypeEnum.WorkSheet:
                continue
            rows = islice(workbook.get_sheet_by_name(one.name).iter_rows(), LAST_ROW)
            lines = row_lines([cells for row in rows if any(cells := [_cell_text(value) for value in row])])
            if lines:
                blocks += [Block([squeeze(one.name)], 1), Block(lines)]
    except (CalamineError, XmlError, ZipError) as error:
        raise UnreadableError(f"is damaged: not a whole xlsx file; copy or download it again [{error}]") from None
    return blocks


def _cell_text(value: object) -> str:
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return squeeze(str(value))
