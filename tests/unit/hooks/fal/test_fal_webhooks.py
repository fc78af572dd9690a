# SPDX-License-Identifier: Apache-2.0
"""fal's webhooks: whose key has signed what, and when the keys are read again."""

from __future__ import annotations

import hashlib
import json
import time
from base64 import urlsafe_b64encode
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.sdk import Connection
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from airflow_video_providers.exceptions import (
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoCallbackRefusedError,
)
from airflow_video_providers.hooks.fal import FalHook, webhooks
from airflow_video_providers.jobs import CallbackHint
from tests.support.local_api import Answer, LocalApi

ENDPOINT = "fal-ai/kling-video/v2/master/text-to-video"
KEYS = "/rest/.well-known/jwks.json"
BODY = json.dumps({"request_id": "r-1", "gateway_request_id": "r-1-again", "status": "OK", "payload": {}}).encode()
NOW, FORMER = (Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32) for number in (1, 2))


def jwks(*keys: Ed25519PrivateKey, **more: Any) -> Answer:
    entries: list[Any] = []
    for key in keys:
        raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        entries.append({"kty": "OKP", "crv": "Ed25519", "x": urlsafe_b64encode(raw).decode().rstrip("=")})
    return Answer(json={"keys": entries, **more})


@pytest.fixture
def hook(local_api: LocalApi) -> FalHook:
    hook = FalHook("fal_default")
    extra = {"storage_url": f"{local_api.url}/rest", "callback_secret": "a-secret-of-the-connection"}
    fields: dict[str, Any] = {"conn_type": "fal", "host": local_api.url, "password": "k3y", "extra": json.dumps(extra)}
    hook.connection = Connection(conn_id="fal_default", **fields)
    return hook


def address(hook: FalHook, key: str = "key-1") -> str:
    request = {"endpoint": ENDPOINT, "prompt": "a kite"}
    url = hook.callback_url("https://airflow.example.com", key)
    return str(hook.callback_request(request, url=url, key=key)["fal_webhook"])


def signed(
    hook: FalHook, body: bytes = BODY, signer: Ed25519PrivateKey = NOW, at: float | None = None, **changed: str
) -> dict[str, str]:
    query = dict(parse_qsl(urlsplit(address(hook)).query))
    stamp = str(int(time.time() if at is None else at))
    message = "\n".join(["r-1", "user-1", stamp, hashlib.sha256(body).hexdigest()])
    return {
        "X-Video-Callback-Key": query["key"],
        "X-Video-Callback-Token": query["token"],
        "X-Fal-Webhook-Request-Id": "r-1",
        "X-Fal-Webhook-User-Id": "user-1",
        "X-Fal-Webhook-Timestamp": stamp,
        "X-Fal-Webhook-Signature": signer.sign(message.encode()).hex(),
        **changed,
    }


def status_of(hook: FalHook, headers: dict[str, str], body: bytes = BODY) -> int:
    with pytest.raises(VideoCallbackRefusedError) as caught:
        hook.verify_callback(headers, body)
    return caught.value.status


def fetched(local_api: LocalApi) -> int:
    return len([request for request in local_api.received if request.path == KEYS])


def test_a_webhook_names_the_job_by_endpoint_and_request(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", KEYS, jwks(FORMER, NOW))
    hint = hook.verify_callback(signed(hook), BODY)
    assert hint == CallbackHint(job_id=f"{ENDPOINT}|r-1", key="key-1")
    assert hook.callback_event_id(signed(hook), BODY) == "r-1"
    assert "authorization" not in local_api.received[0].headers


def test_the_keys_are_read_once_for_all_hooks(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", KEYS, jwks(NOW))
    for _ in range(3):
        other = FalHook("fal_default")
        other.connection = hook.connection
        assert other.verify_callback(signed(other), BODY).key == "key-1"
    assert fetched(local_api) == 1


@pytest.mark.parametrize(
    "changed",
    [
        {"X-Fal-Webhook-Request-Id": "r-2"},
        {"X-Fal-Webhook-User-Id": "user-2"},
        {"X-Fal-Webhook-Signature": "00" * 64},
        {"X-Fal-Webhook-Signature": "no hex"},
        {"X-Fal-Webhook-Signature": ""},
        {"X-Fal-Webhook-Request-Id": "r-1\nuser-1"},
    ],
)
def test_what_fal_has_not_signed_is_refused(hook: FalHook, local_api: LocalApi, changed: dict[str, str]) -> None:
    local_api.on("GET", KEYS, jwks(NOW))
    assert status_of(hook, signed(hook, **changed)) == 401


def test_another_body_or_signer_or_time_is_refused(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", KEYS, jwks(NOW))
    assert status_of(hook, signed(hook), BODY + b" ") == 401
    assert status_of(hook, signed(hook, signer=FORMER)) == 401
    assert status_of(hook, signed(hook, at=time.time() - 400)) == 401
    assert status_of(hook, signed(hook, at=time.time() + 400)) == 401
    assert status_of(hook, signed(hook, **{"X-Fal-Webhook-Timestamp": str(int(time.time()) + 1)})) == 401


def test_what_fal_signs_for_another_user_needs_our_token_too(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", KEYS, jwks(NOW))
    headers = signed(hook)
    del headers["X-Video-Callback-Token"]
    assert status_of(hook, headers) == 401
    assert status_of(hook, signed(hook, **{"X-Video-Callback-Key": "key-2"})) == 401
    assert fetched(local_api) == 0, "who has no token causes no request"


def test_new_keys_are_read_when_none_fits_but_not_each_time(
    hook: FalHook, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_api.on("GET", KEYS, jwks(FORMER), jwks(NOW))
    assert status_of(hook, signed(hook)) == 401
    assert status_of(hook, signed(hook)) == 401
    assert fetched(local_api) == 1
    monkeypatch.setattr(webhooks, "KEYS_PAUSE", 0.0)
    assert hook.verify_callback(signed(hook), BODY).key == "key-1"
    assert fetched(local_api) == 2


def test_old_keys_are_read_again(hook: FalHook, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "KEYS_LIFE", 0.0)
    monkeypatch.setattr(webhooks, "KEYS_PAUSE", 0.0)
    local_api.on("GET", KEYS, jwks(NOW), jwks(FORMER))
    assert hook.verify_callback(signed(hook), BODY).key == "key-1"
    assert status_of(hook, signed(hook)) == 401


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(status=503), VideoApiUnavailableError),
        (Answer(body=b"<html>"), VideoApiUnreadableAnswerError),
        (Answer(json={"no": "keys"}), VideoApiUnreadableAnswerError),
    ],
)
def test_without_the_keys_nothing_is_said_of_a_webhook(
    hook: FalHook, local_api: LocalApi, answer: Answer, error: type[Exception]
) -> None:
    local_api.on("GET", KEYS, answer)
    with pytest.raises(error):
        hook.verify_callback(signed(hook), BODY)
    local_api.on("GET", KEYS, jwks(NOW))
    assert hook.verify_callback(signed(hook), BODY).key == "key-1"


def test_a_key_that_cannot_be_read_does_not_void_the_others(hook: FalHook, local_api: LocalApi) -> None:
    good = jwks(NOW).json["keys"]
    odd = [None, 7, {"kty": "RSA"}, {"kty": "OKP", "crv": "Ed25519"}, {"kty": "OKP", "crv": "Ed25519", "x": "\ufffd="}]
    local_api.on("GET", KEYS, Answer(json={"keys": [*odd, *good]}))
    assert hook.verify_callback(signed(hook), BODY).key == "key-1"


def test_the_address_is_no_part_of_the_model_s_input(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("POST", f"/{ENDPOINT}", Answer(json={"request_id": "r-1"}))
    request = {"endpoint": ENDPOINT, "prompt": "a kite"}
    url = hook.callback_url("https://airflow.example.com", "key-1")
    hook.submit_job(hook.callback_request(request, url=url, key="key-1"), key="key-1")
    (sent,) = local_api.received
    assert sent.json() == {"prompt": "a kite"}
    assert sent.query["fal_webhook"][0].startswith("https://airflow.example.com/video-callbacks/fal_default?key=key-1&")
