# SPDX-License-Identifier: Apache-2.0
"""
Links, byte for byte as a vendor or a host gave them: a signature may cover the very text.

Only what a request line cannot carry is changed: the fragment is left out, and blanks, control characters and bytes
beyond ASCII are percent-encoded.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from airflow_video_providers.api.redirects import BLANKS, redirect_target
from airflow_video_providers.exceptions import SourceError, SourceLinkRefusedError
from airflow_video_providers.text.redaction import clean_text

_URL = re.compile(r"([a-z][a-z0-9+.-]*):(?://([^/?#\\]*))?([^#]*)", re.IGNORECASE | re.DOTALL)
_UNSENDABLE = re.compile(rb"[^\x21-\x7e]")


@dataclass(frozen=True)
class FileUrl:
    """The link of a file: scheme, authority (host and port, with a user where it has one), path and query."""

    scheme: str
    authority: str
    target: str

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def parse_link(link: str) -> FileUrl:
    """
    Split a link.

    :raises SourceLinkRefusedError: it is no http or https link. The link itself is not in the text.
    """
    match = _URL.fullmatch(link.strip(BLANKS).partition("#")[0])
    scheme = match[1].lower() if match else "relative"
    if match is None or scheme not in ("http", "https"):
        raise SourceLinkRefusedError(f"the link of the file is no http or https link but {_shown(scheme)}")
    if not match[2]:
        raise SourceError("the link of the file names no host")
    return FileUrl(scheme, match[2], _sendable_target(match[3]))


def follow(url: FileUrl, location: str) -> FileUrl:
    """
    Return where a redirect leads.

    :param location: the header, each byte of it as one character, as http.client gives it.
    :raises SourceLinkRefusedError: it leads to something else than http or https, or from https to http.
    """
    try:
        text = redirect_target(str(url), location)
    except ValueError:
        raise SourceError("the source redirects to a malformed link") from None
    match = _URL.match(text)
    scheme = match[1].lower() if match else ""
    if scheme not in ("http", "https"):
        raise SourceLinkRefusedError(f"the source redirects to a {_shown(scheme)}: link, which is not followed")
    if url.scheme == "https" and scheme == "http":
        raise SourceLinkRefusedError("the source redirects from https to http, which is not followed")
    return parse_link(text)


def _shown(scheme: str) -> str:
    return clean_text(scheme, longest=30)


def _sendable_target(target: str) -> str:
    if not target.startswith("/"):
        target = f"/{target}"
    try:
        raw = target.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raise SourceError("the link of the file is malformed") from None
    return _UNSENDABLE.sub(lambda match: b"%%%02X" % ord(match[0]), raw).decode("ascii")
