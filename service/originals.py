"""A document's file as a response. It is somebody else's content at our address: nothing of it may run there."""

from __future__ import annotations

import os
from pathlib import Path

from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from indexer.original import Original

_TEXT = frozenset((".txt", ".text", ".log", ".rst", ".md", ".markdown"))
# Browsers show a PDF in a viewer of their own, at a page of it; a sandbox would keep that from starting.
_PDF_POLICY = "default-src 'none'; style-src 'unsafe-inline'; object-src 'self'; frame-ancestors 'none'; base-uri 'none'"
_SANDBOX = "sandbox; default-src 'none'; frame-ancestors 'none'; base-uri 'none'"


def is_shown(name: str) -> bool:
    """Whether a browser shows a file of this name; others it saves: HTML, SVG and XML would be active content."""
    return Path(name).suffix.lower() in _TEXT | {".pdf"}


class OriginalResponse(FileResponse):
    """The open file, with ranges; closed when it is sent, whatever happens."""

    def __init__(self, original: Original) -> None:
        suffix = Path(original.name).suffix.lower()
        kind = "application/pdf" if suffix == ".pdf" else "text/plain" if suffix in _TEXT else "application/octet-stream"
        policy = _PDF_POLICY if suffix == ".pdf" else _SANDBOX
        super().__init__(
            f"/dev/fd/{original.file.fileno()}",  # of the file that was looked at, not of its path
            headers={"Content-Security-Policy": policy},
            media_type=kind,
            filename=original.name,
            stat_result=os.fstat(original.file.fileno()),
            content_disposition_type="inline" if is_shown(original.name) else "attachment",
        )
        self._file = original.file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()
