# SPDX-License-Identifier: Apache-2.0
"""The session of Xvid's API: responses in JSON or XML, errors in Xvid's form, and what a missing scope looks like."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import requests

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.content import ContentError, decode_json
from airflow_video_providers.api.errors import VendorError, parse_error
from airflow_video_providers.exceptions import VideoApiAuthenticationError, VideoApiPermissionError

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

_WRAPPERS = ("response", "root")
_MOST_TAGS = 200_000

RIGHTS = {
    "read jobs and files": {"mediahub_read"},
    "submit jobs": {"mediahub_write", "mediahub_submit_jobs"},
    "cancel jobs and upload media": {"mediahub_write"},
    "download files": {"mediahub_read", "mediahub_download_files"},
    "use AutoGraph": {"autograph"},
}
"""What a token may do, and the scopes of which each needs one; ``mediahub`` is reading and writing."""


class XvidClient(VideoApiClient):
    """
    A session whose error for a missing right names the scopes.

    :param plain: the session by which its token is fetched; it shares its secrets, and is closed with it.
    :param scope: the scopes that its token was asked for.
    """

    def __init__(self, *, plain: VideoApiClient, scope: str, **kwargs: Any) -> None:
        self.plain, self.scope = plain, scope
        super().__init__(**kwargs, error_parser=parse_xvid_error, error_decoder=decode_error, decoder=decode)

        self.secrets = plain.secrets

    def close(self) -> None:
        """Close the connections of both sessions."""
        self.plain.close()
        super().close()

    def call(self, method: str, path: str, *, endpoint: str, **kwargs: Any) -> requests.Response:
        """Send one call as :meth:`VideoApiClient.call` does."""
        try:
            return super().call(method, path, endpoint=endpoint, **kwargs)
        except VideoApiPermissionError as error:
            raise VideoApiPermissionError(
                error.message,
                vendor=error.vendor,
                endpoint=error.endpoint,
                status=error.status,
                code=error.code,
                hint=f"{missing_rights(self.scope)} Check the extra 'scope' of the connection: "
                "mediahub_read,mediahub_write lets it do all but AutoGraph.",
            ) from None


def missing_rights(scope: str) -> str:
    """Return in a sentence what a token that was asked for with this scope may not do."""
    if not scope:
        return "No scope is asked for, so what the token may do is left to Xvid."
    held = set(scope.split(","))
    if "mediahub" in held:
        held |= {"mediahub_read", "mediahub_write"}
    missing = [what for what, scopes in RIGHTS.items() if not scopes & held]
    return f"The scope {scope!r} does not let it {', '.join(missing)}." if missing else "Its scope lets it do all."


def parse_xvid_error(body: Any) -> VendorError:
    """Read Xvid's error form; code 0x0000003, written with or without 0x, is a token that it does not accept."""
    error = parse_error(body)
    refused = (error.code or "").lower().removeprefix("0x") == "0000003"
    return replace(error, cause=VideoApiAuthenticationError) if refused else error


def decode(content: bytes) -> Any:
    """
    Return decoded JSON or, where that was asked for, XML in the shape of the JSON.

    :raises ContentError: it is neither.
    """
    return parse_xml(content) if content.lstrip()[:1] == b"<" else decode_json(content)


def decode_error(content: bytes) -> Any:
    """
    Return a decoded error response.

    :raises ContentError: it is neither JSON nor XML; also a page, which may be XML, but holds no ``error``.
    """
    value = decode(content)
    if content.lstrip()[:1] == b"<" and "error" not in value:
        raise ContentError("it is XML, but no error of Xvid's")
    return value


def parse_xml(content: bytes) -> dict[str, Any]:
    """
    Read XML into the shape of the JSON; every value is a text, an empty element is None.

    The manual shows no XML, so the form is taken to be the usual one: an element for each key, a list ``jobs`` of
    ``job`` elements, the root either the object's type name or a neutral wrapper.

    :raises ContentError: it is not XML, is nested too deep, holds more than 200,000 tags, or a document type or
        entities, which are never read.
    """
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import ParseError, fromstring

    if content.count(b"<") > _MOST_TAGS:
        raise ContentError(f"it is XML of more than {_MOST_TAGS} tags")
    try:
        root = fromstring(content, forbid_dtd=True)
        value = _value(root)
    except (ParseError, DefusedXmlException, ValueError, RecursionError) as error:
        raise ContentError(f"it is not acceptable XML: {type(error).__name__}") from None
    return value if root.tag in _WRAPPERS and isinstance(value, dict) else {root.tag: value}


def _value(element: Element) -> Any:
    children = list(element)
    if not children:
        text = (element.text or "").strip()
        return text or None
    if all(child.tag == element.tag[:-1] for child in children):
        return [_value(child) for child in children]
    grouped: dict[str, list[Any]] = {}
    for child in children:
        grouped.setdefault(child.tag, []).append(_value(child))
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}
