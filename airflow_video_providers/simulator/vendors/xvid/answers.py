# SPDX-License-Identifier: Apache-2.0
"""How Xvid MediaHub words its answers: JSON or XML, with or without empty keys, errors under ``error``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from xml.sax.saxutils import escape

from fastapi import Request, Response

if TYPE_CHECKING:
    from airflow_video_providers.simulator.vendor import RefusedError

NAME = "xvid"
CODES = {400: "0x0000002", 403: "0x0000003", 404: "0x0000004", 500: "0x0000001"}


def reference(request: Request, kind: str, identifier: str) -> dict[str, str]:
    """How objects point to others: an id and an address."""
    return {"id": identifier, "href": f"{base_url(request)}/{kind}/{identifier}"}


def base_url(request: Request) -> str:
    """The base URL by which the client reached us."""
    return f"{request.url.scheme}://{request.url.netloc}/xvid/v1"


def milliseconds(seconds: float | None) -> int | None:
    """Epoch milliseconds."""
    return None if seconds is None else int(seconds * 1000)


def flag(request: Request, name: str) -> bool:
    """A parameter that is ``true`` or ``false``."""
    return request.query_params.get(name, "").lower() == "true"


def answer(request: Request, content: dict[str, Any], status: int = 200) -> Response:
    """Answer in the form that the request asks for."""
    if not flag(request, "show_null"):
        content = without_nulls(content)
    wanted = request.query_params.get("format") or (
        "xml" if "xml" in request.headers.get("accept", "") and "json" not in request.headers["accept"] else "json"
    )
    if wanted == "xml":
        text = '<?xml version="1.0" encoding="UTF-8"?>\n' + _xml_document(content)
        return Response(text, status, media_type="application/xml")
    text = json.dumps(content, indent=2 if flag(request, "human") else None)
    return Response(text, status, media_type="application/json")


def without_nulls(value: Any) -> Any:
    """The value without keys that are not set."""
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    if isinstance(value, list):
        return [without_nulls(item) for item in value]
    return value


def error_body(status: int, message: str, code: str = "") -> dict[str, Any]:
    """The documented form of errors; an unknown token has a text of its own."""
    if status == 403 and message.startswith("A fault"):
        message = "Invalid access token"
    return {"error": {"error_code": code or CODES.get(status, "0x0000001"), "error_message": message}}


def error_answer(request: Request, error: RefusedError) -> Response:
    """An error in the form that the request asks for."""
    return answer(request, error_body(error.status, error.message, error.code), error.status)


def _xml_document(content: dict[str, Any]) -> str:
    if len(content) == 1:
        ((name, value),) = content.items()
        if isinstance(value, dict):
            return _xml(name, value)
    return _xml("response", content)


def _xml(name: str, value: Any) -> str:
    if isinstance(value, dict):
        body = "".join(_xml(key, item) for key, item in value.items())
    elif isinstance(value, list):
        body = "".join(_xml(name.removesuffix("s"), item) for item in value)
    elif value is None:
        return f"<{name}/>"
    else:
        body = escape(str(value).lower() if isinstance(value, bool) else str(value))
    return f"<{name}>{body}</{name}>"
