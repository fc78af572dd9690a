# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, ClassVar

from tests.support.raw_client import RawClient


class Client(RawClient):
    vendor = "hourone"
    headers: ClassVar[dict[str, str]] = {"api-key": "simulator"}
    create_path = list_path = checked_path = "/videos"
    body: ClassVar[dict[str, Any]] = {"type": "override", "name": "{}", "scenes": [{"name": "one"}]}
    status_path = delete_path = "/videos/{}"
    odd_paths = ("/videos", "/analytics/summary", "/voice-preview/x", "/videos/x/metadata")
    phases: ClassVar[list[str]] = ["not_started", "started", "processing", "ready", "published"]
    failed, cancelled = "failed", "cancelled"

    def message_in(self, answer: Any) -> str:
        return str(answer["detail"])

    def video_url(self, job_id: str) -> str:
        return str(self.get(f"/videos/{job_id}")["download_url"])
