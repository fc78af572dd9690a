# SPDX-License-Identifier: Apache-2.0
"""Outputs are picked by kind, or by kind and label."""

from __future__ import annotations

import pytest

from airflow_video_providers.delivery.selection import check_outputs, select_outputs
from airflow_video_providers.exceptions import VideoConfigurationError, VideoTransferError
from airflow_video_providers.jobs import VideoOutput

OFFERED = [
    VideoOutput(kind="video"),
    VideoOutput(kind="video", label="720p"),
    VideoOutput(kind="video", label="a:b"),
    VideoOutput(kind="thumbnail"),
    VideoOutput(kind="audio", label="de"),
]


@pytest.mark.parametrize(
    ("outputs", "picked"),
    [
        ("all", [0, 1, 2, 3, 4]),
        (("all",), [0, 1, 2, 3, 4]),
        ("video", [0, 1, 2]),
        (["audio", "thumbnail"], [3, 4]),
        ("video:720p", [1]),
        ("video:", [0]),
        (["video:a:b", "video:"], [0, 2]),
    ],
)
def test_selection(outputs: object, picked: list[int]) -> None:
    assert select_outputs(OFFERED, outputs, whose="v job 1") == [OFFERED[number] for number in picked]


def test_what_is_not_offered() -> None:
    with pytest.raises(VideoTransferError) as caught:
        select_outputs(OFFERED, ["video:4k", "image", "video"], whose="v job 1")
    assert str(caught.value) == (
        "v job 1 offers audio:de, thumbnail, video, video:720p, video:a:b, but no video:4k and no image"
    )
    with pytest.raises(VideoTransferError, match="v job 1 offers no files"):
        select_outputs([], "all", whose="v job 1")


@pytest.mark.parametrize("outputs", [(), None, "", "film", ["video", 3], "film:720p", [None], 5, {"video": 1, "x": 2}])
def test_what_is_no_selection(outputs: object) -> None:
    with pytest.raises(VideoConfigurationError, match="kind:label"):
        check_outputs(outputs)
