# SPDX-License-Identifier: Apache-2.0
"""Xvid's files by the transfer operators on the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.exceptions import SourceError, VideoTransferError
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.transfers.object_storage_to_video import ObjectStorageToVideoOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator
from tests.support.media import mp4
from tests.support.s3 import S3Server
from tests.support.simulator import Simulator


@pytest.mark.s3
def test_source_media_goes_to_the_vendor(
    video_connections: Simulator, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in s3.connection_env().items():
        monkeypatch.setenv(variable, value)
    body = mp4(20_000_000)
    s3.client.put_object(Bucket=s3.bucket, Key="sources/in.jpg", Body=body)
    arguments: dict[str, Any] = {"task_id": "upload", "conn_id": "xvid_default", "options": {"pipeline_id": "p"}}
    media_id = ObjectStorageToVideoOperator(
        source=f"s3://s3_test@{s3.bucket}/sources/in.jpg", name="uploads/in.mp4", **arguments
    ).execute({})  # type: ignore[typeddict-item]
    assert media_id
    (upload,) = video_connections.uploads()["xvid"]
    assert upload["size"] == len(body), upload
    with pytest.raises(SourceError, match="no object"):
        ObjectStorageToVideoOperator(source=f"s3://s3_test@{s3.bucket}/none", **arguments).execute({})  # type: ignore[typeddict-item]


REQUEST = {
    "pipeline": {"id": "p"},
    "input": {"input_name": "uploads/in.mp4"},
    "outputs": [
        {
            "preset": {"id": "large"},
            "output_name": "Large ../one",
            "thumbnails": [{"thumbnail_names": "t", "thumbnail_preset": "small"}],
        },
        {"preset": {"id": "small"}, "output_name": "Small"},
    ],
}


def test_several_outputs_of_one_kind_need_names(video_connections: Simulator, tmp_path: Path) -> None:
    job_id = XvidHook().submit_job(REQUEST).job_id
    video_connections.move(job_id, finish=True)

    def store(destination: str, **arguments: Any) -> list[dict[str, Any]]:
        operator = VideoToObjectStorageOperator(
            task_id="store",
            conn_id="xvid_default",
            job_id=job_id,
            destination=f"file://{tmp_path}/{destination}",
            **arguments,
        )
        return operator.execute({})  # type: ignore[typeddict-item]

    with pytest.raises(VideoTransferError, match=r"offers archive, thumbnail, video.*, but no subtitles"):
        store("{job_id}.{ext}", outputs=["subtitles"])
    with pytest.raises(ValueError, match=r"two of them to .*add \{name\}"):
        store("{job_id}.{ext}")
    with pytest.raises(VideoTransferError, match="max_bytes allows 1000"):
        store("{job_id}.{ext}", outputs=["archive"], max_bytes=1000)
    assert list(tmp_path.iterdir()) == []
    stored = store("{name}.{ext}", outputs="all")
    assert sorted(item["kind"] for item in stored) == ["archive", "thumbnail", "video", "video"]
    assert {path.suffix for path in tmp_path.iterdir()} == {".mp4", ".jpg", ".zip"}
