# SPDX-License-Identifier: Apache-2.0
"""
The conformance suite: what every ``VideoHook`` must do, tried over HTTP on a fake server of its vendor.

Which tests apply is read off the hook's class (``key_support``, ``replay_seconds``, ``can_cancel``, ``can_list``); the
others are not collected.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, ClassVar, TypeVar

import pytest
from airflow.sdk import Connection

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoJobFailedError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.testing.control import VendorControl
from airflow_video_providers.testing.parts import (
    carries_credentials,
    content_of,
    download,
    has_ended_without_files,
    id_of,
    new_key,
    now,
    unknown_id,
)
from airflow_video_providers.testing.tap import (
    Tap,
    TapRequest,
    drop_request,
    lose_response,
    respond,
    respond_with_a_page,
    spoil_lists,
)

Test = TypeVar("Test", bound=Callable[..., None])

_RETRY_DEADLINE = 3.0
_WRONG_KEY = "d3Jvbmcta2V5LW9mLXRoZS1zdWl0ZQ=="


def _where(applies: Callable[[type[VideoHook]], bool]) -> Callable[[Test], Test]:
    """Collect a test only for hooks whose class fits."""

    def mark(test: Test) -> Test:
        test.applies_to = applies  # type: ignore[attr-defined]  # read by __init_subclass__
        return test

    return mark


def _is_searchable(hook: type[VideoHook]) -> bool:
    return hook.key_support is not KeySupport.NONE


def _is_exact(hook: type[VideoHook]) -> bool:
    return hook.key_support is KeySupport.EXACT


def _replays(hook: type[VideoHook]) -> bool:
    return hook.replay_seconds is not None


def _can_cancel(hook: type[VideoHook]) -> bool:
    return hook.can_cancel


def _can_list(hook: type[VideoHook]) -> bool:
    return hook.can_list


class VideoHookConformance:
    """
    Subclass it as ``Test...``, set ``hook_class``, and override the fixture ``control``.

    The fixture gives a server without jobs; every test leaves its jobs behind.
    """

    hook_class: ClassVar[type[VideoHook]]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in dir(cls):
            applies = getattr(getattr(cls, name), "applies_to", None)
            if applies is not None and hasattr(cls, "hook_class") and not applies(cls.hook_class):
                setattr(cls, name, None)

    # ------------------------------------------------------------------ what the tests are made of

    @pytest.fixture
    def control(self) -> VendorControl:
        """Give the control object of a fake server that has no jobs yet."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture 'control'")

    @pytest.fixture
    def tap(self, control: VendorControl) -> Iterator[Tap]:
        """Stand between the hook and the server."""
        tap = Tap(control.connection()["host"], lambda: len(control.job_ids()))
        yield tap
        tap.close()

    @pytest.fixture
    def hook(self, control: VendorControl, tap: Tap) -> Iterator[VideoHook]:
        """Give the hook with a connection to the server, through the tap."""
        hook = self.make_hook(tap.rewrite(control.connection()))
        yield hook
        hook.close()

    @pytest.fixture
    def creating(self, control: VendorControl, tap: Tap, hook: VideoHook) -> Callable[[TapRequest], bool]:
        """Tell the request that creates a job from all others, as learned from one submission."""
        hook.submit_job(control.request("learned"), key=new_key())
        learned = tap.creating
        assert learned is not None, "submit_job made the server create no job"
        return lambda request: (request.method, request.path) == (learned.method, learned.path)

    def make_hook(self, fields: dict[str, Any]) -> VideoHook:
        """Build the hook as operators do, by the connection's id alone, with a connection of these fields."""
        fields = {"conn_type": self.hook_class.conn_type, **fields}
        fields["extra"] = json.dumps(fields.get("extra") or {})
        hook = self.hook_class("conformance")
        hook.connection = Connection(conn_id="conformance", **fields)
        hook.retry_deadline = _RETRY_DEADLINE
        return hook

    # ------------------------------------------------------------------ one job

    def test_a_job_is_submitted_once_and_read(self, hook: VideoHook, control: VendorControl) -> None:
        job = hook.submit_job(control.request("plain"), key=new_key())
        assert control.job_ids() == [job.job_id]
        assert (job.vendor, job.state.is_terminal) == (hook.vendor, False)
        seen = hook.get_job(job.job_id)
        assert (seen.job_id, seen.vendor, seen.state.is_terminal) == (job.job_id, hook.vendor, False)
        assert seen.vendor_status
        assert VideoJob.from_xcom(json.loads(json.dumps(seen.to_xcom(), allow_nan=False))) == seen

    def test_a_key_is_not_needed(self, hook: VideoHook, control: VendorControl) -> None:
        job = hook.submit_job(control.request("plain"))
        assert control.job_ids() == [job.job_id]

    def test_the_outputs_of_a_finished_job_are_whole_files(
        self, hook: VideoHook, control: VendorControl, tap: Tap
    ) -> None:
        job = self._finished(hook, control)
        seen = hook.get_job(job.job_id)
        assert (seen.state, seen.error) == (JobState.SUCCEEDED, None)
        outputs = hook.get_outputs(job.job_id)
        assert outputs, "a finished job offers at least one file"
        assert len({output.identity for output in outputs}) == len(outputs), "outputs are told apart by their identity"
        for output in outputs:
            assert content_of(hook, job.job_id, output)

    def test_links_are_renewed(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        job = self._finished(hook, control)
        for output in hook.get_outputs(job.job_id):
            before = len(tap.requests)
            dead = output.model_copy(update={"url": "http://127.0.0.1:1/dead"}) if output.url else output
            fresh = hook.refresh_output(job.job_id, dead)
            assert fresh.identity == output.identity
            assert len(tap.requests) > before, "a fresh link is asked for, not remembered"
            assert fresh.content is not None or download(fresh)

    def test_a_failed_job_has_no_outputs(self, hook: VideoHook, control: VendorControl) -> None:
        key, request, since = new_key(), control.request("failing"), now()
        job = hook.submit_job(request, key=key)
        control.fail(job.job_id)
        assert hook.get_job(job.job_id).state is JobState.FAILED
        with pytest.raises(VideoJobFailedError):
            hook.get_outputs(job.job_id)
        assert hook.find_job(key, request=request, since=since) is None

    def test_a_deleted_job_is_gone(self, hook: VideoHook, control: VendorControl) -> None:
        key, request, since = new_key(), control.request("deleted"), now()
        job, other = hook.submit_job(request, key=key), hook.submit_job(control.request("other"), key=new_key())
        control.finish(job.job_id)
        control.forget(job.job_id)
        assert has_ended_without_files(hook, job.job_id)
        with pytest.raises((VideoApiNotFoundError, VideoJobFailedError)):
            hook.get_outputs(job.job_id)
        jobs = hook.get_jobs([job.job_id, other.job_id])
        assert other.job_id in jobs
        assert job.job_id not in jobs or jobs[job.job_id].state is JobState.CANCELLED
        assert hook.find_job(key, request=request, since=since) is None

    def test_an_unknown_job_is_not_found(self, hook: VideoHook, control: VendorControl) -> None:
        job_id = unknown_id(hook.submit_job(control.request("plain")).job_id)
        with pytest.raises(VideoApiNotFoundError):
            hook.get_job(job_id)
        assert hook.get_jobs([job_id]) == {}

    def test_no_request_is_sent_without_an_id(self, hook: VideoHook, tap: Tap) -> None:
        for job_id in ("", "None", "..", None):
            with pytest.raises(VideoConfigurationError):
                hook.get_job(job_id)  # type: ignore[arg-type]  # a template without its XCom gives None
        assert tap.requests == []

    def test_many_jobs_are_read(self, hook: VideoHook, control: VendorControl) -> None:
        ids = [hook.submit_job(control.request(f"many-{number}")).job_id for number in range(3)]
        control.finish(ids[0])
        jobs = hook.get_jobs(ids)
        assert set(jobs) == set(ids)
        assert [jobs[job_id].state.is_terminal for job_id in ids] == [True, False, False]
        assert hook.get_jobs([]) == {}

    @_where(_can_list)
    def test_a_list_reads_many_jobs_by_fewer_requests(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        ids = [hook.submit_job(control.request(f"many-{number}")).job_id for number in range(4)]
        before = len(tap.requests)
        assert set(hook.get_jobs(ids)) == set(ids)
        assert len(tap.requests) - before < len(ids)

    # ------------------------------------------------------------------ a response that never arrives

    @pytest.mark.parametrize("fault", [lose_response, respond_with_a_page], ids=["lost", "page"])
    def test_a_lost_response_leaves_one_job_that_is_found_again(
        self, hook: VideoHook, control: VendorControl, tap: Tap, creating: Callable[[TapRequest], bool], fault: Any
    ) -> None:
        key, request, since = new_key(), control.request("lost"), now()
        before = set(control.job_ids())
        tap.strike(fault, creating)
        error = self._failure(hook, request, key)
        assert error.outcome_unknown, "a job may exist: the error must say so"
        (made,) = set(control.job_ids()) - before
        assert sum(map(creating, tap.requests)) == 2, "the learned one and this: a paid request is not repeated"
        self._resolves(hook, control, key, request, since, made)

    @pytest.mark.parametrize("fault", [drop_request, respond(502)], ids=["reset", "502"])
    def test_a_lost_request_leaves_no_job_and_none_is_found(
        self, hook: VideoHook, control: VendorControl, tap: Tap, creating: Callable[[TapRequest], bool], fault: Any
    ) -> None:
        key, request, since = new_key(), control.request("lost"), now()
        before = set(control.job_ids())
        tap.strike(fault, creating)
        error = self._failure(hook, request, key)
        assert error.outcome_unknown, "whether the request arrived cannot be known here"
        assert set(control.job_ids()) == before
        if _is_searchable(self.hook_class):
            assert hook.find_job(key, request=request, since=since) is None
        if _replays(self.hook_class):
            self._resolves(hook, control, key, request, since, None)

    @_where(lambda hook: not _is_searchable(hook))
    def test_a_vendor_without_a_search_finds_nothing(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        assert hook.find_job(new_key(), request=control.request("plain"), since=now()) is None
        assert tap.requests == []

    @_where(lambda hook: _is_searchable(hook) and not _replays(hook))
    def test_of_two_jobs_with_one_key_the_oldest_that_is_alive_is_found(
        self, hook: VideoHook, control: VendorControl
    ) -> None:
        key, request, since = new_key(), control.request("twice"), now()
        older, newer = (hook.submit_job(request, key=key).job_id for _ in range(2))
        assert id_of(hook.find_job(key, request=request, since=since)) == older
        control.fail(older)
        assert id_of(hook.find_job(key, request=request, since=since)) == newer
        control.finish(newer)
        assert id_of(hook.find_job(key, request=request, since=since)) == newer

    @_where(_is_exact)
    def test_only_the_whole_key_is_a_match(self, hook: VideoHook, control: VendorControl) -> None:
        key, request, since = new_key(), control.request("prefix"), now()
        job = hook.submit_job(request, key=key)
        assert job.key in (None, key)
        for other in (key[:-1], f"{key}0", key[1:], new_key()):
            assert hook.find_job(other, request=request, since=since) is None
        found = hook.find_job(key, request=request, since=since)
        assert found is not None
        assert (found.job_id, found.key) == (job.job_id, key)

    @_where(_replays)
    def test_a_key_that_is_sent_again_is_answered_by_the_first_job(
        self, hook: VideoHook, control: VendorControl
    ) -> None:
        key, request = new_key(), control.request("again")
        first = hook.submit_job(request, key=key)
        assert hook.submit_job(request, key=key).job_id == first.job_id
        assert hook.submit_job(request, key=new_key()).job_id != first.job_id
        assert len(control.job_ids()) == 2

    @_where(_is_searchable)
    def test_an_unreadable_item_hides_no_job_that_is_searched(
        self, hook: VideoHook, control: VendorControl, tap: Tap
    ) -> None:
        key, request, since = new_key(), control.request("spoiled"), now()
        job = hook.submit_job(request, key=key)
        spoiled: list[str] = []
        tap.strike(spoil_lists(job.job_id, spoiled), lambda request: request.method == "GET", times=1000)
        assert id_of(hook.find_job(key, request=request, since=since)) == job.job_id
        if _is_exact(self.hook_class):
            spoiled.clear()
            try:
                absent = hook.find_job(new_key(), request=request, since=since) is None
            except VideoApiUnreadableAnswerError:
                absent = False
            assert not (absent and spoiled), "an item that cannot be read may be the job: absence is not certain"

    @_where(_can_list)
    def test_an_unreadable_item_hides_no_job_that_is_listed(
        self, hook: VideoHook, control: VendorControl, tap: Tap
    ) -> None:
        ids = [hook.submit_job(control.request(f"many-{number}")).job_id for number in range(2)]
        spoiled: list[str] = []
        tap.strike(spoil_lists(ids[0], spoiled), lambda request: request.method == "GET", times=1000)
        assert set(hook.get_jobs(ids)) == set(ids)
        assert spoiled

    # ------------------------------------------------------------------ cancel

    @_where(_can_cancel)
    def test_cancel_ends_a_running_job(self, hook: VideoHook, control: VendorControl) -> None:
        key, request, since = new_key(), control.request("running"), now()
        job = hook.submit_job(request, key=key)
        seen = hook.cancel_job(job.job_id)
        assert seen is None or seen.job_id == job.job_id
        assert has_ended_without_files(hook, job.job_id)
        with pytest.raises((VideoApiNotFoundError, VideoJobFailedError)):
            hook.get_outputs(job.job_id)
        assert hook.find_job(key, request=request, since=since) is None
        again = hook.cancel_job(job.job_id)
        assert again is None or again.state.is_terminal

    @_where(_can_cancel)
    def test_cancel_spares_a_finished_job(self, hook: VideoHook, control: VendorControl) -> None:
        job = self._finished(hook, control)
        seen = hook.cancel_job(job.job_id)
        assert seen is not None
        assert seen.state is JobState.SUCCEEDED
        for output in hook.get_outputs(job.job_id):
            assert content_of(hook, job.job_id, output)

    @_where(lambda hook: not _can_cancel(hook))
    def test_a_vendor_that_cannot_cancel_says_so(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        job = hook.submit_job(control.request("running"))
        before = len(tap.requests)
        with pytest.raises(VideoConfigurationError):
            hook.cancel_job(job.job_id)
        assert len(tap.requests) == before

    # ------------------------------------------------------------------ credentials, limits

    def test_the_connection_is_tested_without_a_render(self, hook: VideoHook, control: VendorControl) -> None:
        good, text = hook.test_connection()
        assert good, text
        assert control.connection()["password"] not in text.split()
        assert control.job_ids() == []

    def test_a_wrong_key_is_one_clear_error(
        self, hook: VideoHook, control: VendorControl, tap: Tap, caplog: pytest.LogCaptureFixture
    ) -> None:
        job = hook.submit_job(control.request("plain"))
        wrong = self.make_hook({**tap.rewrite(control.connection()), "password": _WRONG_KEY})
        with caplog.at_level("DEBUG"), pytest.raises(VideoApiAuthenticationError) as caught:
            wrong.get_job(job.job_id)
        good, text = wrong.test_connection()
        assert not good
        with pytest.raises(VideoApiAuthenticationError) as refused:
            wrong.submit_job(control.request("refused"))
        assert not refused.value.outcome_unknown
        assert len(control.job_ids()) == 1
        assert _WRONG_KEY not in f"{caught.value} {refused.value} {text} {caplog.text}"

    @pytest.mark.parametrize("status", [302, 307, 308])
    def test_no_other_origin_sees_a_credential(
        self, hook: VideoHook, control: VendorControl, tap: Tap, creating: Callable[[TapRequest], bool], status: int
    ) -> None:
        job = hook.submit_job(control.request("plain"))
        other = Tap(tap.origin, lambda: 0)
        try:
            redirect = respond(status, Location=f"{other.origin}/elsewhere")
            tap.strike(redirect, lambda request: request.method == "GET")
            with pytest.raises(VideoApiError):
                hook.get_job(job.job_id)
            tap.strike(redirect, creating)
            self._failure(hook, control.request("redirected"), new_key())
            assert not [request for request in other.requests if carries_credentials(request, control)]
        finally:
            other.close()

    def test_a_rate_limit_says_how_long_to_wait(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        job = hook.submit_job(control.request("plain"))
        tap.strike(respond(429, Retry_After="1234"), lambda request: request.method == "GET")
        with pytest.raises(VideoApiQuotaError) as caught:
            hook.get_job(job.job_id)
        assert caught.value.retry_after == 1234
        tap.strike(respond(429, Retry_After="0"), lambda request: request.method == "GET")
        assert hook.get_job(job.job_id).job_id == job.job_id

    def test_a_rate_limit_of_the_submission_buys_nothing(
        self, hook: VideoHook, control: VendorControl, tap: Tap, creating: Callable[[TapRequest], bool]
    ) -> None:
        before = len(control.job_ids())
        tap.strike(respond(429, Retry_After="1234"), creating)
        error = self._failure(hook, control.request("limited"), new_key())
        assert isinstance(error, VideoApiQuotaError)
        assert not error.outcome_unknown
        assert len(control.job_ids()) == before
        tap.strike(respond(429, Retry_After="0"), creating)
        hook.submit_job(control.request("limited"), key=new_key())
        assert len(control.job_ids()) == before + 1

    # ------------------------------------------------------------------ parts

    def _finished(self, hook: VideoHook, control: VendorControl) -> VideoJob:
        job = hook.submit_job(control.request("finished"), key=new_key())
        control.finish(job.job_id)
        return job

    def _failure(self, hook: VideoHook, request: dict[str, Any], key: str) -> VideoApiError:
        with pytest.raises(VideoApiError) as caught:
            hook.submit_job(request, key=key)
        return caught.value

    def _resolves(
        self,
        hook: VideoHook,
        control: VendorControl,
        key: str,
        request: dict[str, Any],
        since: datetime,
        made: str | None,
    ) -> None:
        """Resolve an unknown outcome as a retry does: at the end there is one job."""
        before = len(control.job_ids())
        if _replays(self.hook_class):
            job = hook.submit_job(request, key=key)
            assert made in (None, job.job_id)
            assert len(control.job_ids()) == before + (made is None)
        if _is_searchable(self.hook_class) and made:
            assert id_of(hook.find_job(key, request=request, since=since)) == made
