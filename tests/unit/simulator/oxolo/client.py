# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any, ClassVar

from tests.support.raw_client import RawClient


class Client(RawClient):
    vendor = "oxolo"
    headers: ClassVar[dict[str, str]] = {"authorization": "simulator"}
    create_path = "/videos/create/form"
    body: ClassVar[dict[str, Any]] = {"title": "{}", "text": "Words", "media": []}
    status_path = "/videos/{}/status"
    delete_path = "/videos/{}/del"
    list_path = checked_path = "/videos"
    odd_paths = ("/videos", "/catalogue", "/assets/media", "/videos/x/status")
    phases: ClassVar[list[str]] = ["in_progress", "done"]
    failed = "failed"

    def status_in(self, answer: Any) -> str:
        return str(answer["results"])

    def video_url(self, job_id: str) -> str:
        return str(self.get(f"/videos/{job_id}")["results"]["video_link"])
