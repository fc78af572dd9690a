# SPDX-License-Identifier: Apache-2.0
"""The files of one job: where each goes, what tells its extension, and files that the vendor wrote into a bucket."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from airflow_video_providers.delivery.delivery import DeliveryRules
from airflow_video_providers.delivery.job_files import JobFiles
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.exceptions import (
    ContentCheckError,
    DestinationExistsError,
    SourceError,
    VideoConfigurationError,
    VideoTransferError,
)
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import VideoOutput
from tests.support.encoded import film, sound
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import SUBRIP, WEBVTT, mp4, webm
from tests.support.s3 import S3Server

DOWNLOAD = DownloadSettings(attempts=2, backoff=0)


def deliver(destination: str, *outputs: VideoOutput, **rules: Any) -> list[dict[str, Any]]:
    """Deliver outputs whose links never change; return what goes to XCom."""
    hook = cast("VideoHook", SimpleNamespace(vendor="acme", refresh_output=lambda job_id, output: output))
    files = JobFiles(hook, "j1", destination, DeliveryRules(**{"download": DOWNLOAD, **rules}), MemoryJournal())
    return [delivered.to_xcom() for delivered in files.deliver(outputs)]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("kind", "body", "extension"),
    [
        ("video", webm(), "webm"),
        ("video", film("matroska", "mpeg4"), "mkv"),
        ("video", film("mpegts", "mpeg2video", option="mpegts_m2ts_mode=1"), "m2ts"),
        ("video", mp4(5000), "mp4"),
        ("audio", sound("flac", "flac"), "flac"),
        ("image", film("gif", "gif", "rgb8"), "gif"),
        ("subtitles", SUBRIP, "srt"),
    ],
)
def test_where_the_vendor_names_no_format_the_bytes_tell_the_extension(
    kind: str, body: bytes, extension: str, tmp_path: Path, faulty_server: FaultyServer
) -> None:
    """Two requests: one for the first bytes, one for the file; and when it is there, at most the first."""
    resource = Resource(body, content_type="binary/octet-stream")
    output = VideoOutput.model_validate({"kind": kind, "url": faulty_server.add("/f", resource), "name": "A title"})
    destination = f"file://{tmp_path}/{{name}}.{{ext}}"
    (file,) = deliver(destination, output)
    assert file["uri"] == f"file://{tmp_path}/A title.{extension}"
    assert (tmp_path / f"A title.{extension}").read_bytes() == body
    assert [headers["Range"] for _, headers in faulty_server.requests] == ["bytes=0-511", "bytes=0-"]
    assert deliver(destination, output) == [file]
    assert len(faulty_server.requests) == (2 if extension == "mp4" else 3)
    assert names(tmp_path) == [f"A title.{extension}"]


def test_what_the_vendor_names_is_not_asked_for(tmp_path: Path, faulty_server: FaultyServer) -> None:
    url = faulty_server.add("/f", Resource(webm()))
    deliver(f"file://{tmp_path}/a.{{ext}}", VideoOutput(kind="video", url=url, media_type="video/webm; codecs=vp9"))
    deliver(f"file://{tmp_path}/b.{{ext}}", VideoOutput(kind="video", url=url, name="x.mkv"))
    deliver(f"file://{tmp_path}/c.bin", VideoOutput(kind="video", url=url))
    assert len(faulty_server.requests) == 3
    assert names(tmp_path) == ["a.webm", "b.mkv", "c.bin"]
    deliver(f"file://{tmp_path}/d.{{ext}}", VideoOutput(kind="subtitles", content=SUBRIP.decode()))
    assert names(tmp_path)[-1] == "d.srt"


def test_a_file_of_an_unknown_format_has_the_usual_extension(tmp_path: Path, faulty_server: FaultyServer) -> None:
    output = VideoOutput(kind="video", url=faulty_server.add("/f", Resource(b"a new format" * 99)))
    destination = f"file://{tmp_path}/{{job_id}}.{{ext}}"
    with pytest.raises(ContentCheckError) as caught:
        deliver(destination, output)
    assert str(caught.value) == (
        f"acme job j1, video to {destination}: the source sent no known media format instead of the video "
        '(checks="length" stores it all the same)'
    )
    (file,) = deliver(destination, output, checks="length")
    assert file["uri"].endswith("/j1.mp4")
    # Where no length is said, such a file is not stored either.
    faulty_server.add("/f", Resource(b"a new format" * 99, framing="close", ranges=False))
    with pytest.raises(ContentCheckError, match="nothing tells where"):
        deliver(f"file://{tmp_path}/other.{{ext}}", output, checks="length")


def test_labels(tmp_path: Path, faulty_server: FaultyServer) -> None:
    outputs = [
        VideoOutput(kind="video", label=label, url=faulty_server.add(f"/{label}", Resource(mp4(size))), name="v.mp4")
        for label, size in (("720p", 5000), ("1080p", 6000))
    ]
    with pytest.raises(VideoConfigurationError, match=r"\{label\}"):
        deliver(f"file://{tmp_path}/{{job_id}}.{{ext}}", *outputs)
    assert faulty_server.requests == []
    files = deliver(f"file://{tmp_path}/{{job_id}}-{{label}}.{{ext}}", *outputs)
    assert [(file["label"], file["size"]) for file in files] == [("720p", 5000), ("1080p", 6000)]
    assert names(tmp_path) == ["j1-1080p.mp4", "j1-720p.mp4"]


def test_an_error_names_job_output_and_destination(tmp_path: Path, faulty_server: FaultyServer) -> None:
    link = faulty_server.add("/f", Resource(b"", statuses=[(400, {})] * 9))
    output = VideoOutput(kind="video", label="720p", url=f"{link}?sig=secret", name="v.mp4")
    uri = f"file://{tmp_path}/v.mp4"
    with pytest.raises(SourceError) as caught:
        deliver(uri, output)
    assert str(caught.value) == f"acme job j1, video:720p to {uri}: the source responds with 400"
    (tmp_path / "v.mp4").write_bytes(b"another's")
    with pytest.raises(DestinationExistsError, match=f"acme job j1, video:720p to {uri}: an object is already there"):
        deliver(uri, output, if_exists="fail")


# ---------------------------------------------------------------- files in buckets


@pytest.fixture
def bucket(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    for name, value in s3.connection_env().items():
        monkeypatch.setenv(name, value)
    return s3


@pytest.mark.s3
@pytest.mark.parametrize("size", [30_000_000, 5000])
def test_a_file_that_the_vendor_wrote_into_a_bucket(size: int, bucket: S3Server, tmp_path: Path) -> None:
    body = mp4(size)
    bucket.client.put_object(Bucket=bucket.bucket, Key="out/v", Body=body, ContentType="video/mp4")
    output = VideoOutput(kind="video", url=f"s3://{bucket.bucket}/out/v")
    settings = DownloadSettings(store_conn_id="s3_test")
    (file,) = deliver(f"file://{tmp_path}/{{job_id}}.{{ext}}", output, download=settings)
    assert (tmp_path / "j1.mp4").read_bytes() == body
    assert (file["size"], file["sha256"]) == (size, hashlib.sha256(body).hexdigest())
    (stored,) = deliver(f"s3://s3_test@{bucket.bucket}/in/{{job_id}}.{{ext}}", output, download=settings)
    assert bucket.body("in/j1.mp4") == body
    assert stored["media_type"] == "video/mp4"
    assert bucket.uploads() == []


@pytest.mark.s3
@pytest.mark.parametrize(
    ("body", "fields", "text"),
    [
        (mp4(5000), {"size": 5001}, "the vendor says 5001"),
        (mp4(5000), {"md5": "0" * 32}, "MD5"),
        (mp4(5000)[:-1], {}, "not whole"),
        (b"<Error/>", {}, "an XML document"),
        (b"", {}, "0 bytes"),
    ],
)
def test_it_is_checked_as_any_other(
    body: bytes, fields: dict[str, Any], text: str, bucket: S3Server, tmp_path: Path
) -> None:
    bucket.client.put_object(Bucket=bucket.bucket, Key="out/v", Body=body)
    output = VideoOutput(kind="video", url=f"s3://{bucket.bucket}/out/v", name="v.mp4", **fields)
    with pytest.raises(ContentCheckError, match=text):
        deliver(f"file://{tmp_path}/v.mp4", output, download=DownloadSettings(store_conn_id="s3_test"))
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("file:///etc/passwd", "but file"),
        ("ftp://a.example/v", "but ftp"),
        ("s3://other_conn@bucket/v", "not the vendor's to choose"),
        ("s3://bucket/../v", "malformed s3 URI"),
        ("s3://", "malformed s3 URI"),
        ("javascript:alert(1)", "but javascript"),
    ],
)
def test_links_that_are_never_read(url: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(VideoTransferError, match=text):
        deliver(f"file://{tmp_path}/v.mp4", VideoOutput(kind="video", url=url))
    assert names(tmp_path) == []


def test_texts_are_checked_too(tmp_path: Path) -> None:
    (file,) = deliver(f"file://{tmp_path}/{{kind}}.{{ext}}", VideoOutput(kind="subtitles", content=WEBVTT))
    assert (file["uri"], file["media_type"]) == (f"file://{tmp_path}/subtitles.vtt", "text/vtt")
    with pytest.raises(ContentCheckError, match="a JSON document"):
        deliver(f"file://{tmp_path}/b.vtt", VideoOutput(kind="subtitles", content='{"error": 1}'))
