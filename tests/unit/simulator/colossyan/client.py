# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, ClassVar

from tests.support.raw_client import RawClient


class Client(RawClient):
    vendor = "colossyan"
    headers: ClassVar[dict[str, str]] = {"authorization": "Bearer simulator"}
    create_path = "/video-generation-jobs"
    body: ClassVar[dict[str, Any]] = {"videoCreative": {"settings": {"name": "{}"}, "scenes": [{"tracks": []}]}}
    status_path = delete_path = "/video-generation-jobs/{}"
    checked_path = "/assets/voices"
    odd_paths = ("/assets/actors", "/assets/voices", "/generated-videos/x")
    phases: ClassVar[list[str]] = ["in_queue", "preprocessing", "preprocessing_finished", "generating", "finished"]
    failed, cancelled = "failed", "deleted"

    def video_url(self, job_id: str) -> str:
        video_id = self.get(f"/video-generation-jobs/{job_id}")["videoId"]
        return str(self.get(f"/generated-videos/{video_id}")["publicUrl"])
