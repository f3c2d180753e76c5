"""Plain text, Markdown, tables and JSON lines."""

from __future__ import annotations

from tests.corpus import Piece, text

WRAPPED = text("""
NOTES ON THE WEIR

The weir was rebuilt twice in the nineteenth century, the second time
with larch piles, which last longer under water than in the air.

1. The gate is opened in March, when the snow melts and the river is
   high enough for the rafts.
2. The gate is closed in June.

   The keeper is paid by the raft.
""")

VERSE = text("""
The river in the winter
is quiet as a stone,
the miller and his daughter
are sitting all alone.
""")

RECIPE = text("""
---
title: Plum dumplings
date: 2016-09-12
tags: [plums, dumplings]
source:
  book: Grandmother's
draft: false
---
# Plum dumplings

Knead the dough while it is still warm, or it will tear.

## Amounts

| what  | how much |
|-------|----------|
| flour | 300 g    |
| plums | 12       |

- Do not stone the plums.
- Put a lump of sugar into each.

```python
# not a heading
dumplings = plums
```

Boil them until they swim.
""")

WRONG_DATE = text("---\ntitle: The gale\ndate: the fifth of May\n---\nThe gale took the roof of the boathouse.\n")

LETTERS = text("""
no,sender,subject,body,date,place
L-1,Ann,The frost,"The frost has killed the vines on the south slope.

We shall plant apple trees.",1838-02-01,Brno
L-2,Carl,,The mail coach was robbed near the mill.,February,
L-2,Carl,Again,The same number twice.,1838-03-01,
L-3,Ida,Empty,,1838-04-01,Graz
,,,,,
L-4,Ida,Bees,I have bought eleven hives of bees.,1838-05,Graz
""")

QUESTIONS = "Frage;Antwort\nWann fährt die Fähre?;Die Fähre fährt um sechs Uhr früh.\n".encode("utf-8-sig")

PLAIN_TABLE = text("""
Name;Trade
Egger;mason
Pichler;baker
""")

TABBED = text("Bird\tSeen\nheron\tin the reeds by the weir\n")

RECORDS = text("""
{"_id": "r1", "title": "Owls", "text": "The owl in the tower eats two mice a night.", "date": "2020-05-01", "place": "tower"}

{"id": 2, "text": "The bats came back in April.", "date": "spring"}
""")

PIECES = [
    Piece("weir.txt", WRAPPED, [
'[NOTES ON THE WEIR] The weir was rebuilt twice in the nineteenth century, the second time\nwith '
'larch piles, which last longer under water than in the air.',
'1. The gate is opened in March, when the snow melts and the river is\n   high enough for the '
'rafts.\n2. The gate is closed in June.',
"The keeper is paid by the raft.",
], question="When is the gate of the weir opened?", answer="1. The gate is opened in March"),
    Piece("verse.txt", VERSE, [
"The river in the winter\nis quiet as a stone,\nthe miller and his daughter\nare sitting all alone.",
],),
    Piece("utf16.txt", "Die Glocke wurde 1740 gegossen.\r\n".encode("utf-16"), [
"Die Glocke wurde 1740 gegossen.",
],),
    Piece("dumplings.md", RECIPE, [
"[Plum dumplings] Knead the dough while it is still warm, or it will tear.",
'[Plum dumplings › Amounts] | what  | how much |\n|-------|----------|\n| flour | 300 g    |\n| plums | '
'12       |',
"[Plum dumplings › Amounts] - Do not stone the plums.\n- Put a lump of sugar into each.",
"[Plum dumplings › Amounts] ```python\n# not a heading\ndumplings = plums\n```",
"[Plum dumplings › Amounts] Boil them until they swim.",
], title="Plum dumplings", date="2016-09-12", metadata={"date": "2016-09-12", "tags": ["plums", "dumplings"], "source": {"book": "Grandmother's"}, "draft": False}, question="When should the dough be kneaded?", answer="Knead the dough while it is still warm"),
    Piece("gale.md", WRONG_DATE, [
"The gale took the roof of the boathouse.",
], title="The gale", metadata={"date": "the fifth of May"}, remarks=[""]),
    Piece("letters.csv", LETTERS, [
"The frost has killed the vines on the south slope.",
"We shall plant apple trees.",
"The mail coach was robbed near the mill.",
"I have bought eleven hives of bees.",
], title="The frost", date="1838-02-01", metadata={"sender": "Ann", "place": "Brno", "date": "1838-02-01", "archive": "A 7"}, remarks=["row 3"], sidecar={"columns": {"text": "body", "id": "no", "title": "subject"}, "archive": "A 7"}, question="What killed the vines?", answer="The frost has killed the vines"),
    Piece("fragen.csv", QUESTIONS, [
"Wann fährt die Fähre?",
"Die Fähre fährt um sechs Uhr früh.",
], sidecar={"columns": {"text": ["Frage", "Antwort"]}}),
    Piece("trades.csv", PLAIN_TABLE, [
"Name: Egger; Trade: mason\nName: Pichler; Trade: baker",
],),
    Piece("birds.tsv", TABBED, [
"Bird: heron; Seen: in the reeds by the weir",
],),
    Piece("owls.jsonl", RECORDS, [
"The owl in the tower eats two mice a night.",
"The bats came back in April.",
], title="Owls", date="2020-05-01", metadata={"date": "2020-05-01", "place": "tower"}, remarks=["line 3"], question="What does the owl eat?", answer="The owl in the tower eats two mice"),
]  # fmt: skip
