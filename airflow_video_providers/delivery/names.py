# SPDX-License-Identifier: Apache-2.0
"""Make one segment of a key, safe in every store and file system, out of a text that a vendor gave."""

from __future__ import annotations

import hashlib
import re
import unicodedata

_LONGEST_BYTES = 150
_LONGEST_INPUT = 1000  # characters that are read: the cost of a text does not grow with its length
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}  # control, format, surrogate, private use, line separators
_UNSAFE = re.compile(r'[/\\:*?"<>|#%{}^`~\[\]]+')
_DEVICE = re.compile(r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(?:\.|$)", re.IGNORECASE)


def safe_name(name: str | None, fallback: str = "file") -> str:
    """
    Return a title or file name as a segment of a key: two names can become one.

    No slash, no ``..``, no control or wildcard character, no leading or trailing dot or space, no name of a Windows
    device, at most 150 bytes of UTF-8. ``fallback`` where nothing is left.
    """
    text = unicodedata.normalize("NFC", (name or "")[:_LONGEST_INPUT])
    text = _UNSAFE.sub("_", "".join(character for character in text if _is_visible(character)))
    text = text.strip(" .").encode()[:_LONGEST_BYTES].decode(errors="ignore").strip(" .")
    if _DEVICE.match(text):
        text = f"_{text}"
    return text or fallback


def safe_id(identifier: str) -> str:
    """
    Return an id as a segment of a key: different ids stay different.

    An id that :func:`safe_name` would change gets a digest of the id appended: ``a/b`` becomes ``a_b-c14cddc033f6``.
    """
    text = safe_name(identifier)
    if text == identifier:
        return text
    digest = hashlib.sha256(identifier.encode(errors="surrogatepass")).hexdigest()[:12]
    return f"{text}-{digest}"


def _is_visible(character: str) -> bool:
    return unicodedata.category(character) not in _HIDDEN and not _is_noncharacter(ord(character))


def _is_noncharacter(code: int) -> bool:
    # Not allowed in XML, in which stores list their keys. Other unassigned characters may be assigned some day.
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
