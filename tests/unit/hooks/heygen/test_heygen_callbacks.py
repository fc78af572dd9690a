# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import time
from typing import Any

import pytest

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.heygen import HeyGenHook
from airflow_video_providers.jobs import CallbackHint
from tests.support.hearing import BASE, headers_of, hearing, hmac_of, status_of

BODY = json.dumps(
    {"event_type": "avatar_video.success", "event_data": {"video_id": "v-1", "callback_id": "k-1"}}
).encode()


def signed(body: bytes = BODY, at: float | None = None) -> dict[str, str]:
    stamp = str(int(time.time() if at is None else at))
    return {"HEYGEN-SIGNATURE": hmac_of(body), "heygen-timestamp": stamp, "Heygen-Event-Id": "e-1"}


def test_a_webhook_of_the_account_is_signed() -> None:
    hook = hearing(HeyGenHook)
    assert hook.verify_callback(signed(), BODY) == CallbackHint("v-1", "k-1")
    assert hook.callback_event_id(signed(), BODY) == "e-1"
    assert status_of(hook, {**signed(), "HEYGEN-SIGNATURE": "0" * 64}, BODY) == 401
    assert status_of(hook, signed(), BODY + b" ") == 401
    assert status_of(hook, signed(at=time.time() - 301), BODY) == 401
    assert status_of(hook, {"Heygen-Signature": hmac_of(BODY)}, BODY) == 401


def test_a_post_to_the_address_of_a_request_has_our_token() -> None:
    hook = hearing(HeyGenHook)
    headers = headers_of(hook.callback_url(BASE, "key-1"))
    assert hook.verify_callback(headers, BODY) == CallbackHint("v-1", "key-1")
    assert status_of(hook, {"X-Video-Callback-Key": "key-1"}, BODY) == 401
    assert status_of(hook, {**headers, "X-Video-Callback-Key": "key-2"}, BODY) == 401
    assert status_of(hook, {**signed(), "X-Video-Callback-Token": "0" * 64}, BODY) == 401


@pytest.mark.parametrize("data", [None, [], {"video_id": None}, {"video_id": ["v"]}, {"gif_id": "g"}])
def test_an_event_of_another_kind_names_no_job(data: Any) -> None:
    body = json.dumps({"event_type": "avatar_video_gif.success", "event_data": data}).encode()
    assert hearing(HeyGenHook).verify_callback(signed(body), body) == CallbackHint()


def test_which_requests_take_an_address() -> None:
    hook = hearing(HeyGenHook)
    for request in ({"type": "avatar", "avatar_id": "A"}, {"template_id": "t", "variables": {}}):
        assert hook.callback_request(request, url="https://a.example/x", key="k") == {
            **request,
            "callback_url": "https://a.example/x",
        }
    for request in ({"prompt": "A clip"}, {"type": "cinematic_avatar", "prompt": "A clip", "avatar_id": "A"}):
        with pytest.raises(VideoConfigurationError, match="register the webhook of the account"):
            hook.callback_request(request, url="https://a.example/x", key="k")
