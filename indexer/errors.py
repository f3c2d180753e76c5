"""Errors that a user can act on: each message says what is wrong and what to do next."""

from __future__ import annotations


class PassagesError(Exception):
    """Base of every error that this package raises on purpose; ``str()`` of it is fit for a user."""


class AwayError(PassagesError):
    """The server that keeps the collection does not answer, or not yet; it may in a moment."""


class ChangedError(AwayError):
    """What was found was replaced while it was read: look again."""


class TooManyError(PassagesError):
    """What was asked for would take more memory than there is for it."""


class UnreadableError(PassagesError):
    """A file, or one record of a file, whose text cannot be had. The message is the reason alone, without the file's name."""
