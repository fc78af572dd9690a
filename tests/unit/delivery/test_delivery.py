# SPDX-License-Identifier: Apache-2.0
"""What a delivered file is called, and by what it is known again."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_video_providers.delivery.buffers import BufferPool
from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.stores.base import ObjectAttributes
from airflow_video_providers.delivery.stores.local import LocalStore
from airflow_video_providers.exceptions import DestinationExistsError
from airflow_video_providers.jobs import VideoOutput
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import WEBVTT, mp4

BODY = mp4(100_000)


def deliver(path: Path, output: VideoOutput, **rules: object) -> DeliveredFile:
    """Deliver an output to a local file."""
    return Delivery(
        output,
        vendor="acme",
        job_id="1",
        location=parse_location(f"file://{path}"),
        store=LocalStore(),
        refresh=lambda: output,
        rules=DeliveryRules(**rules),  # type: ignore[arg-type]
        journal=MemoryJournal(),
        pool=BufferPool(1),
    ).deliver()


def test_a_title_that_was_changed_is_the_same_output(tmp_path: Path, faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/v", Resource(BODY))
    path = tmp_path / "v.mp4"
    first = deliver(path, VideoOutput(kind="video", url=url, output_id="7", name="Draft"))
    again = deliver(path, VideoOutput(kind="video", url=url, output_id="7", name="Final"), if_exists="fail")
    assert (first.transferred, again.transferred) == (len(BODY), 0)
    with pytest.raises(DestinationExistsError):
        deliver(path, VideoOutput(kind="video", url=url, output_id="8", name="Final"), if_exists="fail")
    # Without an id the name is all that there is.
    deliver(path, VideoOutput(kind="video", url=url, name="Draft"))
    assert deliver(path, VideoOutput(kind="video", url=url, name="Final")).transferred == len(BODY)


@pytest.mark.parametrize("corrected", ["Hello", "Goodbye, all of you"])
def test_a_text_that_was_corrected_is_not_there_yet(tmp_path: Path, corrected: str) -> None:
    path, text = tmp_path / "s.vtt", WEBVTT.replace("Hello", corrected)
    deliver(path, VideoOutput(kind="subtitles", content=WEBVTT.replace("Hello", "Helol"), output_id="7"))
    output = VideoOutput(kind="subtitles", content=text, output_id="7")
    with pytest.raises(DestinationExistsError):
        deliver(path, output, if_exists="fail")
    assert deliver(path, output).transferred == len(text)
    assert path.read_text() == text
    assert deliver(path, output).transferred == 0


@pytest.mark.parametrize("size", [100_000, 20_000_000])
def test_the_media_type_is_that_of_the_file_not_of_a_wrong_header(
    size: int, tmp_path: Path, faulty_server: FaultyServer
) -> None:
    url = faulty_server.add("/v", Resource(mp4(size), content_type="text/html; charset=utf-8"))
    output = VideoOutput(kind="video", url=url, media_type="binary/octet-stream")
    path = tmp_path / "v.mp4"
    for _ in range(2):  # the second time it is there
        assert deliver(path, output).media_type == "video/mp4"
    stored = LocalStore().head(str(path).lstrip("/"))
    assert stored is not None
    assert stored.content_type in ("video/mp4", None)
    mine = ObjectAttributes(content_type="application/x-mine")
    assert deliver(path, output, if_exists="overwrite", attributes=mine).media_type == "application/x-mine"
