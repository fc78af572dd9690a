# SPDX-License-Identifier: Apache-2.0
"""Hostile responses and arguments for the calls of any hook, made from its models and signatures alone."""

from __future__ import annotations

import inspect
import io
import json
import random
import types
import typing
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, RootModel

from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import JobState, VideoOutput
from tests.support.raw_server import RawConnection
from tests.support.vendors import schemas_of

HUGE = "9" * 5000
"""Stands in a document for a number that no float holds."""

_NOT_CALLS = {"get_conn", "make_auth", "make_client", "close", "fetch", "exposures"}
_WORDS = ["", "1", "a/b", "..", "job-1", "\ud800", "\x00", "\x1b[2J\n", "\u202e", "None", "https://x.invalid/v?sig=1",
          "javascript:alert(1)", "1e999", "-1", "2026-11-26T00:00:00Z", "0001-01-01T00:00:00+14:00", "99999999999999",
          "true", "finished", "failed", "null", "x" * 70_000]  # fmt: skip
_VALUES: list[Any] = [
    *_WORDS, None, True, False, 0, -1, 1, 2**63, 10**39, -(10**39), 1.5, float("nan"), float("inf"), float("-inf"),
    1e308, 1764115200, 1764115200000, HUGE, [], {}, [[]], [None], {"": None}, {"id": {"id": []}}, ["x"] * 300,
]  # fmt: skip
_STATUSES = [200] * 60 + [201, 202, 204, 206, 301, 302, 303, 304, 308, 400, 401, 402, 403, 404, 404, 405, 408, 409, 410,
                          422, 423, 425, 429, 451, 499, 500, 502, 503, 504, 599, 600, 700, 999]  # fmt: skip
_HEADERS = {
    "Retry-After": ["0", "-1", "1e400", "nan", "Thu, 01 Jan 1970 00:00:00 GMT", "Mon, 99 Xxx 99999 99:99:99 GMT", HUGE],
    "RateLimit-Reset": ["0", "x", "1e400", HUGE],
    "Location": ["/", "http://[bad", "//", "https://x.invalid:99999/", "javascript:x", "https://x.invalid/?sig=1"],
    "Content-Encoding": ["gzip", "br", "identity", "gzip, gzip", "\xff", ","],
    "Content-Type": ["text/html", "application/xml", "", "x" * 5000, "application/json; charset=utf-7"],
    "Set-Cookie": ["a=b; Domain=.invalid; Path=/", "\xff"],
}


class ResponseMaker:
    """
    Makes responses of one vendor: well-formed ones by its models, with one or a few faults.

    :param vendor: its connection type. :param chance: decides everything, so that a seed repeats a run.
    """

    def __init__(self, vendor: str, chance: random.Random) -> None:
        self.chance = chance
        module = schemas_of(vendor)
        self.models = [
            model
            for model in vars(module).values()
            if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
        ]
        self.statuses = sorted(_statuses_of(vendor))

    def serve(self, connection: RawConnection, request: bytes) -> bool:
        """Answer one request."""
        path = request.split(b" ", 2)[1]
        if b"oauth2/token" in path and self.chance.random() < 0.95:
            content, status, headers = b'{"access_token": "t0k3n-of-the-fuzz", "expires_in": 7200}', 200, ""
        else:
            content, status, headers = self._content(), self.chance.choice(_STATUSES), self._headers()
        declared = len(content) if self.chance.random() < 0.98 else len(content) + 7
        head = f"HTTP/1.1 {status} X\r\nContent-Length: {declared}\r\n{headers}\r\n"
        connection.send(head.encode("latin-1") + (b"" if status in (204, 304) else content))
        return declared == len(content)

    def _headers(self) -> str:
        names = [name for name in _HEADERS if self.chance.random() < 0.06]
        return "".join(f"{name}: {self.chance.choice(_HEADERS[name])}\r\n" for name in names)

    def _content(self) -> bytes:
        kind = self.chance.random()
        if kind < 0.03:
            return b"[" * self.chance.choice([50, 150, 5000]) + b"1"
        if kind < 0.05:
            return b'{"a":' * 150 + b"1" + b"}" * 150
        if kind < 0.08:
            return self.chance.choice(
                [b"", b"null", b"<html><body>502</body></html>", b"\xff\xfe\x00", b'"text"', b"7"]
            )
        document = self._document()
        for _ in range(self.chance.choice([0, 1, 1, 1, 2, 5])):
            document = self._spoil(document)
        text = json.dumps(document).replace(f'"{HUGE}"', HUGE)
        return text[: self.chance.randrange(len(text) + 1)].encode() if kind > 0.97 else text.encode()

    def _document(self) -> Any:
        """Return what any endpoint of the vendor may respond: the fields of all of its models at once."""
        merged: dict[str, Any] = {}
        for model in self.chance.sample(self.models, len(self.models)):
            made = self._of_model(model, 0)
            if isinstance(made, dict):
                merged.update(made)
        if self.chance.random() < 0.15:
            return [merged, merged]
        return merged

    def _of_model(self, model: type[BaseModel], depth: int) -> Any:
        if issubclass(model, RootModel):
            return self._of_type(model.model_fields["root"].annotation, depth + 1, "")
        return {
            field.alias or name: self._of_type(field.annotation, depth + 1, name)
            for name, field in model.model_fields.items()
            if field.is_required() or self.chance.random() < 0.7
        }

    def _of_type(self, kind: Any, depth: int, name: str) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin is typing.Annotated:
            return self._of_type(arguments[0], depth, name)
        if origin in (typing.Union, types.UnionType):
            return self._of_type(self.chance.choice(arguments), depth, name)
        if origin is Literal:
            return self.chance.choice(arguments)
        if depth > 6:
            return None
        if origin in (list, Sequence, tuple):
            return [self._of_type(arguments[0], depth + 1, name) for _ in range(self.chance.choice([0, 1, 2]))]
        if origin in (dict, Mapping):
            return {self.chance.choice(["a", "b"]): self._of_type(arguments[1], depth + 1, name)}
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return self._of_model(kind, depth)
        if kind is int or kind is float:
            return self.chance.choice([0, 1, 7, 100])
        if kind is bool:
            return self.chance.choice([True, False])
        if kind is datetime:
            return self.chance.choice([1764115200, 1764115200000, "2026-11-26T00:00:00Z"])
        if kind is str:
            return self._text(name.lower())
        return self.chance.choice([None, "x", 1, {"url": "http://x.invalid/v.mp4"}])

    def _text(self, name: str) -> str:
        if "status" in name or "state" in name:
            return self.chance.choice(self.statuses)
        if "url" in name or "link" in name or "download" in name:
            usual = "https://files.invalid/v.mp4?sig=1"
            return self.chance.choice([usual] * 8 + ["https://[bad", "http://h\u2100.com/v.mp4"])
        if "size" in name:
            return self.chance.choice(["1234", "\u00b2", HUGE])
        return self.chance.choice(["job-1", "1", "2026-11-26T00:00:00Z", "owner/app|r1"])

    def _spoil(self, document: Any) -> Any:
        """Replace or remove one value of a document, at any depth."""
        if isinstance(document, (dict, list)) and document and self.chance.random() < 0.85:
            place = self.chance.choice(list(document) if isinstance(document, dict) else range(len(document)))
            if isinstance(document, dict) and self.chance.random() < 0.1:
                return {key: value for key, value in document.items() if key != place}
            copy = dict(document) if isinstance(document, dict) else list(document)
            copy[place] = self._spoil(document[place])  # type: ignore[index,call-overload]
            return copy
        return self.chance.choice(_VALUES)


class ArgumentMaker:
    """Makes arguments of the types that a method's signature names, some of them odd."""

    def __init__(self, request: Callable[[str], dict[str, Any]], chance: random.Random) -> None:
        self.request = request
        self.chance = chance

    def arguments(self, method: Callable[..., Any]) -> tuple[list[Any], dict[str, Any]]:
        """Return positional and keyword arguments of one call."""
        hints = typing.get_type_hints(method, include_extras=False)
        positional: list[Any] = []
        keywords: dict[str, Any] = {}
        for name, parameter in inspect.signature(method).parameters.items():
            optional = parameter.default is not parameter.empty
            if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
                continue
            if optional and self.chance.random() < 0.6:
                continue
            value = self._of_type(hints.get(name, str), name)
            if parameter.kind is parameter.KEYWORD_ONLY or optional:
                keywords[name] = value
            else:
                positional.append(value)
        if "size" in keywords and positional and isinstance(positional[0], io.BytesIO):
            keywords["size"] = len(positional[0].getvalue())
        return positional, keywords

    def _of_type(self, kind: Any, name: str) -> Any:
        origin, arguments = get_origin(kind), get_args(kind)
        if origin in (typing.Union, types.UnionType):
            return self._of_type(self.chance.choice(arguments), name)
        if origin is Literal:
            return self.chance.choice(arguments)
        if kind is type(None):
            return None
        if kind is str:
            return self.chance.choice([*_WORDS[:12], "owner/app|r1", "owner/app|r1", "job-1", "job-1", "job-1"])
        if kind is bytes:
            return self.chance.choice([b"", b"{}", b"\xff", b"[1]", b'{"id": "1", "data": {"id": 7}}', b"{" * 50_000])
        if kind is bool:
            return self.chance.choice([True, False])
        if kind in (int, float):
            return kind(self.chance.choice([0, 1, 7, 100]))
        if kind is datetime:
            return datetime.now(timezone.utc) - timedelta(days=self.chance.choice([0, 1, 400]))
        if kind is date:
            return date(2026, 11, 26)
        if kind is VideoOutput:
            return VideoOutput(
                kind="video", url="https://x.invalid/v", output_id=self.chance.choice([None, "1", "a/b"])
            )
        if kind is typing.BinaryIO:
            return io.BytesIO(b"x" * self.chance.choice([0, 10]))
        if origin in (Collection, Sequence, list, Iterable):
            return [self._of_type(arguments[0], name) for _ in range(self.chance.choice([0, 1, 3]))]
        if kind in (Mapping, dict) or origin in (Mapping, dict):
            request = self.request("a title")
            if self.chance.random() < 0.2 and request:
                request[self.chance.choice(list(request))] = self.chance.choice([None, "", [], {}, 7, "x"])
            return request
        return self.chance.choice([None, "x"])


def calls_of(hook: VideoHook) -> list[str]:
    """Return the names of a hook's methods that a user, an operator or the documentation calls."""
    names = []
    for name, member in inspect.getmembers(type(hook), inspect.isfunction):
        ours = member.__module__.startswith("airflow_video_providers.hooks")
        if ours and not name.startswith("_") and name not in _NOT_CALLS:
            names.append(name)
    return names


def drained(value: Any) -> Any:
    """Return a value, or the items of an iterator, so that what it does is done."""
    return list(value) if isinstance(value, Iterator) else value


def _statuses_of(vendor: str) -> set[str]:
    """Return the words for statuses that the vendor's hook knows, found in its tables."""
    from importlib import import_module

    words = {"odd"}
    module = import_module(f"airflow_video_providers.hooks.{vendor}.hook")
    for value in vars(module).values():
        if isinstance(value, dict) and value and all(isinstance(state, (JobState, Enum)) for state in value.values()):
            words |= {word for word in value if isinstance(word, str)}
    return words
