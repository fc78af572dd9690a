# SPDX-License-Identifier: Apache-2.0
"""
The one door for every text of a vendor: what comes out of here can be logged, stored and shown.

It holds no secret, no credential of a link, no control character and no lone surrogate, and its length is bounded. The
vocabulary (``jobs``) and the errors (``exceptions``) clean what they are given; the client cleans whole documents and
knows the secrets. This module imports nothing of the package, so that all of it can use it.
"""

from __future__ import annotations

import html
import json
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterable
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

HIDDEN = "***"
DEEPEST = 100
LONGEST_LIST = 100_000

_MOST_ESCAPES = 4  # one within the other
_READ = 32 * 1024  # of a text that is to be shown, no more is read; all limits below are far shorter
_SHORTEST_SECRET = 3  # a shorter one is no secret, and its letters are in every message
_SHORTEST_IN_DOCUMENT = 8  # in a document even a word may be data, such as a part of an id

# Control characters, line separators, and what turns the direction of a text or is not seen in it.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]+")
_SURROGATES = re.compile("[\ud800-\udfff]")
_NO_LINK = re.compile(rf"{_UNSEEN.pattern}|[\s<>\"\\^`{{|}}]")

# A link may hold an apostrophe, as encodeURIComponent leaves it; one before the end of a word closes a quotation.
_OF_A_LINK = r"(?:[^\s\"'<>]|'(?![\s\"'<>,;:.)\]}]|$))"
# A question mark, also as URLs, JSON and HTML escape it.
_QUERY = re.compile(rf"(?:\?|%3[fF]|\\u003[fF]|&#(?:63|[xX]3[fF]);){_OF_A_LINK}+")
_PARAMETER = re.compile(
    r"\b((?:x-(?:amz|goog)-)?(?:signature|credential|security-token)|sig|(?:[a-z]{1,20}_)?(?:token|secret)|api_?key|"
    r"account_?key|password)(\s?=\s?|%3d)[^\s\"'<>&;,]{3,}",
    re.IGNORECASE,
)
# As a header or JSON gives a value to such a name; only with a digit in it, so that "token: expired" stays.
_FIELD = re.compile(
    r"\b((?:[a-z]{1,20}[_-])?(?:token|secret)|(?:x-)?api[_-]?key|account_?key|password|signature)(\\?[\"']?\s?:\s?\\?[\"']?)"
    r"(?=[^\s\"'\\,;0-9]{0,500}[0-9])[^\s\"'\\,;]{8,}",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"\b(bearer|basic)\s+(?=[^\s0-9]{0,500}[0-9])[a-z0-9+/=._~-]{8,}", re.IGNORECASE)
_USER = re.compile(r"(?<![^\s\"'<>/(=])[^\s\"'<>/:@(=]{1,256}:[^\s\"'<>/@]{1,256}@")
_LINK = re.compile(rf"([a-zA-Z][a-zA-Z0-9+.-]{{0,30}}:(?:\\?/){{2}})({_OF_A_LINK}*)")
_WORD = re.compile(r"[A-Za-z0-9_.-]*")
_ESCAPES = re.compile(r"\\(?:u([0-9a-fA-F]{4})|x([0-9a-fA-F]{2})|([/\"'\\&]))")


def clean_text(text: Any, *, longest: int) -> str:
    """Return a value as one line of at most ``longest`` characters, none of them a control character or a surrogate."""
    line = str(text)[:_READ]
    if not line.isprintable():  # a printable one holds none of them
        line = _SURROGATES.sub("\ufffd", _UNSEEN.sub(" ", line))
    line = line.strip()
    return line if len(line) <= longest else line[: longest - 1] + "…"


def clean_label(text: Any, *, longest: int) -> str:
    """Return a value as :func:`clean_text` does, without the credentials of links that stand in it."""
    label = str(text)[:_READ]
    return clean_text(_LINK.sub(_shown_link, label) if ":" in label else label, longest=longest)


def clean_reason(text: Any, *, longest: int) -> str:
    """Return a vendor's word or reason as :func:`redact` shows it; one that is a single word holds nothing to hide."""
    text = str(text)
    return text if len(text) <= longest and _WORD.fullmatch(text) else redact(text, longest=longest)


def cut_queries(text: str) -> str:
    """Take out the query of every link, whatever stands before it: it may be a signature."""
    return _QUERY.sub(f"?{HIDDEN}", text)


def redact(text: str, secrets: Iterable[str] = (), *, longest: int | None = None) -> str:
    """
    Take out secrets, in whatever spelling, and the credentials of links; clean the text and cut it.

    :param secrets: a secret of less than 3 characters is none.
    :param longest: characters of the result; None: no limit but 32 Ki.
    """
    secrets = [secret for secret in secrets if len(secret) >= _SHORTEST_SECRET]
    text = plain = _hidden(_without_secrets(text, secrets)[:_READ], secrets)
    for _ in range(_MOST_ESCAPES):
        before, plain = plain, _unescaped(plain)
        if plain == before:
            break
        shown = _hidden(plain, secrets)
        if shown != plain:
            text = plain = shown
    return clean_text(text, longest=longest or _READ)


def _hidden(text: str, secrets: list[str]) -> str:
    return _without_link_secrets(_without_any_case(_without_secrets(text, secrets), secrets))


def clean_document(value: Any, secrets: Iterable[str] = (), *, written: bytes = b"") -> Any:
    """
    Return a decoded document without lone surrogates and, in texts that are no links, without secrets.

    Line breaks stay, since a text may be subtitles; the query of a link stays whole, since it is to be followed.

    :param written: the JSON that it was decoded from, to be searched instead of the document where it is plain.
    :raises ValueError: it is nested deeper than 100 levels, or holds a list of more than 100,000 items: what is wrong
        in each of them would cost a kilobyte to tell.
    """
    _check_shape(value)
    secrets = [secret for secret in secrets if len(secret) >= _SHORTEST_IN_DOCUMENT]
    return value if _is_clean_document(value, secrets, written) else _clean(value, secrets)


def _check_shape(value: Any) -> None:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(DEEPEST):
        if any(len(parent) > LONGEST_LIST for parent in level):
            raise ValueError(f"it holds a list of more than {LONGEST_LIST} items")
        items = (parent.values() if isinstance(parent, dict) else parent for parent in level)
        level = [item for some in items for item in some if isinstance(item, (dict, list))]
    if level:
        raise ValueError(f"it is nested deeper than {DEEPEST} levels")


def _is_clean_document(value: Any, secrets: list[str], written: bytes) -> bool:
    """Tell at the speed of a search in one text whether nothing of a document, mostly a long list, must be changed."""
    if written[:1] in (b"{", b"[") and written.isascii() and b"\\" not in written and b"\0" not in written:
        text = written.decode("ascii")
    else:
        try:
            text = json.dumps(value, ensure_ascii=False)
        except (TypeError, ValueError):  # of a decoder that makes more of it than JSON holds
            return False
    spellings = {spelling for secret in secrets for spelling in _spellings(secret)}
    # A secret with a quotation mark or a backslash stands in the text as JSON writes it.
    as_written = (json.dumps(spelling, ensure_ascii=False)[1:-1] for spelling in spellings)
    has_surrogates = not text.isascii() and _SURROGATES.search(text)
    return not has_surrogates and not any(spelling in text for spelling in as_written)


def _clean(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, str):
        value = without_surrogates(value)
        if not is_link(value):
            return _without_secrets(value, secrets)
        path, mark, query = value.partition("?")
        return f"{_without_secrets(path, secrets)}{mark}{query}"
    if isinstance(value, dict):
        return {_clean(name, secrets): _clean(item, secrets) for name, item in value.items()}
    if isinstance(value, list):
        return [_clean(item, secrets) for item in value]
    return value


def is_link(text: str) -> bool:
    """Tell whether a text is one link, and nothing else."""
    match = _LINK.fullmatch(text.strip())
    return match is not None and bool(match[2])


def _without_any_case(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        if len(secret) >= _SHORTEST_IN_DOCUMENT and secret.lower() in text.lower():
            text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
    return text


def _without_secrets(text: str, secrets: list[str]) -> str:
    for secret in secrets:
        for spelling in _spellings(secret):
            if spelling in text:
                text = text.replace(spelling, HIDDEN)
    return text


@lru_cache(maxsize=256)
def _spellings(secret: str) -> tuple[str, ...]:
    try:
        raw = secret.encode()
    except UnicodeEncodeError:
        return (secret,)
    spellings = [secret, quote(secret, safe="")]
    if len(raw) >= _SHORTEST_IN_DOCUMENT:
        spellings += [b64encode(raw).decode().rstrip("="), urlsafe_b64encode(raw).decode().rstrip("=")]
    return tuple(dict.fromkeys(spellings))


def _unescaped(text: str) -> str:
    """Undo the escapes of JSON, HTML and URLs, so that a secret is found in any of them."""
    if "\\" in text:
        text = _ESCAPES.sub(lambda match: match[3] or chr(int(match[1] or match[2], 16)), text)
    if "&" in text:
        text = html.unescape(text)
    return unquote(text) if "%" in text else text


def _without_link_secrets(text: str) -> str:
    """Cut user and password, query, fragment and parameters of every link, and what says itself that it is secret."""
    text = cut_queries(_USER.sub(f"{HIDDEN}@", _LINK.sub(_shown_link, text)))
    text = _FIELD.sub(rf"\1\2{HIDDEN}", _PARAMETER.sub(rf"\1\2{HIDDEN}", text))
    return _SCHEME.sub(rf"\1 {HIDDEN}", text)


def _shown_link(match: re.Match[str]) -> str:
    scheme, rest = match[1], match[2]
    rest, hash_, _ = rest.partition("#")
    rest, mark, _ = rest.partition("?")
    host, slash, path = rest.partition("/")
    if "@" in host:
        host = f"{HIDDEN}@{host.rpartition('@')[2]}"
    if scheme.lower().startswith("http"):
        # A part of a path that gives a value to a name is a parameter: ;sig=..., /exp=...~hmac=...
        path = "/".join(HIDDEN if "=" in part else part for part in path.split("/"))
    return f"{scheme}{host}{slash}{path}{f'{mark}{HIDDEN}' if mark else ''}{f'{hash_}{HIDDEN}' if hash_ else ''}"


def page_link(value: Any, *, longest: int = 2048) -> str | None:
    """
    Return the http or https link of a page without what may be a credential in it; None for anything else.

    User and password, the query, and a fragment that gives a value to a name are left out; a path that does is None.
    """
    if not isinstance(value, str) or len(value) > _READ:
        return None
    link = value.strip()
    try:
        parts = urlsplit(link)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or _NO_LINK.search(link):
            return None
    except ValueError:
        return None
    path = parts.path.partition(";")[0]
    if "=" in unquote(path):
        return None
    fragment = "" if "=" in unquote(parts.fragment) else parts.fragment
    shown = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], path, "", fragment))
    return shown if len(shown) <= longest and not _SURROGATES.search(shown) else None


def is_clean(text: str) -> bool:
    """Tell whether a text holds neither control or invisible characters nor lone surrogates."""
    return not (_UNSEEN.search(text) or _SURROGATES.search(text))


def without_surrogates(text: str) -> str:
    """Return a text that can be encoded; each lone surrogate becomes U+FFFD."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)
