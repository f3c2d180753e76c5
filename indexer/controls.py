"""Text of other people, made fit for a terminal."""

from __future__ import annotations

_CONTROLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"}  # their pictures, as long as they are
_CONTROLS |= dict.fromkeys((127, *range(128, 160)), 65533)


def printable(text: str) -> str:
    """The text without characters that steer a terminal, at the same offsets: a document may hold any."""
    return text.translate(_CONTROLS)
