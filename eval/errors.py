"""Errors of the evaluation that a user can act on."""

from __future__ import annotations


class EvalError(Exception):
    """Something that was named cannot be measured; ``str()`` of it, one line, says why and what to do next."""
