# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import time
from base64 import b64encode

import pytest

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.synthesia import SynthesiaHook
from airflow_video_providers.jobs import CallbackHint
from tests.support.hearing import BASE, hearing, hmac_of, status_of

BODY = json.dumps({"type": "video.completed", "data": {"id": "v-1", "callbackId": "key-1", "title": "ü"}}).encode()


def signed(stamp: str, body: bytes = BODY) -> dict[str, str]:
    return {"Synthesia-Timestamp": stamp, "Synthesia-Signature": hmac_of(stamp.encode() + b"." + body)}


@pytest.mark.parametrize("milliseconds", [False, True])
@pytest.mark.parametrize("in_base64", [False, True])
def test_the_time_is_signed_with_the_body(milliseconds: bool, in_base64: bool) -> None:
    headers = signed(str(int(time.time() * (1000 if milliseconds else 1))))
    if in_base64:
        headers["Synthesia-Signature"] = b64encode(bytes.fromhex(headers["Synthesia-Signature"])).decode()
    assert hearing(SynthesiaHook).verify_callback(headers, BODY) == CallbackHint("v-1", "key-1")


def test_what_is_not_signed_is_refused() -> None:
    hook, now = hearing(SynthesiaHook), int(time.time())
    assert status_of(hook, {**signed(str(now)), "Synthesia-Timestamp": str(now + 1)}, BODY) == 401
    assert status_of(hook, signed(str(now)), BODY.replace(b"v-1", b"v-2")) == 401
    assert status_of(hook, signed(str(now - 301)), BODY) == 401
    assert status_of(hook, signed(str((now + 301) * 1000)), BODY) == 401
    assert status_of(hook, {"Synthesia-Signature": hmac_of(b"." + BODY)}, BODY) == 401
    assert status_of(hook, signed("2026-11-26T00:00:00Z"), BODY) == 401


def test_a_request_names_no_address() -> None:
    hook = hearing(SynthesiaHook)
    with pytest.raises(VideoConfigurationError, match="Register the webhook of the account instead"):
        hook.callback_request({"input": []}, url=f"{BASE}/x", key="key-1")
