# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
import time
from typing import Any

import pytest

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.mux import MuxHook
from airflow_video_providers.jobs import CallbackHint
from tests.support.hearing import BASE, hearing, hmac_of, status_of


def event(**fields: Any) -> bytes:
    asset = {"id": "asset-1", "passthrough": "key-1", "status": "ready"}
    whole = {"type": "video.asset.ready", "id": "event-1", "object": {"type": "asset", "id": "asset-1"}, "data": asset}
    return json.dumps({**whole, **fields}).encode()


def signature(body: bytes, *, at: float | None = None, secret: str = "") -> str:
    stamp = str(int(time.time() if at is None else at))
    message = stamp.encode() + b"." + body
    return f"t={stamp},v1={hmac_of(message, secret) if secret else hmac_of(message)}"


def test_one_of_several_signatures_is_enough() -> None:
    hook, body = hearing(MuxHook), event()
    good = signature(body)
    stamp, _, v1 = good.partition(",v1=")
    for header in (good, f"{stamp},v1={'0' * 64},v1={v1}", f"{stamp}, v1={v1} ,v0=x", f"{stamp},v1={v1.upper()}"):
        assert hook.verify_callback({"mux-signature": header}, body) == CallbackHint("asset-1", "key-1")


@pytest.mark.parametrize("header", ["", "t=1", "v1=", "t=,v1=", "garbage", ",,,=,", "t=1,t=2,v1=x"])
def test_a_header_that_is_none_is_refused(header: str) -> None:
    assert status_of(hearing(MuxHook), {"Mux-Signature": header}, event()) == 401


def test_a_signature_is_of_its_time_and_no_other() -> None:
    hook, body = hearing(MuxHook), event()
    assert status_of(hook, {"Mux-Signature": signature(body, at=time.time() - 301)}, body) == 401
    good = signature(body)
    later = good.replace(good[2:12], str(int(good[2:12]) + 1))
    assert status_of(hook, {"Mux-Signature": later}, body) == 401
    assert status_of(hook, {"Mux-Signature": f"{good},t={int(good[2:12]) + 1}"}, body) == 401
    assert status_of(hook, {"Mux-Signature": signature(body, secret="another-secret-of-it")}, body) == 401


def test_no_more_than_eight_signatures_are_tried() -> None:
    body = event()
    stamp, _, v1 = signature(body).partition(",v1=")
    header = f"{stamp},{','.join(['v1=0'] * 8)},v1={v1}"
    assert status_of(hearing(MuxHook), {"Mux-Signature": header}, body) == 401


@pytest.mark.parametrize(
    ("fields", "hint"),
    [
        ({"data": {"id": "asset-1", "meta": {"external_id": "key-2"}}}, CallbackHint("asset-1", "key-2")),
        ({"data": {"id": "file-1", "passthrough": "of the file"}}, CallbackHint("asset-1")),
        ({"data": None}, CallbackHint("asset-1")),
        ({"object": {"type": "upload", "id": "upload-1"}}, CallbackHint()),
        ({"object": None}, CallbackHint()),
        ({"object": {"type": "asset", "id": {"x": 1}}}, CallbackHint(None)),
    ],
)
def test_what_an_event_names(fields: dict[str, Any], hint: CallbackHint) -> None:
    body = event(**fields)
    assert hearing(MuxHook).verify_callback({"Mux-Signature": signature(body)}, body) == hint


def test_an_event_has_an_id() -> None:
    assert hearing(MuxHook).callback_event_id({}, event()) == "event-1"


def test_the_webhook_is_registered_in_the_dashboard() -> None:
    hook = hearing(MuxHook)
    assert hook.callback_url(BASE) == f"{BASE}/video-callbacks/mux_default"
    with pytest.raises(VideoConfigurationError, match="no call by which"):
        hook.register_callback(hook.callback_url(BASE))
