# SPDX-License-Identifier: Apache-2.0
"""What a vendor posts when a job has ended: believed where it is genuine, refused in every other case."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from airflow_video_providers.exceptions import VideoCallbackRefusedError, VideoConfigurationError
from airflow_video_providers.hooks import callbacks
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import CallbackHint
from airflow_video_providers.testing.base import ConformanceBase, takes_callback, where
from airflow_video_providers.testing.control import VendorControl, WebhookControl
from airflow_video_providers.testing.parts import CallbackServer, new_key
from airflow_video_providers.testing.tap import Tap

SECRET = "the-callback-secret-of-the-suite"
OTHER_SECRET = "the-callback-secret-of-another"


@dataclass(frozen=True)
class Heard:
    """A genuine callback of a job, and the hook that hears it."""

    hook: VideoHook
    headers: dict[str, str]
    body: bytes
    key: str
    job_id: str

    def verify(self) -> CallbackHint:
        """Return what the hook makes of it."""
        return self.hook.verify_callback(self.headers, self.body)

    def refused(self) -> int:
        """Check that the hook refuses it without a word of it; return the status."""
        with pytest.raises(VideoCallbackRefusedError) as caught:
            self.verify()
        assert self.key not in str(caught.value)
        assert caught.value.status in (400, 401, 413, 415)
        return caught.value.status

    def without(self, *names: str) -> Heard:
        """Return it without these headers."""
        left = {name: value for name, value in self.headers.items() if name.lower() not in names}
        return replace(self, headers=left)


Change = Callable[[Heard], Heard]


def _flipped(heard: Heard) -> Heard:
    """Change a character of whatever proves the callback: each header that may, and the body."""
    spared = ("content-type", "content-length", "host", "user-agent", "connection", "accept-encoding")
    headers = {
        name: value if name.lower() in spared else f"{value[:-1]}{'0' if value[-1:] != '0' else '1'}"
        for name, value in heard.headers.items()
    }
    body = heard.body.replace(heard.key.encode(), heard.key[::-1].encode())
    return replace(heard, headers=headers, body=body + b" ")


def _of_other_key(heard: Heard) -> Heard:
    """Say another key wherever the key stands; the proof stays as it was."""
    other = new_key()
    if callbacks.TOKEN_HEADER in heard.headers and callbacks.KEY_HEADER not in heard.headers:
        return replace(heard, headers={**heard.headers, callbacks.KEY_HEADER: other})
    headers = {name: value.replace(heard.key, other) for name, value in heard.headers.items()}
    return replace(heard, headers=headers, body=heard.body.replace(heard.key.encode(), other.encode()) + b" ")


BAD: dict[str, Change] = {
    "forged": _flipped,
    "without its headers": lambda heard: replace(heard, headers={"content-type": "application/json"}, body=b"{}"),
    "of another key": _of_other_key,
    "truncated": lambda heard: replace(heard, body=heard.body[: len(heard.body) // 2]),
    "without its last byte": lambda heard: replace(heard, body=heard.body[:-1]),
    "without a body": lambda heard: replace(heard, body=b""),
    "no JSON": lambda heard: replace(heard, body=b"<html>502 Bad Gateway</html>"),
    "no JSON object": lambda heard: replace(heard, body=b"[" + heard.body + b"]"),
    "no text": lambda heard: replace(heard, body=b"\xff\xfe" + heard.body),
    "of another content type": lambda heard: replace(
        heard.without("content-type"), headers={**heard.without("content-type").headers, "Content-Type": "text/html"}
    ),
    "oversized": lambda heard: replace(heard, body=heard.body + b" " * callbacks.LONGEST_CALLBACK),
}


class CallbackTests(ConformanceBase):
    """Callbacks, as a fake server sends them."""

    @pytest.fixture
    def callback_server(self) -> Iterator[CallbackServer]:
        """Stand for Airflow's API server."""
        server = CallbackServer()
        yield server
        server.close()

    @pytest.fixture
    def heard_of_a_job(self, control: VendorControl, tap: Tap, callback_server: CallbackServer) -> Iterator[Heard]:
        """Give the callback that a request names."""
        hook = self._make_hearing_hook(control, tap)
        key = new_key()
        url = hook.callback_url(callback_server.url, key)
        job = hook.submit_job(hook.callback_request(control.request("heard"), url=url, key=key), key=key)
        control.finish(job.job_id)
        headers, body = callback_server.wait()
        yield Heard(hook, headers, body, key, job.job_id)
        hook.close()

    @pytest.fixture
    def heard_of_the_account(
        self, control: VendorControl, tap: Tap, callback_server: CallbackServer
    ) -> Iterator[Heard]:
        """Give the callback that goes to the webhook of the account."""
        if not isinstance(control, WebhookControl):
            pytest.skip("this vendor knows no webhook of an account")
        hook, key = self._make_hearing_hook(control, tap), new_key()
        secret = control.register_webhook(hook.callback_url(callback_server.url))
        assert (secret is None) == (not hook.signs_callbacks)
        hook = self._make_hearing_hook(control, tap, secret=secret or SECRET)
        job = hook.submit_job(control.request("heard"), key=key)
        control.finish(job.job_id)
        headers, body = callback_server.wait()
        yield Heard(hook, headers, body, key, job.job_id)
        hook.close()

    def _make_hearing_hook(
        self, control: VendorControl, tap: Tap, *, secret: str | None = SECRET, conn_id: str = "conformance"
    ) -> VideoHook:
        fields = tap.rewrite(control.connection())
        return self.make_hook(
            {**fields, "extra": {**(fields.get("extra") or {}), "callback_secret": secret}}, conn_id=conn_id
        )

    # ------------------------------------------------------------------ a callback of one job

    @where(takes_callback)
    def test_a_request_names_its_callback(self, control: VendorControl, tap: Tap) -> None:
        hook, key = self._make_hearing_hook(control, tap), new_key()
        request, before = control.request("named"), control.request("named")
        url = hook.callback_url("https://airflow.example.com", key)
        filled = hook.callback_request(request, url=url, key=key)
        assert request == before, "the request that was given is left as it is"
        assert "https://airflow.example.com/video-callbacks/conformance" in str(filled)
        with pytest.raises(VideoConfigurationError):
            hook.callback_request(filled, url=url, key=key)
        assert control.job_ids() == []

    @where(takes_callback)
    def test_without_a_secret_no_request_names_a_callback(self, control: VendorControl, tap: Tap) -> None:
        hook, key = self._make_hearing_hook(control, tap, secret=None), new_key()
        with pytest.raises(VideoConfigurationError, match="callback_secret"):
            hook.callback_request(
                control.request("named"), url=hook.callback_url("https://airflow.example.com", key), key=key
            )

    @where(takes_callback)
    def test_a_callback_of_a_job_names_its_key(self, heard_of_a_job: Heard) -> None:
        hint = heard_of_a_job.verify()
        assert hint.key == heard_of_a_job.key
        assert hint.job_id in (None, heard_of_a_job.job_id)
        assert heard_of_a_job.verify() == hint, "a hook remembers nothing: who repeats is the server's matter"

    @where(takes_callback)
    @pytest.mark.parametrize("what", BAD)
    def test_a_bad_callback_of_a_job_is_refused(self, heard_of_a_job: Heard, what: str) -> None:
        heard_of_a_job.verify()
        status = BAD[what](heard_of_a_job).refused()
        assert status == 413 or what != "oversized"

    @where(takes_callback)
    def test_a_callback_of_another_connection_is_refused(
        self, heard_of_a_job: Heard, control: VendorControl, tap: Tap
    ) -> None:
        for secret, conn_id in ((SECRET, "other"), (OTHER_SECRET, "conformance"), (None, "conformance")):
            other = self._make_hearing_hook(control, tap, secret=secret, conn_id=conn_id)
            assert replace(heard_of_a_job, hook=other).refused() == 401

    @where(takes_callback)
    def test_a_stale_callback_of_a_job_is_refused(self, heard_of_a_job: Heard, monkeypatch: Any) -> None:
        # One who signs the webhooks of an account is not known to sign the others: those have a token, and no time.
        hook = heard_of_a_job.hook
        self._check_window(heard_of_a_job, None if hook.signs_callbacks else hook.callback_window, monkeypatch)

    # ------------------------------------------------------------------ a webhook of the account

    def test_a_webhook_of_the_account_names_its_job(self, heard_of_the_account: Heard) -> None:
        hint = heard_of_the_account.verify()
        assert hint.job_id == heard_of_the_account.job_id
        assert hint.key in (None, heard_of_the_account.key)
        assert heard_of_the_account.verify() == hint

    @pytest.mark.parametrize("what", BAD)
    def test_a_bad_webhook_of_the_account_is_refused(self, heard_of_the_account: Heard, what: str) -> None:
        heard_of_the_account.verify()
        status = BAD[what](heard_of_the_account).refused()
        assert status == 413 or what != "oversized"

    def test_a_webhook_of_another_account_is_refused(
        self, heard_of_the_account: Heard, control: VendorControl, tap: Tap
    ) -> None:
        for secret in (OTHER_SECRET, None):
            other = self._make_hearing_hook(control, tap, secret=secret)
            assert replace(heard_of_the_account, hook=other).refused() == 401

    def test_a_stale_webhook_of_the_account_is_refused(self, heard_of_the_account: Heard, monkeypatch: Any) -> None:
        self._check_window(heard_of_the_account, heard_of_the_account.hook.callback_window, monkeypatch)

    def test_the_webhook_of_the_account_is_registered_by_the_hook_where_it_can(
        self, control: VendorControl, tap: Tap, callback_server: CallbackServer
    ) -> None:
        hook = self._make_hearing_hook(control, tap)
        if not hook.can_register_callback:
            with pytest.raises(VideoConfigurationError):
                hook.register_callback(hook.callback_url(callback_server.url))
            return
        secret = hook.register_callback(hook.callback_url(callback_server.url))
        hook = self._make_hearing_hook(control, tap, secret=secret or SECRET)
        job = hook.submit_job(control.request("registered"), key=new_key())
        control.finish(job.job_id)
        assert hook.verify_callback(*callback_server.wait()).job_id == job.job_id

    @staticmethod
    def _check_window(heard: Heard, window: float | None, monkeypatch: Any) -> None:
        """Check the window of time where the vendor sends one; else a callback is as good at any time."""
        real = time.time
        for ahead in (-(window or 3600) - 60, (window or 3600) + 60):
            monkeypatch.setattr(time, "time", lambda ahead=ahead: real() + ahead)
            if window is None:
                heard.verify()
            else:
                assert heard.refused() == 401
