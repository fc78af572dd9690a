# SPDX-License-Identifier: Apache-2.0
"""Where files go, and names from a vendor."""

from __future__ import annotations

import pytest

from airflow_video_providers.delivery.destination import check_template, extension, locate, parse_location
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.jobs import VideoOutput


def test_the_connection_is_the_user_part() -> None:
    location = parse_location("s3://my%20conn@bucket/videos/a.mp4")
    assert (location.scheme, location.conn_id, location.bucket, location.key) == (
        "s3",
        "my conn",
        "bucket",
        "videos/a.mp4",
    )
    assert location.uri == "s3://bucket/videos/a.mp4"
    assert parse_location("gcs://bucket/a.mp4").uri == "gs://bucket/a.mp4"
    assert parse_location("abfs://c@container/a.mp4").conn_id == "c"
    assert parse_location("s3://bucket/a.mp4").conn_id is None
    assert parse_location("s3://bucket/50%25 of what?#1 @home.mp4").key == "50%25 of what?#1 @home.mp4"


def test_a_key_may_be_as_long_as_its_store_takes() -> None:
    assert len(parse_location("abfs://container/" + "影" * 1024).key) == 1024
    assert len(parse_location("s3://bucket/" + "a" * 1024).key) == 1024
    assert len(parse_location("file:///" + "a/" * 1000 + "a" * 255).key) == 2255


def test_a_local_file_has_an_absolute_path() -> None:
    location = parse_location("file:///data/videos/a b.mp4")
    assert (location.path, location.uri) == ("/data/videos/a b.mp4", "file:///data/videos/a b.mp4")


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("ftp://host/a.mp4", "scheme"),
        ("https://host/a.mp4", "scheme"),
        ("a.mp4", "scheme"),
        ("s3:///a.mp4", "no bucket"),
        ("s3://bucket", "folder"),
        ("s3://bucket/", "folder"),
        ("s3://bucket/videos/", "folder"),
        ("s3://bucket/a/../b.mp4", r"'\.\.'"),
        ("s3://bucket/a/./b.mp4", r"'\.'"),
        ("s3://bucket/a\x00b.mp4", "control"),
        ("s3://bucket/a\x85b.mp4", "control"),
        ("s3://bucket/a\ud800b.mp4", "surrogate"),
        ("s3://bucket/" + "a" * 1025, "key is too long: 1025 bytes, at most 1024"),
        ("gs://bucket/" + "a" * 1025, "key is too long: 1025 bytes, at most 1024"),
        ("s3://bucket/" + "影" * 342, "key is too long: 1026 bytes, at most 1024"),
        ("abfs://container/" + "影" * 1025, "name is too long: 1025 characters, at most 1024"),
        ("file:///" + "a" * 256, "name of a file or folder is too long: 256 bytes, at most 255"),
        ("file:///" + "a" * 304 + ".mp4", "too long: 308 bytes, at most 255"),
        ("file:///" + "a" * 256 + "/b.mp4", "too long: 256 bytes, at most 255"),
        ("file:///" + "a/" * 2050 + "b", "path is too long: 4102 bytes, at most 4095"),
        ("file://host/a.mp4", "three slashes"),
    ],
)
def test_a_location_that_cannot_be(uri: str, problem: str) -> None:
    with pytest.raises(VideoConfigurationError, match=problem):
        parse_location(uri)


@pytest.mark.parametrize(
    "template", ["s3://b/{job}.mp4", "s3://b/{}.mp4", "s3://b/{job_id!r}{0}.mp4", "s3://b/{job_id.x}.mp4"]
)
def test_unknown_placeholders(template: str) -> None:
    with pytest.raises(VideoConfigurationError, match="unknown placeholder"):
        check_template(template)


@pytest.mark.parametrize("template", ["s3://b/{job_id:>9}.mp4", "s3://b/{job_id:d}.mp4", "s3://b/{kind!r}.mp4"])
def test_a_placeholder_with_a_format(template: str) -> None:
    with pytest.raises(VideoConfigurationError, match="without a format"):
        check_template(template)


def test_a_format_cannot_cost_memory() -> None:
    with pytest.raises(VideoConfigurationError, match="without a format"):
        check_template("s3://b/{job_id:>99999999999}.mp4")


def test_a_broken_template() -> None:
    with pytest.raises(VideoConfigurationError, match="not a valid template"):
        check_template("s3://b/{job_id.mp4")


@pytest.mark.parametrize(
    ("fields", "ext"),
    [
        ({"kind": "video", "name": "a.MOV"}, "mov"),
        ({"kind": "video", "name": "v1.2"}, "mp4"),
        ({"kind": "video", "media_type": "video/webm"}, "webm"),
        ({"kind": "thumbnail", "media_type": "image/jpeg; q=1"}, "jpg"),
        ({"kind": "subtitles"}, "vtt"),
        ({"kind": "subtitles", "media_type": "application/x-subrip"}, "srt"),
        ({"kind": "archive", "name": "x./../y"}, "zip"),
        ({"kind": "archive", "name": "all.TGZ"}, "tgz"),
        ({"kind": "archive", "media_type": "application/gzip"}, "gz"),
        ({"kind": "thumbnail", "media_type": "image/webp"}, "webp"),
        # A title or an id is no file name, and a video's name says nothing of its thumbnail.
        ({"kind": "video", "name": "Welcome to Acme.ai"}, "mp4"),
        ({"kind": "video", "name": "Welcome to Acme.ai", "media_type": "video/webm"}, "webm"),
        ({"kind": "thumbnail", "name": "clip.mp4"}, "jpg"),
        ({"kind": "subtitles", "name": "Our policy. Part.two"}, "vtt"),
        ({"kind": "video", "media_type": "text/html"}, "mp4"),
        ({"kind": "video", "media_type": "application/octet-stream"}, "mp4"),
        ({"kind": "audio"}, "mp3"),
        ({"kind": "audio", "media_type": "audio/x-wav"}, "wav"),
        ({"kind": "image", "name": "poster.WEBP"}, "webp"),
    ],
)
def test_extensions(fields: dict[str, str], ext: str) -> None:
    assert extension(VideoOutput.model_validate(fields)) == ext


def test_each_output_has_its_own_key() -> None:
    outputs = [VideoOutput(kind="video", name="../Large.mp4"), VideoOutput(kind="video", name="Small.mp4")]
    template = "s3://b/{vendor}/{job_id}/{name}.{ext}"
    keys = [location.key for location in locate(template, vendor="acme", job_id="j1", outputs=outputs)]
    assert keys == ["acme/j1/_Large.mp4", "acme/j1/Small.mp4"]
    with pytest.raises(VideoConfigurationError, match=r"two of them to s3://b/j1\.mp4"):
        locate("s3://b/{job_id}.{ext}", vendor="acme", job_id="j1", outputs=outputs)


def test_each_job_has_its_own_key() -> None:
    def key(job_id: str) -> str:
        (location,) = locate("s3://b/{job_id}.mp4", vendor="v", job_id=job_id, outputs=[VideoOutput(kind="video")])
        return location.key

    assert key("a_b") == "a_b.mp4"
    assert len({key(job_id) for job_id in ("a_b", "a/b", "a:b", "a//b", "a_b.", "a\u200bb", "e\u0301", "é")}) == 8


def test_outputs_of_one_kind_have_their_label() -> None:
    outputs = [VideoOutput(kind="video"), VideoOutput(kind="video", label="captioned")]
    keys = [location.key for location in locate("s3://b/{label}.{ext}", vendor="v", job_id="1", outputs=outputs)]
    assert keys == ["video.mp4", "captioned.mp4"]


@pytest.mark.parametrize("names", [("Clip", "clip"), ("Straße", "STRASSE")])
def test_names_that_differ_only_in_case_may_be_one_file(names: tuple[str, str]) -> None:
    outputs = [VideoOutput(kind="video", name=name) for name in names]
    assert len(locate("s3://b/{name}.mp4", vendor="v", job_id="1", outputs=outputs)) == 2
    with pytest.raises(VideoConfigurationError, match="two of them"):
        locate("file:///videos/{name}.mp4", vendor="v", job_id="1", outputs=outputs)


@pytest.mark.parametrize("title", ["Welcome to Acme.ai", "v1.2", "01.ab12f"])
def test_a_title_stays_whole(title: str) -> None:
    (location,) = locate("s3://b/{name}.{ext}", vendor="v", job_id="1", outputs=[VideoOutput(kind="video", name=title)])
    assert location.key == f"{title}.mp4"


def test_two_names_that_become_one_are_refused() -> None:
    outputs = [VideoOutput(kind="video", name="a/b.mp4"), VideoOutput(kind="video", name="a:b.mp4")]
    with pytest.raises(VideoConfigurationError, match="two of them"):
        locate("s3://b/{name}.{ext}", vendor="v", job_id="1", outputs=outputs)
