# SPDX-License-Identifier: Apache-2.0
"""What proves a callback: tokens of our own, the parts for vendors' signatures, and how headers and body are read."""

from __future__ import annotations

import json
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.sdk import Connection

from airflow_video_providers.exceptions import VideoCallbackRefusedError, VideoConfigurationError
from airflow_video_providers.hooks import callbacks
from airflow_video_providers.jobs import LONGEST_ID, CallbackHint
from tests.unit.hooks.test_base import AcmeHook

SECRET = "a-secret-of-the-connection"
BASE = "https://airflow.example.com/base/"


class CallingHook(AcmeHook):
    """A third party's hook whose vendor posts without a signature."""

    def callback_request(self, request, *, url, key):
        return callbacks.fill_field(request, "notify", url, vendor=self.hook_name)

    def callback_job_id(self, document):
        return document.get("film")


def make_hook(kind=CallingHook, conn_id="acme_default", **extra):
    hook = kind(conn_id)
    extra = {"callback_secret": SECRET, **extra}
    hook.connection = Connection(conn_id=conn_id, conn_type="acme", password="k", extra=json.dumps(extra))
    return hook


def headers_of(url, **more):
    query = dict(parse_qsl(urlsplit(url).query))
    named = {"x-video-callback-key": query.get("key"), "X-VIDEO-CALLBACK-TOKEN": query.get("token")}
    return {name: value for name, value in {**named, "content-type": "application/json", **more}.items() if value}


def refused(hook, headers, body):
    with pytest.raises(VideoCallbackRefusedError) as caught:
        hook.verify_callback(headers, body)
    return caught.value.status


BODY = b'{"film": "f-1", "state": "done"}'


def test_a_hook_says_whether_its_vendor_takes_callbacks():
    assert (AcmeHook.takes_callback, AcmeHook.can_register_callback) == (False, False)
    assert CallingHook.takes_callback
    with pytest.raises(VideoConfigurationError, match="no callback of a single job"):
        make_hook(AcmeHook).callback_request({}, url="https://x.example", key="k")
    with pytest.raises(VideoConfigurationError, match="no call by which a webhook"):
        make_hook(AcmeHook).register_callback("https://x.example")


def test_the_address_of_a_job_proves_its_callback():
    hook = make_hook()
    url = hook.callback_url(BASE, "key-1")
    assert url.startswith("https://airflow.example.com/base/video-callbacks/acme_default?key=key-1&token=")
    assert hook.verify_callback(headers_of(url), BODY) == CallbackHint(job_id="f-1", key="key-1")


def test_the_address_of_an_account_proves_its_callbacks_too():
    hook = make_hook()
    url = hook.callback_url(BASE)
    assert "key=" not in url
    assert hook.verify_callback(headers_of(url), BODY) == CallbackHint(job_id="f-1")


def test_an_id_of_a_connection_is_one_segment_of_the_address():
    hook = make_hook(conn_id="team/a#1")
    assert "/video-callbacks/team%2Fa%231?" in hook.callback_url(BASE, "k")


@pytest.mark.parametrize(
    "wrong",
    [
        lambda hook: make_hook(conn_id="acme_other").callback_url(BASE, "key-1"),
        lambda hook: make_hook(callback_secret="another-secret-of-it").callback_url(BASE, "key-1"),
        lambda hook: hook.callback_url(BASE, "key-2").replace("key-2", "key-1"),
        lambda hook: hook.callback_url(BASE) + "&key=key-1",
        lambda hook: hook.callback_url(BASE, "key-1").replace("key=key-1&", ""),
        lambda hook: hook.callback_url(BASE, "key-1")[:-1],
        lambda hook: hook.callback_url(BASE, "key-1") + ".Y29udGV4dA",
        lambda hook: hook.callback_url(BASE, "key-1") + ".%FF",
        lambda hook: hook.callback_url(BASE, "key-1").partition("&")[0],
        lambda hook: BASE,
    ],
)
def test_a_token_is_of_its_connection_and_key_alone(wrong):
    hook = make_hook()
    assert refused(hook, headers_of(wrong(hook)), BODY) == 401


def test_without_a_secret_no_callback_is_believed_and_no_address_made():
    hook = make_hook()
    url = hook.callback_url(BASE, "key-1")
    off = make_hook(callback_secret=None)
    assert refused(off, headers_of(url), BODY) == 401
    with pytest.raises(VideoConfigurationError, match="callback_secret"):
        off.callback_url(BASE, "key-1")


@pytest.mark.parametrize(
    ("body", "more", "status"),
    [
        (b"", {}, 400),
        (b"[]", {}, 400),
        (b'"text"', {}, 400),
        (b"{", {}, 400),
        (b'{"film": NaN}', {}, 400),
        ('{"film": "f-1"}'.encode("utf-16"), {}, 400),
        (b"[" * 100_000, {}, 400),
        (b'{"a": ' * 100_000, {}, 400),
        (b'{"film": ' + b"1" * 5000 + b"}", {}, 400),
        (BODY, {"content-type": "text/html"}, 415),
        (BODY, {"content-type": "application/x-www-form-urlencoded"}, 415),
        (b" " * callbacks.LONGEST_CALLBACK + BODY, {}, 413),
        (BODY, {"Content-Type": "application/json; charset=utf-8"}, 400),  # two of them, which differ
        (BODY, {"X-Video-Callback-Key": "key-2"}, 400),
    ],
)
def test_what_cannot_be_read_has_its_own_status(body, more, status):
    hook = make_hook()
    headers = headers_of(hook.callback_url(BASE, "key-1"))
    if "content-type" in more:
        headers.pop("content-type")
    assert refused(hook, {**headers, **more}, body) == status


@pytest.mark.parametrize(
    "kind", ["application/json", "Application/JSON; charset=utf-8", "application/cloudevents+json"]
)
def test_the_types_of_json_are_taken(kind):
    hook = make_hook()
    headers = headers_of(hook.callback_url(BASE, "key-1"))
    headers["content-type"] = kind
    assert hook.verify_callback(headers, BODY).job_id == "f-1"


@pytest.mark.parametrize("value", [None, "", " ", True, 1.5, [], {}, "a\nb", "x" * (LONGEST_ID + 1), "\ud800"])
def test_what_can_be_no_id_names_no_job(value):
    hook = make_hook()
    headers = headers_of(hook.callback_url(BASE, "key-1"))
    body = json.dumps({"film": value}).encode()
    assert hook.verify_callback(headers, body) == CallbackHint(job_id=None, key="key-1")


def test_no_text_repeats_anything_of_a_callback():
    hook = make_hook()
    for headers, body in (
        ({"x-video-callback-token": "SENT"}, b'"SENT"'),
        (headers_of(hook.callback_url(BASE, "k")), b'"SENT"'),
        (headers_of(hook.callback_url(BASE, "k"), **{"content-type": "SENT"}), BODY),
    ):
        with pytest.raises(VideoCallbackRefusedError) as caught:
            hook.verify_callback(headers, body)
        assert "SENT" not in str(caught.value)
        assert SECRET not in str(caught.value)


def test_a_field_that_is_taken_is_left_alone():
    hook = make_hook()
    request = {"script": "x", "notify": None}
    assert hook.callback_request(request, url="https://a.example/cb", key="k")["notify"] == "https://a.example/cb"
    assert request == {"script": "x", "notify": None}
    with pytest.raises(VideoConfigurationError, match="fills 'notify'"):
        hook.callback_request({"notify": "https://mine.example"}, url="https://a.example/cb", key="k")


@pytest.mark.parametrize(
    "base", ["", "airflow.example.com", "ftp://a.example", "https://a.example/?x=1", "https://u:p@a"]
)
def test_a_base_url_that_cannot_be_one_is_an_error(base):
    with pytest.raises(VideoConfigurationError, match="callback_base_url"):
        make_hook().callback_url(base, "k")


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"callback_secret": "short"}, "16 characters"),
        ({"callback_secret": 12345678901234567}, "16 characters"),
        ({"callback_base_url": "airflow.mine.example"}, "a full URL"),
        ({"callback_base_url": "https://a.example?x"}, "a full URL"),
    ],
)
def test_an_extra_that_cannot_work_is_named_and_not_shown(extra, words):
    with pytest.raises(VideoConfigurationError, match=words) as caught:
        _ = make_hook(**extra).settings
    assert str(next(iter(extra.values()))) not in str(caught.value)


def test_the_secret_is_in_no_repr():
    assert SECRET not in repr(make_hook().settings)


def test_a_context_is_bound_into_the_token():
    token = callbacks.make_token(SECRET, conn_id="c", key="k", context="owner/app")
    assert callbacks.check_token(SECRET, token, conn_id="c", key="k") == "owner/app"
    other = callbacks.make_token(SECRET, conn_id="c", key="k", context="owner/other")
    with pytest.raises(VideoCallbackRefusedError):
        callbacks.check_token(SECRET, f"{token.partition('.')[0]}.{other.partition('.')[2]}", conn_id="c", key="k")


def test_connection_and_key_cannot_be_taken_for_each_other():
    assert callbacks.make_token(SECRET, conn_id="ab", key="c") != callbacks.make_token(SECRET, conn_id="a", key="bc")


@pytest.mark.parametrize("offset", [0, -290, 290])
def test_a_time_within_the_window_is_taken(offset):
    assert callbacks.check_time(str(int(time.time()) + offset))


@pytest.mark.parametrize("value", [None, "", "x", "-5", "1e9", "١٢٣", "9" * 13, "0"])
def test_a_time_that_is_none_is_refused(value):
    with pytest.raises(VideoCallbackRefusedError) as caught:
        callbacks.check_time(value)
    assert caught.value.status == 401


@pytest.mark.parametrize("offset", [-310, 310])
def test_a_time_outside_of_the_window_is_stale(offset):
    with pytest.raises(VideoCallbackRefusedError, match="300 seconds"):
        callbacks.check_time(str(int(time.time()) + offset))
