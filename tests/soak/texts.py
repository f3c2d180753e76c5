"""Documents of the soak: each edition has sentences that no other has, so that a torn read cannot look whole."""

from __future__ import annotations

import random

_SUBJECTS = "harbour mill bridge orchard lighthouse quarry ferry archive vineyard observatory station brewery".split()
_DEEDS = "was surveyed|was painted|was sold|lost its roof|was opened|was flooded|won a prize|was measured".split("|")
_PEOPLE = "the county|two sisters|a guild of masons|the navy|its owner|the parish|students of the academy".split("|")
_LETTERS = "bcdfghklmnprstvz", "aeiou"


def word(dice: random.Random) -> str:
    """A word that no document had before, most likely."""
    return "".join(dice.choice(_LETTERS[at % 2]) for at in range(10))


def document(name: str, edition: int, dice: random.Random) -> tuple[str, str]:
    """A text of some paragraphs, and a question that its own sentence answers."""
    own = word(dice)
    said = [f"This is {name} in edition {edition}.", f"The {own} was found by {dice.choice(_PEOPLE)} in {edition + 1500}."]
    for _ in range(dice.randint(1, 4)):
        subject, deed, people = dice.choice(_SUBJECTS), dice.choice(_DEEDS), dice.choice(_PEOPLE)
        said.append(f"The {subject} of {name} {deed} by {people} for edition {edition}, and {word(dice)} was written of it.")
    dice.shuffle(said)
    return "\n\n".join(one + " " + "It is told at length in the book of the place." for one in said), f"Who found the {own}?"


def question(dice: random.Random) -> str:
    """Of anybody."""
    return f"When {dice.choice(_DEEDS).replace('was ', 'was it ')} the {dice.choice(_SUBJECTS)} by {dice.choice(_PEOPLE)}?"
