# SPDX-License-Identifier: Apache-2.0
"""A link dies in the middle of a download, and the vendor that is asked for a fresh one has none to give just then."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial

import pytest

from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.buffers import BufferPool
from airflow_video_providers.delivery.source.download import Download
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.exceptions import (
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiNotFoundError,
    VideoApiQuotaError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
)
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.jobs import VideoOutput
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4
from tests.support.scripted_api import Answer, ScriptedApi
from tests.support.xvid_answers import connect, error

MB = 1_000_000
BODY = mp4(20 * MB)
ONE_STREAM = DownloadSettings(
    client=ClientSettings(connect_timeout=5, read_timeout=10), attempts=4, backoff=0, streams=1
)
RANGES = replace(ONE_STREAM, streams=4, parallel_from=10 * MB)
LINKS = "/v1/files/downloads/"
PASSING = [
    (error(404), VideoApiNotFoundError),
    (error(429), VideoApiQuotaError),
    (error(503), VideoApiUnavailableError),
    (Answer({"nothing": "here"}), VideoApiUnreadableAnswerError),
]


@pytest.fixture
def hook(scripted_api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> XvidHook:
    """A real hook, whose calls are not tried again by its own client."""
    scripted_api.on("POST", "/v1/oauth2/token/", Answer({"access_token": "tok", "expires_in": "3600"}))
    connect(scripted_api, monkeypatch)
    return XvidHook(retry_deadline=0.01)


def read(hook: XvidHook, link: str, settings: DownloadSettings) -> str:
    """Read the whole file; return its SHA-256."""
    output = VideoOutput(kind="video", url=link, output_id="f1")
    digest = hashlib.sha256()
    download = Download(output, partial(hook.refresh_output, "j1", output), settings, digest.digest)
    pool = BufferPool(40 * MB)
    try:
        download.open()
        for part in download.parts(pool, MB):
            digest.update(part.view)
            pool.give(part.buffer)
    finally:
        download.close()
    assert download.complete
    return digest.hexdigest()


EACH_WIDTH = pytest.mark.parametrize("settings", [ONE_STREAM, RANGES], ids=["1 stream", "4 ranges"])
EACH_PASSING = pytest.mark.parametrize(("answer", "raised"), PASSING, ids=["404", "429", "503", "unreadable"])
WHOLE = hashlib.sha256(BODY).hexdigest()


@EACH_WIDTH
@EACH_PASSING
def test_an_error_of_the_vendor_that_passes_is_waited_for(
    hook: XvidHook,
    scripted_api: ScriptedApi,
    faulty_server: FaultyServer,
    settings: DownloadSettings,
    answer: Answer,
    raised: type[VideoApiError],
) -> None:
    link = faulty_server.add("/video", Resource(BODY, token_uses={"0": 1, "1": 99}, cuts=[5 * MB]))
    fresh = Answer(status=302, headers={"Location": f"{link}?token=1"})
    scripted_api.on("GET", LINKS, answer, fresh)
    assert read(hook, f"{link}?token=0", settings) == WHOLE
    assert len(scripted_api.calls("GET", LINKS)) == 2


@EACH_WIDTH
@EACH_PASSING
def test_one_that_does_not_pass_stays_the_error_of_the_vendor(
    hook: XvidHook,
    scripted_api: ScriptedApi,
    faulty_server: FaultyServer,
    settings: DownloadSettings,
    answer: Answer,
    raised: type[VideoApiError],
) -> None:
    link = faulty_server.add("/video", Resource(BODY, token_uses={"0": 1}, cuts=[5 * MB]))
    scripted_api.on("GET", LINKS, answer)
    with pytest.raises(raised):
        read(hook, f"{link}?token=0", settings)
    assert len(scripted_api.calls("GET", LINKS)) >= 3


@EACH_WIDTH
def test_a_final_error_of_the_vendor_is_not_waited_for(
    hook: XvidHook, scripted_api: ScriptedApi, faulty_server: FaultyServer, settings: DownloadSettings
) -> None:
    link = faulty_server.add("/video", Resource(BODY, token_uses={"0": 1}, cuts=[5 * MB]))
    scripted_api.on("GET", LINKS, error(400))
    with pytest.raises(VideoApiInvalidRequestError):
        read(hook, f"{link}?token=0", settings)
    assert len(scripted_api.calls("GET", LINKS)) <= (1 if settings is ONE_STREAM else 1 + settings.streams)


def test_the_first_link_is_waited_for_too(
    hook: XvidHook, scripted_api: ScriptedApi, faulty_server: FaultyServer
) -> None:
    link = faulty_server.add("/video", Resource(BODY))
    output = VideoOutput(kind="video", output_id="f1")
    scripted_api.on("GET", LINKS, error(503), error(404), Answer(status=302, headers={"Location": link}))
    download = Download(output, partial(hook.refresh_output, "j1", output), ONE_STREAM, bytes)
    assert download.read_head(100) == BODY[:100]
    download.close()


@pytest.mark.parametrize("status", [403, 404])
@EACH_PASSING
def test_a_host_of_one_connection_and_a_vendor_without_another_link(
    hook: XvidHook,
    scripted_api: ScriptedApi,
    faulty_server: FaultyServer,
    answer: Answer,
    raised: type[VideoApiError],
    status: int,
) -> None:
    """The other ranges find the link dead, though it is not: it is tried again when they have ended."""
    resource = Resource(BODY, connections=1, crowded=status, bytes_per_second=20 * MB)
    link = faulty_server.add("/video", resource)
    scripted_api.on("GET", LINKS, answer)
    assert read(hook, link, replace(RANGES, attempts=8, backoff=0.05)) == WHOLE
    assert scripted_api.calls("GET", LINKS)
