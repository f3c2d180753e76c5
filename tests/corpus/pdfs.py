"""PDFs as printers make them: columns, running heads, notes, tables, scans."""

from __future__ import annotations

from tests.corpus import Piece
from tests.files import SCAN, Print, column, pdf

LEFT = [
    "The committee continued its long deliberations",
    "about the cooperation of its members and the",
    "means to stabilise the region before winter, a",
    "task that it shares with all the other govern-",
    "ments of the valley and with their many allies.",
]
RIGHT = [
    "The harvest of olives in the valley was poor after",
    "three dry years in a row, so that prices rose and",
    "most of the presses stood still. Who had oil from",
    "the year before sold it by the cup, and some of",
    "the millers went to the coast to look for work.",
]
WIDE = [
    "The salt road ran from the pans on the coast over the pass to the markets of the plain, and took",
    "eleven days with mules. It was abandoned when the railway came, in the summer of 1871, and is",
    "now hardly to be seen between the stones.",
]
OTHER = [
    "Along the road stood nine inns, of which the highest was open only from May to October because",
    "of the snow. Its landlord rang a bell in fog, and was paid for that by both towns.",
]


def rowwise(left: list[str], right: list[str], top: float) -> list[Print]:
    """Two columns, drawn line by line over both, as many programs do."""
    rows = zip(column(left, top), column(right, top, x=310), strict=True)
    return [line for row in rows for line in row]


def cells(rows: list[list[str]], top: float, x: tuple[float, ...] = (50, 150, 300)) -> list[Print]:
    return [Print(x[i], top - 14 * n, cell) for n, row in enumerate(rows) for i, cell in enumerate(row) if cell]


COLUMNS = [Print(150, 740, "Olives and Committees", 16), *rowwise(LEFT, RIGHT, 700)]
IN_ORDER = [*column(LEFT, 700), *column(RIGHT, 700, x=310)]
OVER = [
    *rowwise(LEFT, RIGHT, 760),
    *column(WIDE, 680),
    *rowwise(RIGHT, LEFT, 620),
]
TWO_HEADS = [
    [Print(50, 780, "Annals of the Salt Road"), Print(500, 780, "Vol. 3"), *column(WIDE, 700), Print(300, 20, "41")],
    [Print(50, 780, "Annals of the Salt Road"), Print(500, 780, "Vol. 3"), *column(OTHER, 700), Print(300, 20, "42")],
]
CHAPTERS = [
    [Print(50, 780, f"{number} The Salt Road" if number % 2 else f"Of Inns {number}"), *column([sentence], 700)]
    for number, sentence in enumerate(
        ["Mules carried the salt.", "Inns gave them hay.", "Toll was paid twice.", "Thieves hid in the fog.",
         "A bell was rung.", "Snow closed the pass."], 10
    )
]  # fmt: skip
HYPHENS = column(
    [
        "The well-known engineer was self-taught. In the pre-",
        "and post-war years she built bridges of reinforced con-",
        "crete, many of them over rivers that flooded, and as a well-",
        "known teacher she wrote about the Anglo-",
        "American school of building between 1914-",
        "1918.",
    ],
    700,
)
TABLE = [
    *column(OTHER, 760),
    *cells(
        [
            ["Year", "Harvest", "Price of a cup"],
            ["1868", "twelve tons and", "three pence"],
            ["", "a half", ""],
            ["1869", "seven tons", "five pence"],
            ["1870", "two tons", "a shilling"],
        ],
        700,
    ),
    *column(WIDE, 600),
]
NOTES = [
    [
        *column(
            [
                "The mill was sold to the brothers Huber in the year of the great flood.1 They paid with salt and",
                "cattle, which nobody in the valley had done before them, and which the priest wrote down in the",
            ],
            100,
        ),
        *column(["1 Deed of sale, town archive, box 14, dated the third of March 1852."], 60, size=8),
    ],
    [*column(["book of the dead for want of another. A year later it burned down."], 700)],
]
TITLE_PAGE = [
    [Print(150, 600, "A History of Salt", 28), Print(200, 560, "by Maria Huber", 14), Print(220, 100, "Graz 1911", 12)],
    [Print(50, 740, "1. The pans", 14, bold=True), *column(WIDE, 700)],
]
HEBREW = ["הטחנה נבנתה על גדת הנהר בשנת השיטפון", "ונשרפה שנה אחת אחר כך"]

ROAD = " ".join(WIDE)

PIECES = [
    Piece(
        "columns.pdf",
        pdf([COLUMNS]),
        [
            "[Olives and Committees] The committee continued its long deliberations about the cooperation of its "
            "members and the means to stabilise the region before winter, a task that it shares with all the "
            "other governments of the valley and with their many allies.",
            "[Olives and Committees] The harvest of olives in the valley was poor after three dry years in a "
            "row, so that prices rose and most of the presses stood still. Who had oil from the year before sold "
            "it by the cup, and some of the millers went to the coast to look for work.",
        ],
        pages=[1, 1],
    ),
    Piece(
        "in-order.pdf",
        pdf([IN_ORDER]),
        [
            "The committee continued its long deliberations about the cooperation of its members and the means "
            "to stabilise the region before winter, a task that it shares with all the other governments of the "
            "valley and with their many allies.",
            "The harvest of olives in the valley was poor after three dry years in a row, so that prices rose "
            "and most of the presses stood still. Who had oil from the year before sold it by the cup, and some "
            "of the millers went to the coast to look for work.",
        ],
        pages=[1, 1],
    ),
    Piece(
        "over-columns.pdf",
        pdf([OVER]),
        [
            "The committee continued its long deliberations about the cooperation of its members and the means "
            "to stabilise the region before winter, a task that it shares with all the other governments of the "
            "valley and with their many allies.",
            "The harvest of olives in the valley was poor after three dry years in a row, so that prices rose "
            "and most of the presses stood still. Who had oil from the year before sold it by the cup, and some "
            "of the millers went to the coast to look for work.",
            "The salt road ran from the pans on the coast over the pass to the markets of the plain, and took "
            "eleven days with mules. It was abandoned when the railway came, in the summer of 1871, and is now "
            "hardly to be seen between the stones.",
            "The harvest of olives in the valley was poor after three dry years in a row, so that prices rose "
            "and most of the presses stood still. Who had oil from the year before sold it by the cup, and some "
            "of the millers went to the coast to look for work.",
            "The committee continued its long deliberations about the cooperation of its members and the means "
            "to stabilise the region before winter, a task that it shares with all the other governments of the "
            "valley and with their many allies.",
        ],
        pages=[1, 1, 1, 1, 1],
    ),
    Piece(
        "two-pages.pdf",
        pdf(TWO_HEADS),
        [
            "The salt road ran from the pans on the coast over the pass to the markets of the plain, and took "
            "eleven days with mules. It was abandoned when the railway came, in the summer of 1871, and is now "
            "hardly to be seen between the stones.",
            "Along the road stood nine inns, of which the highest was open only from May to October because of "
            "the snow. Its landlord rang a bell in fog, and was paid for that by both towns.",
        ],
        pages=[1, 2],
    ),
    Piece(
        "chapters.pdf",
        pdf(CHAPTERS),
        [
            "Mules carried the salt.",
            "Inns gave them hay.",
            "Toll was paid twice.",
            "Thieves hid in the fog.",
            "A bell was rung.",
            "Snow closed the pass.",
        ],
        pages=[1, 2, 3, 4, 5, 6],
    ),
    Piece(
        "hyphens.pdf",
        pdf([HYPHENS]),
        [
            "The well-known engineer was self-taught. In the pre- and post-war years she built bridges of "
            "reinforced concrete, many of them over rivers that flooded, and as a well-known teacher she wrote "
            "about the Anglo-American school of building between 1914-1918.",
        ],
        pages=[1],
    ),
    Piece(
        "table.pdf",
        pdf([TABLE]),
        [
            "Along the road stood nine inns, of which the highest was open only from May to October because of "
            "the snow. Its landlord rang a bell in fog, and was paid for that by both towns.",
            "Year; Harvest; Price of a cup\n1868; twelve tons and a half; three pence\n1869; seven tons; five "
            "pence\n1870; two tons; a shilling",
            "The salt road ran from the pans on the coast over the pass to the markets of the plain, and took "
            "eleven days with mules. It was abandoned when the railway came, in the summer of 1871, and is now "
            "hardly to be seen between the stones.",
        ],
        pages=[1, 1, 1],
    ),
    Piece(
        "notes.pdf",
        pdf(NOTES),
        [
            "1 Deed of sale, town archive, box 14, dated the third of March 1852.",
            "The mill was sold to the brothers Huber in the year of the great flood.1 They paid with salt and "
            "cattle, which nobody in the valley had done before them, and which the priest wrote down in the "
            "book of the dead for want of another. A year later it burned down.",
        ],
        pages=[1, 1],
        question="To whom was the mill sold?",
        answer="The mill was sold to the brothers Huber",
    ),
    Piece(
        "turned.pdf",
        pdf([[*column(WIDE, 500), *column(OTHER, 400)]], turned=True),
        [
            "The salt road ran from the pans on the coast over the pass to the markets of the plain, and took "
            "eleven days with mules. It was abandoned when the railway came, in the summer of 1871, and is now "
            "hardly to be seen between the stones.",
            "Along the road stood nine inns, of which the highest was open only from May to October because of "
            "the snow. Its landlord rang a bell in fog, and was paid for that by both towns.",
        ],
        pages=[1, 1],
    ),
    Piece(
        "title-page.pdf",
        pdf(TITLE_PAGE, info="/Title (Salt) /CreationDate (D:19110304)"),
        [
            "[A History of Salt › by Maria Huber › Graz 1911 › 1. The pans] The salt road ran from the pans on "
            "the coast over the pass to the markets of the plain, and took eleven days with mules. It was "
            "abandoned when the railway came, in the summer of 1871, and is now hardly to be seen between the "
            "stones.",
        ],
        pages=[2],
        title="Salt",
        date="1911-03-04",
    ),
    Piece(
        "hebrew.pdf",
        pdf([[Print(550 - 5 * len(line), 700 - 12 * n, line[::-1]) for n, line in enumerate(HEBREW)]]),
        [
            "הטחנה נבנתה על גדת הנהר בשנת השיטפון ונשרפה שנה אחת אחר כך",
        ],
        pages=[1],
    ),
    Piece(
        "partly-scanned.pdf",
        pdf([column(WIDE, 700), [SCAN], column(OTHER, 700), [SCAN], [SCAN], []]),
        [
            "The salt road ran from the pans on the coast over the pass to the markets of the plain, and took "
            "eleven days with mules. It was abandoned when the railway came, in the summer of 1871, and is now "
            "hardly to be seen between the stones.",
            "Along the road stood nine inns, of which the highest was open only from May to October because of "
            "the snow. Its landlord rang a bell in fog, and was paid for that by both towns.",
        ],
        pages=[1, 3],
        remarks=["pages 2, 4-5"],
    ),
]
