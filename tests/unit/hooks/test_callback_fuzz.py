# SPDX-License-Identifier: Apache-2.0
"""
No callback that is not genuine is believed: mutated headers and bodies, for every hook.

Each genuine callback is made by the simulator of the vendor, which shares no code with the hooks. Whatever is done to
it, the hook says what it says of the genuine one, or refuses it. ``AVP_FUZZ_CALLBACKS`` sets the number of callbacks
(default 6,000 over all vendors), ``AVP_FUZZ_SEED`` the first seed.
"""

from __future__ import annotations

import base64
import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_video_providers.exceptions import VideoCallbackRefusedError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import CallbackHint
from airflow_video_providers.testing.parts import CallbackServer
from tests.support.simulator import VENDORS, Simulator
from tests.support.vendors import HOOKS

CALLBACKS = int(os.environ.get("AVP_FUZZ_CALLBACKS", "6000"))
SEED = int(os.environ.get("AVP_FUZZ_SEED", "20261126"))
SECRET = "the-callback-secret-of-the-fuzz"
STATUSES = {400, 401, 413, 415}
KEY = "k-0123456789abcdef"

Callback = tuple[dict[str, str], bytes]


@dataclass
class Genuine:
    """Callbacks of one connection, and what its hook makes of them."""

    hook: VideoHook
    callbacks: list[Callback]
    hints: set[CallbackHint]
    covered: bool
    """Whether the body is signed; else the token alone counts, which names the key."""


def make_hook(vendor: str, url: str, secret: str) -> VideoHook:
    fields = {**VENDORS[vendor].connection_to(url), "conn_id": "fuzz"}
    hook = HOOKS[vendor]("fuzz")
    extra = {**(fields.get("extra") or {}), "callback_secret": secret}
    hook.connection = Connection(**{**fields, "extra": json.dumps(extra)})
    return hook


WAYS = [(vendor, "job") for vendor, hook in HOOKS.items() if hook.takes_callback]
WAYS += [(vendor, "account") for vendor in HOOKS if VENDORS[vendor].register_webhook or (vendor, "job") not in WAYS]


def genuine_callbacks(vendor: str, way: str, simulator: Simulator, server: CallbackServer) -> Genuine:
    """Have the simulator post of single jobs, or to the webhook of the account."""
    simulator.settings(render_seconds=600)
    hook = make_hook(vendor, simulator.url, SECRET)
    by_request = way == "job"
    if not by_request and VENDORS[vendor].register_webhook is not None:
        secret = simulator.register_webhook(vendor, hook.callback_url(server.url))
        hook = make_hook(vendor, simulator.url, secret or SECRET)
    elif not by_request:
        # It posts nothing. What its hook would believe is what a relay of the user sends to the account's address.
        url = hook.callback_url(server.url)
        headers = {"X-Video-Callback-Token": url.rpartition("=")[2], "content-type": "application/json"}
        return Genuine(hook, [(headers, b'{"id": "1"}')], {CallbackHint()}, covered=False)
    found = []
    for number in range(3):
        request, key = VENDORS[vendor].request(f"Fuzz-{number}"), f"{KEY}-{number}"
        if by_request:
            request = hook.callback_request(request, url=hook.callback_url(server.url, key), key=key)
        simulator.move(hook.submit_job(request, key=key).job_id, finish=True)
        found.append(server.wait())
    # Who signs the webhooks of an account is not known to sign the others.
    covered = hook.signs_callbacks != by_request and (hook.signs_callbacks or hook.callback_window is not None)
    return Genuine(hook, found, {hook.verify_callback(*callback) for callback in found}, covered)


class Mutator:
    """Does to a callback what an attacker or a broken proxy may do."""

    def __init__(self, chance: random.Random, genuine: Genuine) -> None:
        self.chance, self.genuine = chance, genuine

    def mutate(self) -> Callback:
        """Return a callback with one to three changes."""
        headers, body = self.chance.choice(self.genuine.callbacks)
        for _ in range(self.chance.choice([1, 1, 2, 3])):
            headers, body = self.chance.choice(self._changes())(dict(headers), body)
        return headers, body

    def _changes(self) -> list[Callable[[dict[str, str], bytes], Callback]]:
        return [
            self._header_value, self._header_value, self._header_value, self._header_gone, self._header_twice,
            self._header_of_another, self._body_bytes, self._body_bytes, self._body_cut, self._body_value,
            self._body_of_another, self._made_up, self._long,
        ]  # fmt: skip

    def _name(self, headers: dict[str, str]) -> str:
        return self.chance.choice(list(headers) or ["x"])

    def _text(self) -> str:
        made = "".join(chr(self.chance.randrange(1, 0x250)) for _ in range(self.chance.randrange(70)))
        words = ["", "0", "-1", "t=1,v1=", "t=,v1=,v1=", ".", "..", "=" * 9, "None", "\x00", "\ud800", "a" * 5000,
                 "1e9", "9" * 30, made, base64.b64encode(made.encode()).decode(), "0" * 64]  # fmt: skip
        return self.chance.choice(words)

    def _header_value(self, headers: dict[str, str], body: bytes) -> Callback:
        name = self._name(headers)
        value = headers.get(name, "")
        if value and self.chance.random() < 0.6:
            place = self.chance.randrange(len(value))
            value = (
                value[:place]
                + self.chance.choice("0123456789abcdef.,=t ")
                + value[place + self.chance.choice([0, 1]) :]
            )
        else:
            value = self._text()
        headers[name] = value
        return headers, body

    def _header_gone(self, headers: dict[str, str], body: bytes) -> Callback:
        headers.pop(self._name(headers), None)
        return headers, body

    def _header_twice(self, headers: dict[str, str], body: bytes) -> Callback:
        headers[self._name(headers).swapcase()] = self._text()
        return headers, body

    def _header_of_another(self, headers: dict[str, str], body: bytes) -> Callback:
        other, _ = self.chance.choice(self.genuine.callbacks)
        name = self._name(other)
        headers[name] = other.get(name, "")
        return headers, body

    def _body_bytes(self, headers: dict[str, str], body: bytes) -> Callback:
        changed = bytearray(body or b" ")
        for _ in range(self.chance.choice([1, 1, 4])):
            changed[self.chance.randrange(len(changed))] = self.chance.randrange(256)
        return headers, bytes(changed)

    def _body_cut(self, headers: dict[str, str], body: bytes) -> Callback:
        return headers, body[: self.chance.randrange(len(body) + 1)]

    def _body_value(self, headers: dict[str, str], body: bytes) -> Callback:
        try:
            document = json.loads(body)
        except (ValueError, RecursionError):
            return headers, body
        if isinstance(document, dict) and document:
            place = self.chance.choice(list(document))
            document[place] = self.chance.choice(
                [None, 7, [], {}, {"id": "stolen"}, "stolen", document[place], [[body.decode()]]]
            )
        return headers, json.dumps(document).encode()

    def _body_of_another(self, headers: dict[str, str], body: bytes) -> Callback:
        return headers, self.chance.choice(self.genuine.callbacks)[1]

    def _made_up(self, headers: dict[str, str], body: bytes) -> Callback:
        made = [b"", b"null", b"[]", b"{}", b'{"id": "stolen"}', b"[" * 5000, b'{"a":' * 5000, b"\xff\xfe", b"1" * 9000]
        return headers, self.chance.choice(made)

    def _long(self, headers: dict[str, str], body: bytes) -> Callback:
        return headers, body + b" " * self.chance.choice([1, 1000, 1024 * 1024])


@pytest.fixture
def callback_server() -> Iterator[CallbackServer]:
    server = CallbackServer()
    yield server
    server.close()


def assert_genuine(hint: CallbackHint, genuine: Genuine) -> None:
    """Check that a callback was believed for its proof: for a genuine key, or as the body that was signed."""
    keys = {known.key for known in genuine.hints}
    assert hint.key in keys, "a key that no genuine callback has"
    if hint not in genuine.hints:
        # A signature and a token of two genuine callbacks can be joined: each is proved, and neither names the other.
        signed = hint.job_id in {known.job_id for known in genuine.hints}
        assert not genuine.covered or (signed and genuine.hook.takes_callback), "a body that nobody has signed"


@pytest.mark.parametrize(("vendor", "way"), WAYS)
def test_no_callback_is_believed_that_is_not_genuine(
    vendor: str,
    way: str,
    simulator: Simulator,
    callback_server: CallbackServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    genuine = genuine_callbacks(vendor, way, simulator, callback_server)
    made_at = time.time()
    monkeypatch.setattr(time, "time", lambda: made_at)  # a slow machine makes none of them stale
    believed, refused = 0, 0
    for number in range(CALLBACKS // len(WAYS)):
        chance = random.Random(f"{SEED}-{vendor}-{number}")
        headers, body = Mutator(chance, genuine).mutate()
        where: Any = f"AVP_FUZZ_SEED={SEED}, callback {number}: {headers!r:.600} {body!r:.300}"
        try:
            hint = genuine.hook.verify_callback(headers, body)
        except VideoCallbackRefusedError as error:
            refused += 1
            said, status = str(error), error.status
            if status not in STATUSES or any(len(value) > 20 and value in said for value in headers.values()):
                raise AssertionError(where) from error
        except Exception as error:
            raise AssertionError(where) from error
        else:
            believed += 1
            try:
                assert_genuine(hint, genuine)
            except AssertionError as error:
                raise AssertionError(f"{error}: {hint} {where}") from error
    genuine.hook.close()
    assert refused > CALLBACKS // len(WAYS) // 4
    assert believed, "changes of a header that proves nothing leave a callback genuine"
