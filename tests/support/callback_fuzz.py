# SPDX-License-Identifier: Apache-2.0
"""Requests to the address for callbacks that must have no effect: forged, replayed, oversized, malformed, unknown."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.callbacks import KEY_HEADER, LONGEST_CALLBACK, TOKEN_HEADER

KINDS = {"forged": 45, "replayed": 8, "oversized": 2, "malformed": 25, "unknown": 20}
"""The kinds of requests, and how many of a hundred are of each."""


@dataclass
class Attempt:
    """One request, and the statuses that it may get."""

    kind: str
    path: str
    statuses: frozenset[int]
    content: bytes = b"{}"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    method: str = "POST"


class Attempts:
    """
    Makes attempts, the same for each seed.

    :param hook: of a vendor that does not sign; its connection has a secret.
    :param key: the submission key of a render that is waited for and in doubt.
    :param stranger: a hook of another connection with another secret.
    """

    def __init__(self, hook: VideoHook, stranger: VideoHook, key: str, seed: int) -> None:
        self.hook, self.stranger, self.key = hook, stranger, key
        self.random = random.Random(seed)

    def make(self, count: int) -> Iterator[Attempt]:
        """Yield so many attempts of all kinds."""
        for _ in range(count):
            (kind,) = self.random.choices(list(KINDS), list(KINDS.values()))
            yield getattr(self, f"_{kind}")()

    def _query(self, hook: VideoHook, key: str | None) -> str:
        return hook.callback_url("http://a", key).partition("?")[2]

    def _body(self) -> bytes:
        names = ["id", "job_id", "status", "url", "data", "event_data", "type", self._text(8)]
        return json.dumps({name: self._value() for name in self.random.sample(names, 3)}).encode()

    def _value(self) -> Any:
        pick = self.random.random()
        if pick < 0.2:
            return {self._text(4): self._text(12)}
        return self.random.choice([None, True, 2**70, -1.5, "", self._text(30), [self._text(3)], self.key])

    def _text(self, longest: int) -> str:
        letters = "abcXYZ019-_./%\"'\\\u00e9\u4e2d\u202e\n\x00 "
        return "".join(self.random.choice(letters) for _ in range(self.random.randrange(longest + 1)))

    def _forged(self) -> Attempt:
        pick = self.random.randrange(6)
        good = self._query(self.hook, self.key)
        headers = {"Content-Type": "application/json"}
        if pick == 0:  # another connection's token for this key
            query = self._query(self.stranger, self.key)
        elif pick == 1:  # the token of another key
            query = good.replace(self.key, self.key[:-1] + self.random.choice("fghx"))
        elif pick == 2:  # one character of the token is changed
            at = self.random.randrange(len(good) - 64, len(good))
            query = good[:at] + ("0" if good[at] != "0" else "1") + good[at + 1 :]
        elif pick == 3:  # the parameters in the headers that stand for them
            query = ""
            headers |= {KEY_HEADER: self.key, TOKEN_HEADER: good.rpartition("=")[2]}
        elif pick == 4:  # any token
            query = urlencode({"key": self.key, "token": self._text(64)})
        else:  # a key with no token, or the account's token with a key
            query = urlencode({"key": self.key})
        return Attempt("forged", f"/{self.hook.conn_id}?{query}", frozenset({400, 401}), self._body(), headers)

    def _replayed(self) -> Attempt:
        """A genuine callback of a render that nobody waits for, again and again."""
        query = self._query(self.hook, "avp-" + "f" * 40)
        return Attempt("replayed", f"/{self.hook.conn_id}?{query}", frozenset({200}), b"{}")

    def _oversized(self) -> Attempt:
        query = self._query(self.hook, self.key)
        length = LONGEST_CALLBACK + self.random.randrange(1, 64)
        return Attempt("oversized", f"/{self.hook.conn_id}?{query}", frozenset({413}), b" " * length)

    def _malformed(self) -> Attempt:
        query = self._query(self.hook, self.key)
        bad = self.random.choice(
            [b"", b"{", b"[]", b"null", b"\xff\xfe{}", b'{"a":NaN}', b"[" * 60_000, b'{"a":1}x', b'"' + self._body()]
        )
        if self.random.random() < 0.3:
            kind = self.random.choice(["text/xml", "application/x-www-form-urlencoded", "text/plain", "a/b; c"])
            return Attempt(
                "malformed", f"/{self.hook.conn_id}?{query}", frozenset({415}), b"{}", {"Content-Type": kind}
            )
        if self.random.random() < 0.2:
            return Attempt("malformed", f"/{self.hook.conn_id}?{query}&{query}", frozenset({400}))
        return Attempt("malformed", f"/{self.hook.conn_id}?{query}", frozenset({400}), bad)

    def _unknown(self) -> Attempt:
        query = self._query(self.hook, self.key)
        if self.random.random() < 0.2:
            method = self.random.choice(["GET", "PUT", "DELETE", "PATCH"])
            return Attempt("unknown", f"/{self.hook.conn_id}?{query}", frozenset({405}), method=method)
        name = quote(self._text(40).strip("/") or "nobody", safe="")
        return Attempt("unknown", f"/x{name}?{query}", frozenset({404, 429}), self._body())
