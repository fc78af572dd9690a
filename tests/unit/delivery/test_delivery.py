# SPDX-License-Identifier: Apache-2.0
"""What a delivered file is called, and by what it is known again."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from airflow_video_providers.delivery.buffers import BufferPool
from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.stores.base import ObjectAttributes
from airflow_video_providers.delivery.stores.local import LocalStore
from airflow_video_providers.exceptions import ContentCheckError, DestinationExistsError
from airflow_video_providers.jobs import VideoOutput
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import WEBVTT, mp4

BODY = mp4(100_000)


def deliver(path: Path, output: VideoOutput, *, journal: MemoryJournal | None = None, **rules: object) -> DeliveredFile:
    """Deliver an output to a local file."""
    return Delivery(
        output,
        vendor="acme",
        job_id="1",
        location=parse_location(f"file://{path}"),
        store=LocalStore(),
        refresh=lambda: output,
        rules=DeliveryRules(**rules),  # type: ignore[arg-type]
        journal=MemoryJournal() if journal is None else journal,
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


@pytest.mark.parametrize("size", [100_000, 20_000_000])
def test_a_file_in_doubt_is_not_whole_for_strict_checks(size: int, tmp_path: Path, faulty_server: FaultyServer) -> None:
    whole, path = mp4(size), tmp_path / "v.mp4"
    cut = whole[:-1000]
    resource = Resource(cut)
    output = VideoOutput(kind="video", url=faulty_server.add("/v", resource))
    task = MemoryJournal()
    assert deliver(path, output, journal=task, checks="length").transferred == len(cut)
    assert deliver(path, output, journal=task, checks="length").transferred == 0
    for journal in (task, MemoryJournal()):
        with pytest.raises(DestinationExistsError, match='set checks="length" to leave it'):
            deliver(path, output, journal=journal, if_exists="fail")
        with pytest.raises(ContentCheckError, match="not whole"):
            deliver(path, output, journal=journal)
        assert path.read_bytes() == cut
    resource.body = whole
    assert deliver(path, output, journal=task).transferred == size
    assert path.read_bytes() == whole
    for checks in ("strict", "length"):
        assert deliver(path, output, checks=checks).transferred == 0


@pytest.mark.parametrize(("size", "another"), [(100_000, 0), (20_000_000, 20_000_000)])
def test_a_file_whose_length_alone_was_asked_for_is_trusted_where_it_is_known_to_be_whole(
    size: int, another: int, tmp_path: Path, faulty_server: FaultyServer
) -> None:
    """Of a file of several parts only its own task knows: the metadata is sent with the first."""
    output = VideoOutput(kind="video", url=faulty_server.add("/v", Resource(mp4(size))))
    path, task = tmp_path / "v.mp4", MemoryJournal()
    deliver(path, output, journal=task, checks="length")
    assert deliver(path, output, journal=task).transferred == 0
    assert deliver(path, output).transferred == another


def test_no_log_line_of_any_level_shows_a_link(
    tmp_path: Path, faulty_server: FaultyServer, caplog: pytest.LogCaptureFixture
) -> None:
    """urllib3 writes each request into the log at the level DEBUG; a signature may stand in the path too."""
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "requests"):
        caplog.set_level(logging.DEBUG, name)
    faulty_server.add("/hmac=SECRET/v.mp4", Resource(BODY))
    redirect = Resource(b"", statuses=[(302, {"Location": "/hmac=SECRET/v.mp4?sig=SECRET"})])
    url = faulty_server.add("/go/SECRET", redirect)
    deliver(tmp_path / "v.mp4", VideoOutput(kind="video", url=f"{url}?token=SECRET"))
    assert '"GET /*** HTTP/1.1" 302' in caplog.text
    assert "SECRET" not in caplog.text


def test_a_film_without_brands_is_quicktime_where_its_name_says_so(tmp_path: Path, faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/v", Resource(BODY[20:], content_type="application/octet-stream"))
    named = {name: VideoOutput(kind="video", url=url, output_id=name, name=name) for name in ("a.mov", "a.mp4", "a")}
    stored = {name: deliver(tmp_path / name, output).media_type for name, output in named.items()}
    assert stored == {"a.mov": "video/quicktime", "a.mp4": "video/mp4", "a": "video/mp4"}
