# SPDX-License-Identifier: Apache-2.0
"""A bare HTTP client of one vendor: the simulator is tested from outside, with nothing of the provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import requests

if TYPE_CHECKING:
    from tests.support.simulator import Simulator


class RawClient:
    """
    One vendor's API with good credentials, as its documents write it.

    A vendor's own client is ``tests/unit/simulator/<vendor>/client.py``; the tests of all vendors find it there.
    """

    vendor: ClassVar[str]
    headers: dict[str, str]
    """The credentials."""
    create_path: ClassVar[str]
    body: ClassVar[dict[str, Any]]
    """What is posted there; ``{}`` is the title."""
    status_path: ClassVar[str]
    delete_path: ClassVar[str]
    list_path: ClassVar[str | None] = None
    checked_path: ClassVar[str]
    """A path that costs nothing and needs the credentials."""
    odd_paths: ClassVar[tuple[str, ...]] = ()
    """Paths whose queries are tried with odd values."""
    link_operation: ClassVar[str] = "video"
    """The name, for faults, of the request that gives a download link."""
    phases: ClassVar[list[str]]
    failed: ClassVar[str]
    cancelled: ClassVar[str | None] = None
    """The status of a cancelled job; None: it is gone."""
    refused: ClassVar[int] = 401
    """The HTTP status of a wrong key."""

    def __init__(self, simulator: Simulator) -> None:
        self.simulator, self.base = simulator, simulator.base_url(self.vendor)

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
        self.post(self.create_path, named(self.body, name))
        return str(self.simulator.jobs(self.vendor)[-1]["job_id"])

    def status(self, job_id: str) -> str:
        return self.status_in(self.get(self.status_path.format(job_id)))

    def delete(self, job_id: str) -> requests.Response:
        return self.call("DELETE", self.delete_path.format(job_id))

    def status_in(self, answer: Any) -> str:
        """Return the status that an answer of ``status_path`` shows."""
        return str(answer["status"])

    def message_in(self, answer: Any) -> str:
        """Return the text of an error."""
        return str(answer["message"])

    def video_url(self, job_id: str) -> str:
        """Return a download link of a finished job."""
        raise NotImplementedError


def named(value: Any, name: str) -> Any:
    """Return the value with the name put where ``{}`` stands."""
    if isinstance(value, dict):
        return {key: named(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [named(item, name) for item in value]
    return name if value == "{}" else value
