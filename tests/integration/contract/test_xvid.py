# SPDX-License-Identifier: Apache-2.0
"""The Xvid hook against the simulator, as a process of its own."""

from __future__ import annotations

import hashlib
import io
import json
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
import requests

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoJobFailedError,
)
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.jobs import JobState, VideoJob
from tests.support.simulator import Simulator

REQUEST: dict[str, Any] = {
    "pipeline": {"id": "547f3eede4b025bcbff38657"},
    "input": {"input_name": "uploads/holiday.mp4"},
    "outputs": [
        {
            "preset": {"id": "5260e39d84aea12008b69bc1"},
            "output_name": "Holiday",
            "thumbnails": [{"thumbnail_names": "thumb_{resolution}", "thumbnail_preset": "thumbnails_small"}],
        },
        {"preset": {"id": "5260e39d84aea12008b69bc2"}, "output_name": "Holiday small"},
    ],
}
LONG_AGO = datetime.now(timezone.utc) - timedelta(days=1)


@pytest.fixture
def hook(video_connections: Simulator) -> XvidHook:
    return XvidHook(retry_deadline=10)


def finished(hook: XvidHook, simulator: Simulator, **fields: Any) -> VideoJob:
    job = hook.submit_job({**REQUEST, **fields})
    simulator.move(job.job_id, finish=True)
    return hook.get_job(job.job_id)


def test_a_render_from_submit_to_its_bytes(hook: XvidHook, simulator: Simulator) -> None:
    job = hook.submit_job(REQUEST, key="k1")
    assert (job.state, job.key, job.name) == (JobState.QUEUED, "k1", "Holiday")
    while not job.state.is_terminal:
        time.sleep(0.1)
        job = hook.get_job(job.job_id)
    assert (job.state, job.progress) == (JobState.SUCCEEDED, 1.0)
    outputs = hook.get_outputs(job.job_id)
    assert [output.kind for output in outputs] == ["video", "thumbnail", "archive", "video"]
    assert all(output.url is None and output.expires_at is None for output in outputs)
    for output in outputs:
        fresh = hook.refresh_output(job.job_id, output)
        assert fresh.url is not None
        content = requests.get(fresh.url, timeout=30).content
        assert (len(content), hashlib.md5(content).hexdigest()) == (fresh.size, fresh.md5)
        if output.kind == "video":
            assert content[4:8] == b"ftyp"
            assert output.duration_seconds is not None
    assert simulator.counts("xvid")["creates"] == 1


def test_the_key_finds_the_job_again(hook: XvidHook) -> None:
    made = hook.submit_job({**REQUEST, "user_data": "for Anna & co"}, key="k1")
    hook.submit_job({**REQUEST, "user_data": "for Anna & co"}, key="k10")
    hook.submit_job(REQUEST, key="k1")
    found = hook.find_job("k1", request={**REQUEST, "user_data": "for Anna & co"}, since=LONG_AGO)
    assert found is not None
    assert (found.job_id, found.key) == (made.job_id, "k1")
    assert hook.find_job("k2", request=REQUEST, since=LONG_AGO) is None


def test_a_lost_answer_leaves_one_job_that_is_found(hook: XvidHook, simulator: Simulator) -> None:
    simulator.fault("xvid", "create", lose_answer=True)
    with pytest.raises(VideoApiUnavailableError) as caught:
        hook.submit_job(REQUEST, key="k1")
    assert caught.value.outcome_unknown
    assert hook.find_job("k1", request=REQUEST, since=LONG_AGO) is not None
    assert simulator.counts("xvid")["creates"] == 1


def test_a_failed_job_is_not_adopted(hook: XvidHook, simulator: Simulator) -> None:
    job = hook.submit_job(REQUEST, key="k1")
    simulator.move(job.job_id, fail="No such input")
    failed = hook.get_job(job.job_id)
    assert failed.state is JobState.FAILED
    assert "No such input" in str(failed.error)
    assert hook.find_job("k1", request=REQUEST, since=LONG_AGO) is None
    with pytest.raises(VideoJobFailedError, match="No such input"):
        hook.get_outputs(job.job_id)


def test_many_jobs_are_looked_at_with_one_request(hook: XvidHook, simulator: Simulator) -> None:
    made = [hook.submit_job({**REQUEST, "user_data": str(number)}) for number in range(5)]
    simulator.move(made[0].job_id, finish=True)
    before = simulator.counts("xvid")
    found = hook.get_jobs([job.job_id for job in made[:4]] + ["000000000000000000000000"])
    after = simulator.counts("xvid")
    assert set(found) == {job.job_id for job in made[:4]}
    assert found[made[0].job_id].state is JobState.SUCCEEDED
    assert (after["lists"] - before["lists"], after["polls"] - before["polls"]) == (1, 0)


def test_the_pages_of_the_list(hook: XvidHook) -> None:
    made = [hook.submit_job(REQUEST).job_id for _ in range(5)]
    assert [job.id for job in hook.iterate_jobs(page_size=2)] == made
    page = hook.list_jobs(start=1, limit=2, sort="created_at", direction=-1)
    assert [job.id for job in page.jobs] == [made[3], made[2]]
    assert (page.start, page.limit) == (1, 2)


def test_cancelling_spares_a_finished_job(hook: XvidHook, simulator: Simulator) -> None:
    simulator.settings(render_seconds=600)
    running, done = hook.submit_job(REQUEST), finished(hook, simulator)
    assert hook.cancel_job(running.job_id) is not None
    assert hook.cancel_job(running.job_id) is None
    seen = hook.cancel_job(done.job_id)
    assert seen is not None
    assert seen.state is JobState.SUCCEEDED
    assert len(hook.get_outputs(done.job_id)) == 4
    counts = simulator.counts("xvid")
    assert (counts["cancels"], counts["finished_deletes"]) == (1, 0)


def test_a_cancel_whose_answer_is_lost(hook: XvidHook, simulator: Simulator) -> None:
    simulator.settings(render_seconds=600)
    job = hook.submit_job(REQUEST)
    simulator.fault("xvid", "delete", lose_answer=True)
    seen = hook.cancel_job(job.job_id)
    assert seen is not None
    assert not seen.state.is_terminal
    assert simulator.counts("xvid")["cancels"] == 1


def test_a_deleted_job_is_gone_with_its_files(hook: XvidHook, simulator: Simulator) -> None:
    job = finished(hook, simulator)
    (video, *_) = hook.get_outputs(job.job_id)
    hook.delete_job(job.job_id)
    for look in (hook.get_job, hook.get_outputs):
        with pytest.raises(VideoApiNotFoundError):
            look(job.job_id)
    with pytest.raises(VideoApiNotFoundError):
        hook.refresh_output(job.job_id, video)


def test_a_forgotten_token_is_renewed_by_one_thread_for_all(hook: XvidHook, simulator: Simulator) -> None:
    hook.list_jobs()
    simulator.reset()  # forgets every token too: 403, as the vendor says it
    with ThreadPoolExecutor(8) as pool:
        assert len(list(pool.map(lambda _: hook.list_jobs(), range(24)))) == 24
    assert simulator.counts("xvid")["tokens"] == 1


def test_a_token_that_stays_refused(hook: XvidHook, simulator: Simulator) -> None:
    simulator.fault("xvid", "status", status=403, times=None)
    with pytest.raises(VideoApiAuthenticationError, match="0x0000003"):
        hook.get_job("559cbbec14ea67a7cad6c7d8")
    assert simulator.counts("xvid")["tokens"] == 2


def test_the_list_is_read_through_faults(hook: XvidHook, simulator: Simulator) -> None:
    hook.submit_job(REQUEST)
    simulator.fault("xvid", "list", status=503, retry_after=0)
    assert len(hook.list_jobs().jobs) == 1
    simulator.fault("xvid", "list", html=True)
    with pytest.raises(VideoApiUnreadableAnswerError, match="GET /jobs/"):
        hook.list_jobs()


def test_a_malformed_request(hook: XvidHook, simulator: Simulator) -> None:
    with pytest.raises(VideoApiInvalidRequestError):
        hook.submit_job({"pipeline": {"id": "P"}})
    assert simulator.counts("xvid")["creates"] == 0


def test_an_upload_is_what_a_job_reads(hook: XvidHook, simulator: Simulator) -> None:
    content = bytes(range(256)) * 8000
    name = hook.upload_media(
        io.BytesIO(content), name="uploads/in.mp4", size=len(content), pipeline_id="P", media_type="video/mp4"
    )
    job = hook.submit_job({"pipeline": {"id": "P"}, "input": {"input_name": name}})
    source = hook.read_job(job.job_id, expand_all=True).input
    assert source is not None
    assert source.file is not None
    assert source.file.id is not None
    stored = hook.read_file(source.file.id)
    assert (stored.size, stored.md5_checksum) == (len(content), hashlib.md5(content).hexdigest())
    assert simulator.counts("xvid")["upload_bytes"] == len(content)


def test_xml_answers_say_the_same_as_json(hook: XvidHook, simulator: Simulator) -> None:
    job = finished(hook, simulator, user_data="a <b> & c")
    for options in ({}, {"show_null": True}, {"expand": "file"}, {"expand_all": True}):
        as_json = hook.read_job(job.job_id, **options)  # type: ignore[arg-type]
        as_xml = hook.read_job(job.job_id, format="xml", **options)  # type: ignore[arg-type]
        assert (as_xml.id, as_xml.user_data, as_xml.created_at) == (as_json.id, "a <b> & c", as_json.created_at)
        assert as_xml.outputs is not None
        assert as_json.outputs is not None
        files = [[output.file and output.file.id for output in found.outputs or ()] for found in (as_xml, as_json)]
        assert files[0] == files[1]
        assert [len(output.thumbnails or ()) for output in as_xml.outputs] == [1, 0]
    assert [found.id for found in hook.list_jobs(format="xml").jobs] == [job.job_id]
    assert hook.list_jobs(format="xml", user_data="nobody").jobs == []


def test_links_without_a_redirect(hook: XvidHook, simulator: Simulator) -> None:
    job = finished(hook, simulator)
    for output in hook.get_outputs(job.job_id):
        assert output.output_id is not None
        (link,) = hook.get_download_links(output.output_id, redirect=False)
        assert requests.head(link, timeout=10).ok or requests.get(link, timeout=10).ok


def test_files_of_a_job(hook: XvidHook, simulator: Simulator) -> None:
    job = finished(hook, simulator)
    page = hook.list_files(job_id=job.job_id)
    assert {file.id for file in page.files} == {output.output_id for output in hook.get_outputs(job.job_id)}
    # The wiki shows a zip of thumbnails as a file of the subtype zip, not as an archive.
    assert hook.list_files(job_id=job.job_id, type="archive").files == []
    (archive,) = [file for file in hook.list_files(job_id=job.job_id, type="file").files if file.subtype == "zip"]
    retention = hook.read_file(archive.id).expires_at
    assert retention is not None
    assert retention > datetime.now(timezone.utc) + timedelta(days=6)


def test_pipelines_and_presets(hook: XvidHook) -> None:
    pipeline = hook.create_pipeline({"name": "house", "cancel_timeout": 60})
    preset = hook.create_preset({"name": "small"})
    assert hook.read_pipeline(pipeline.id).name == "house"
    assert hook.read_preset(preset.id).name == "small"
    assert pipeline.id in {found.id for found in hook.list_pipelines().pipelines}
    assert preset.id in {found.id for found in hook.list_presets(limit=5).presets}


def test_the_connection_test(hook: XvidHook, simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hook.test_connection()[0]
    fields = json.loads(simulator.connection_env()["AIRFLOW_CONN_XVID_DEFAULT"])
    monkeypatch.setenv("AIRFLOW_CONN_XVID_WRONG", json.dumps({**fields, "password": "d3Jvbmc="}))
    worked, message = XvidHook("xvid_wrong").test_connection()
    assert not worked
    assert "Check the key or the client id and secret" in message
    assert "d3Jvbmc=" not in message
    assert simulator.counts("xvid")["creates"] == 0


def test_a_job_template_is_saved_read_changed_and_listed(hook):
    made = hook.create_job_template({"name": "web", "job_settings": {"pipeline": {"id": "pipeline-1"}}})
    assert hook.read_job_template(made.id).name == "web"
    assert hook.update_job_template(made.id, {"name": "tv"}).name == "tv"
    assert made.id in [template.id for template in hook.list_job_templates().templates]
