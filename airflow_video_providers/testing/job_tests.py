# SPDX-License-Identifier: Apache-2.0
"""One job from submission to files, many jobs, and cancelling."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoConfigurationError,
    VideoJobFailedError,
)
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import JobState, VideoJob
from airflow_video_providers.testing.base import (
    ConformanceBase,
    can_cancel,
    can_list,
    can_watch,
    where,
)
from airflow_video_providers.testing.control import VendorControl
from airflow_video_providers.testing.parts import (
    content_of,
    download,
    has_ended_without_files,
    new_key,
    now,
    unknown_id,
)
from airflow_video_providers.testing.tap import (
    Tap,
)


class JobTests(ConformanceBase):
    """What becomes of a job."""

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
        job = self.make_finished_job(hook, control)
        seen = hook.get_job(job.job_id)
        assert (seen.state, seen.error) == (JobState.SUCCEEDED, None)
        outputs = hook.get_outputs(job.job_id)
        assert outputs, "a finished job offers at least one file"
        assert len({output.identity for output in outputs}) == len(outputs), "outputs are told apart by their identity"
        for output in outputs:
            assert content_of(hook, job.job_id, output)

    def test_links_are_renewed(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        job = self.make_finished_job(hook, control)
        for output in hook.get_outputs(job.job_id):
            before = len(tap.requests)
            dead = output.model_copy(update={"url": "http://127.0.0.1:1/dead"}) if output.url else output
            fresh = hook.refresh_output(job.job_id, dead)
            assert fresh.identity == output.identity
            assert len(tap.requests) > before, "a fresh link is asked for, not remembered"
            assert fresh.content is not None or download(fresh)

    @where(can_watch)
    def test_the_jobs_of_the_account_are_listed_whoever_made_them(
        self, hook: VideoHook, control: VendorControl
    ) -> None:
        since = now()
        assert hook.get_recent_jobs(since=since) == []
        running, ended = hook.submit_job(control.request("running")), self.make_finished_job(hook, control)
        failed = hook.submit_job(control.request("failing"))
        control.fail(failed.job_id)
        listed = {job.job_id: job for job in hook.get_recent_jobs(since=since)}
        assert set(listed) == {running.job_id, ended.job_id, failed.job_id}
        assert listed[ended.job_id].state is JobState.SUCCEEDED
        assert listed[failed.job_id].state is JobState.FAILED
        assert not listed[running.job_id].state.is_terminal
        if all(job.created_at for job in listed.values()):
            assert hook.get_recent_jobs(since=now() + timedelta(hours=1)) == []

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

    @where(can_list)
    def test_a_list_reads_many_jobs_by_fewer_requests(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        ids = [hook.submit_job(control.request(f"many-{number}")).job_id for number in range(4)]
        before = len(tap.requests)
        assert set(hook.get_jobs(ids)) == set(ids)
        assert len(tap.requests) - before < len(ids)

    # ------------------------------------------------------------------ cancel

    @where(can_cancel)
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

    @where(can_cancel)
    def test_cancel_spares_a_finished_job(self, hook: VideoHook, control: VendorControl) -> None:
        job = self.make_finished_job(hook, control)
        seen = hook.cancel_job(job.job_id)
        assert seen is not None
        assert seen.state is JobState.SUCCEEDED
        for output in hook.get_outputs(job.job_id):
            assert content_of(hook, job.job_id, output)

    @where(lambda hook: not can_cancel(hook))
    def test_a_vendor_that_cannot_cancel_says_so(self, hook: VideoHook, control: VendorControl, tap: Tap) -> None:
        job = hook.submit_job(control.request("running"))
        before = len(tap.requests)
        with pytest.raises(VideoConfigurationError):
            hook.cancel_job(job.job_id)
        assert len(tap.requests) == before
