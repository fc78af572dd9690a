# SPDX-License-Identifier: Apache-2.0
"""
Header lines that Python's parser gives up at.

At the first line that is no header, such as ``Content-Length : 3`` with a blank before its colon, it takes all that
follows for a body: a length, a range or a redirect is lost, and urllib3 logs the text as it is, signed links and
cookies included.
"""

from __future__ import annotations

import re
from http.client import HTTPMessage

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_END_OF_LINE = re.compile(r"\r?\n")


def read_left_lines(headers: HTTPMessage) -> bool:
    """
    Read the headers among the lines that were left unread; drop the others.

    Blanks before a colon are removed (RFC 9112, 5.1). A line that begins with a blank goes on with the one before it.

    :return: whether anything was left unread.
    """
    if not headers.defects:
        return False
    left = headers.get_payload()
    name = None
    for line in _END_OF_LINE.split(left) if isinstance(left, str) else ():
        if line[:1] in (" ", "\t"):
            if name is not None:
                values = headers.get_all(name) or []
                del headers[name]
                for value in [*values[:-1], f"{values[-1]} {line.strip()}"]:
                    headers[name] = value
            continue
        before, colon, value = line.partition(":")
        name = before.strip() if colon and _NAME.fullmatch(before.strip()) else None
        if name is not None:
            headers[name] = value.strip()
    headers.set_payload("")
    headers.defects.clear()
    return True
