# SPDX-License-Identifier: Apache-2.0
"""A bare HTTP client for each vendor: the simulator is tested from outside, with nothing of the provider."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import av
import pytest
import requests

if TYPE_CHECKING:
    from tests.support.simulator import Simulator

KEYS = {
    "colossyan": {"authorization": "Bearer simulator"},
    "hourone": {"api-key": "simulator"},
    "oxolo": {"authorization": "simulator"},
}
CREATE = {
    "colossyan": (
        "/video-generation-jobs",
        {"videoCreative": {"settings": {"name": "{}"}, "scenes": [{"tracks": []}]}},
    ),
    "hourone": ("/videos", {"type": "override", "name": "{}", "scenes": [{"name": "one"}]}),
    "oxolo": ("/videos/create/form", {"title": "{}", "text": "Words", "media": []}),
    "xvid": (
        "/jobs/",
        {"job": {"pipeline": {"id": "P"}, "input": {"input_name": "in.mp4"}, "outputs": [{"output_name": "{}"}]}},
    ),
}
STATUS = {
    "colossyan": ("/video-generation-jobs/{}", lambda answer: answer["status"]),
    "hourone": ("/videos/{}", lambda answer: answer["status"]),
    "oxolo": ("/videos/{}/status", lambda answer: answer["results"]),
    "xvid": ("/jobs/{}", lambda answer: answer["job"]["status"]),
}
DELETE = {
    "colossyan": "/video-generation-jobs/{}",
    "hourone": "/videos/{}",
    "oxolo": "/videos/{}/del",
    "xvid": "/jobs/{}",
}


def named(value: Any, name: str) -> Any:
    """The value with the name put where ``{}`` stands."""
    if isinstance(value, dict):
        return {key: named(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [named(item, name) for item in value]
    return name if value == "{}" else value


class Client:
    """One vendor's API with good credentials."""

    def __init__(self, simulator: Simulator, vendor: str) -> None:
        self.simulator, self.vendor, self.base = simulator, vendor, simulator.base_url(vendor)
        self.headers = KEYS.get(vendor) or self.login()

    def login(self, **fields: Any) -> dict[str, str]:
        form = {"grant_type": "client_credential", "client_id": "simulator", "client_secret": "c2ltdWxhdG9y", **fields}
        answer = requests.post(f"{self.base}/oauth2/token/", data=form, timeout=20)
        assert answer.status_code == 200, answer.text
        return {"authorization": f"Bearer {answer.json()['access_token']}"}

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        options = {"headers": self.headers, "timeout": 20, "allow_redirects": False, **options}
        return requests.request(method, self.base + path, **options)

    def get(self, path: str, **options: Any) -> Any:
        answer = self.call("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str, body: Any) -> Any:
        answer = self.call("POST", path, json=body)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def create(self, name: str = "A title") -> str:
        path, body = CREATE[self.vendor]
        self.post(path, named(body, name))
        return str(self.simulator.jobs(self.vendor)[-1]["job_id"])

    def status(self, job_id: str) -> str:
        path, read = STATUS[self.vendor]
        return str(read(self.get(path.format(job_id))))

    def delete(self, job_id: str) -> requests.Response:
        return self.call("DELETE", DELETE[self.vendor].format(job_id))

    def video_url(self, job_id: str) -> str:
        if self.vendor == "colossyan":
            video_id = self.get(f"/video-generation-jobs/{job_id}")["videoId"]
            return str(self.get(f"/generated-videos/{video_id}")["publicUrl"])
        if self.vendor == "hourone":
            return str(self.get(f"/videos/{job_id}")["download_url"])
        if self.vendor == "oxolo":
            return str(self.get(f"/videos/{job_id}")["results"]["video_link"])
        file_id = self.get(f"/jobs/{job_id}")["job"]["outputs"][0]["file"]["id"]
        answer = self.call("GET", f"/files/downloads/?file_id={file_id}&redirect=true")
        assert answer.status_code == 302
        return answer.headers["location"]


@pytest.fixture
def client(simulator: Simulator, request: pytest.FixtureRequest) -> Client:
    """The vendor named by the test's parameter."""
    simulator.settings(render_seconds=3600)
    return Client(simulator, request.param)


@pytest.fixture
def clients(simulator: Simulator) -> Any:
    """Any vendor by its name; renders last until they are moved by hand."""
    simulator.settings(render_seconds=3600)
    return lambda vendor: Client(simulator, vendor)


def probe(content: bytes) -> tuple[str, int, float]:
    """Codec, decoded frames and length in seconds of a video."""
    with av.open(io.BytesIO(content)) as container:
        frames = sum(1 for _ in container.decode(video=0))
        return container.streams.video[0].codec_context.name, frames, container.duration / 1_000_000


@pytest.fixture(name="probe")
def probe_fixture() -> Any:
    """The function that looks into a video."""
    return probe
