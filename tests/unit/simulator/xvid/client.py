# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import requests

from tests.support.raw_client import RawClient

if TYPE_CHECKING:
    from tests.support.simulator import Simulator


class Client(RawClient):
    vendor = "xvid"
    create_path = list_path = checked_path = "/jobs/"
    body: ClassVar[dict[str, Any]] = {
        "job": {"pipeline": {"id": "P"}, "input": {"input_name": "in.mp4"}, "outputs": [{"output_name": "{}"}]}
    }
    status_path = delete_path = "/jobs/{}"
    odd_paths = ("/jobs/", "/files/", "/files/downloads/", "/files/uploads/x", "/pipelines/", "/presets/")
    link_operation = "link"
    phases: ClassVar[list[str]] = ["QUEUED", "PROCESSING", "SUCCESS"]
    failed, refused = "FAILURE", 403

    def __init__(self, simulator: Simulator) -> None:
        super().__init__(simulator)
        self.headers = self.login()

    def login(self, **fields: Any) -> dict[str, str]:
        form = {"grant_type": "client_credential", "client_id": "simulator", "client_secret": "c2ltdWxhdG9y", **fields}
        answer = requests.post(f"{self.base}/oauth2/token/", data=form, timeout=20)
        assert answer.status_code == 200, answer.text
        return {"authorization": f"Bearer {answer.json()['access_token']}"}

    def status_in(self, answer: Any) -> str:
        return str(answer["job"]["status"])

    def message_in(self, answer: Any) -> str:
        return str(answer["error"]["error_message"])

    def video_url(self, job_id: str) -> str:
        file_id = self.get(f"/jobs/{job_id}")["job"]["outputs"][0]["file"]["id"]
        answer = self.call("GET", f"/files/downloads/?file_id={file_id}&redirect=true")
        assert answer.status_code == 302
        return answer.headers["location"]
