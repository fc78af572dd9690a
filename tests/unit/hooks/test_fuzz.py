# SPDX-License-Identifier: Apache-2.0
"""
Whatever a vendor sends, a call of a hook ends in a value that can be stored, or in an error of this provider.

``AVP_FUZZ_CALLS`` sets the number of calls (default 10,000 over all vendors), ``AVP_FUZZ_SEED`` the first seed.
"""

from __future__ import annotations

import json
import logging
import os
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.sdk import Connection

from airflow_video_providers.exceptions import VideoProviderError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import VideoJob, VideoOutput
from tests.support.fuzz import ArgumentMaker, ResponseMaker, calls_of, drained
from tests.support.raw_server import RawServer
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS

CALLS = int(os.environ.get("AVP_FUZZ_CALLS", "10000"))
SEED = int(os.environ.get("AVP_FUZZ_SEED", "20261126"))
SECRET = "s3cr3t-key-of-the-fuzz"


@pytest.fixture
def quick_threads() -> Iterator[None]:
    """Hooks and server are threads of one process: let them take turns as soon as one waits for the other."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(0.0001)
    yield
    sys.setswitchinterval(before)


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause passes at once, and the clock of the hooks with it."""
    passed, real = [0.0], time.monotonic

    def sleep(seconds: float) -> None:
        passed[0] += max(0.0, seconds)

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "monotonic", lambda: real() + passed[0])


def make_hook(vendor: str, url: str) -> VideoHook:
    fields = {"login": "me", "password": SECRET, **VENDORS[vendor].connection_to(url), "conn_id": "fuzz"}
    fields["password"] = SECRET
    extra = {**(fields.get("extra") or {}), "read_timeout": 5, "connect_timeout": 5, "retry_deadline": 0.001}
    hook = HOOKS[vendor]("fuzz")
    hook.connection = Connection(**{**fields, "extra": json.dumps(extra)})
    return hook


def assert_harmless(value: Any) -> None:
    """Check that a value can go to XCom, a log and a database."""
    if isinstance(value, VideoJob):
        text = json.dumps(value.to_xcom(), allow_nan=False, ensure_ascii=False)
        assert len(text) < 10_000
        assert not any(ord(char) < 32 or 127 <= ord(char) < 160 or char == "\u202e" for char in text)
        text.encode()
        assert "sig=" not in text.replace(value.job_id, "")
        assert SECRET not in text
        value.describe()
    elif isinstance(value, VideoOutput):
        json.dumps(value.model_dump(mode="json"), allow_nan=False, ensure_ascii=False).encode()
        assert "sig=" not in repr(value)
    elif isinstance(value, dict):
        for item in value.values():
            assert_harmless(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            assert_harmless(item)


@pytest.mark.parametrize("vendor", HOOKS)
@pytest.mark.usefixtures("no_waiting", "quick_threads")
def test_every_call_ends_in_a_value_or_a_named_error(vendor: str, raw_server: RawServer) -> None:
    logging.disable(logging.CRITICAL)
    try:
        ended = {"value": 0, "error": 0}
        hook = make_hook(vendor, raw_server.url)
        names = calls_of(hook)
        for number in range(CALLS // len(HOOKS)):
            seed = f"{SEED}-{vendor}-{number}"
            chance = random.Random(seed)
            raw_server.respond = ResponseMaker(vendor, chance).serve
            method = getattr(hook, chance.choice(names))
            positional, keywords = ArgumentMaker(VENDORS[vendor].request, chance).arguments(method)
            try:
                value = drained(method(*positional, **keywords))
            except VideoProviderError as error:
                ended["error"] += 1
                shown = str(error)
                assert len(shown) < 10_000
                assert not any(ord(char) < 32 or 127 <= ord(char) < 160 or char == "\u202e" for char in shown), seed
                assert SECRET not in shown, seed
            except Exception as error:
                raise AssertionError(
                    f"AVP_FUZZ_SEED={SEED}, call {number}: {method.__name__}(*{positional!r:.300}, **{keywords!r:.300})"
                ) from error
            else:
                ended["value"] += 1
                assert_harmless(value)
        hook.close()
        assert ended["value"] > CALLS // len(HOOKS) // 20, "too few calls were understood"
        assert ended["error"] > CALLS // len(HOOKS) // 20
    finally:
        logging.disable(logging.NOTSET)
