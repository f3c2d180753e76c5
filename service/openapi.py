"""What the OpenAPI document says of keys."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from service.access import HEALTH
from service.sessions import COOKIE

_SCHEMES = {
    "key": {"type": "http", "scheme": "bearer", "description": "an API key, where the server demands one"},
    "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": "what POST /v1/session gives to the page"},
}


def declare_keys(app: FastAPI) -> None:
    """Every route but health takes a key, a session, or, on a server that demands neither, nothing."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = described()
            schema["components"]["securitySchemes"] = _SCHEMES
            schema["security"] = [{"key": []}, {"session": []}, {}]
            for path in HEALTH:
                schema["paths"][path]["get"]["security"] = []
        return described()

    app.openapi = openapi  # type: ignore[method-assign]
