# SPDX-License-Identifier: Apache-2.0
"""
A task's tries without Airflow: a state store, a task instance, a vendor, and a crash between any two steps.

The vendor is a small HTTP API in memory, below the real client: what is tried is what is sent. Every effect on the
world (a write to the store, a request, a push to XCom, a deferral) announces itself to :class:`Steps` before and after
it happens; the crash strikes at one announcement.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from airflow.sdk import Connection
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time.comms import ErrorResponse
from requests.adapters import HTTPAdapter
from urllib3.response import HTTPResponse

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.errors import VendorError, parse_error
from airflow_video_providers.api.guard import GuardedAdapter
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.exceptions import VideoApiUnavailableError
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.hooks.common import HeaderAuth
from airflow_video_providers.jobs import JobError, JobState, VideoJob, VideoOutput

LOST = (JobState.FAILED, JobState.CANCELLED)


class Crash(BaseException):
    """The worker dies here: nothing below catches it but what a dead process would not run."""


@dataclass
class Steps:
    """Counts the steps of a try; strikes at one of them: the n-th, or the first of that name."""

    strike_at: int | str | None = None
    seen: list[str] = field(default_factory=list)

    def __call__(self, name: str) -> None:
        self.seen.append(name)
        if self.strike_at in (name, len(self.seen)):
            raise Crash(name)


class World:
    """
    What outlives a try: the state store, the vendor's jobs, what Airflow thinks of the task.

    :ivar refusals: what the vendor answers to the next requests for a job, as (status, body); then it accepts.
    :ivar lose_answer: the next request for a job is accepted and its response lost.
    :ivar never_arrives: the next request for a job is lost itself.
    :ivar in_flight: how many requests with a known key are told that the first one is still under way.
    :ivar replayed: what the vendor answered to a key, where it replays.
    :ivar store_is_away: how many accesses to the state store fail, as they do while the API server restarts.
    :ivar superseded: Airflow has replaced the try that runs.
    :ivar task_state: of the task instance; ``cleared``: it has none, None: Airflow does not answer.
    """

    def __init__(self) -> None:
        self.steps = Steps()
        self.stored: dict[str, Any] = {}
        self.jobs: dict[str, VideoJob] = {}
        self.hidden: set[str] = set()
        self.slept = 0.0
        self.list_lag = 0.0
        self.created_at: dict[str, float] = {}
        self.cancelled: list[str] = []
        self.refusals: list[tuple[int, Any]] = []
        self.lose_answer = self.never_arrives = False
        self.in_flight = 0
        self.replayed: dict[str, tuple[int, Any]] = {}
        self.keys_forgotten = False
        self.posts: list[str | None] = []
        self.store_is_away = 0
        self.superseded = False
        self.xcoms: dict[str, Any] = {}
        self.task_state: str | None = "running"
        self.run_started_at = datetime.now(timezone.utc)

    # ------------------------------------------------------------------ the state store

    def get(self, key: str, default: Any = None) -> Any:
        # Airflow's own accessor hides the 404 of a superseded try.
        return default if self.superseded else self.stored.get(key, default)

    def set(self, key: str, value: Any, *, retention: Any = None) -> None:
        self.steps(f"before writing {value['state']}")
        self._access()
        self.stored[key] = value
        self.steps(f"after writing {value['state']}")

    def delete(self, key: str) -> None:
        self._access()
        self.stored.pop(key, None)

    def _access(self) -> None:
        if self.superseded:
            raise api_server_error(404, {"reason": "not_found", "message": "Task instance 0 not found"})
        if self.store_is_away > 0:
            self.store_is_away -= 1
            raise api_server_error(None, None)

    # ------------------------------------------------------------------ time

    def sleep(self, seconds: float) -> None:
        self.slept += seconds

    def age_the_record(self, **time: float) -> None:
        """Make the intent of the record older than it is."""
        (key,) = self.stored
        record = self.stored[key]
        at = datetime.fromisoformat(record["intended_at"].replace("Z", "+00:00")) - timedelta(**time)
        self.stored[key] = {**record, "intended_at": at.isoformat()}

    # ------------------------------------------------------------------ the vendor

    def set_state(self, job_id: str, state: JobState, reason: str | None = None, code: str | None = None) -> None:
        error = JobError(message=reason, code=code) if reason or code else None
        self.jobs[job_id] = self.jobs[job_id].model_copy(update={"state": state, "error": error})

    def forget(self, job_id: str) -> None:
        """Delete a job at the vendor."""
        del self.jobs[job_id]

    def respond(self, method: str, path: str, query: dict[str, str], body: Any, key: str | None) -> tuple[int, Any]:
        """Answer one request to the vendor."""
        if method == "POST":
            return self._create(body, key)
        if path == "/jobs":
            self.steps("before a search")
            return 200, [job.to_xcom() for job in self.jobs.values() if job.key == query["key"] and self._is_shown(job)]
        job_id = path.rpartition("/")[2]
        self.steps("before a poll" if method == "GET" else "before a cancel")
        job = self.jobs.get(job_id)
        if job is None or (method == "GET" and job_id in self.hidden):
            return 404, {"message": "no such job"}
        if method == "DELETE" and not job.state.is_terminal:
            self.set_state(job_id, JobState.CANCELLED)
            self.cancelled.append(job_id)
        return 200, job.to_xcom()

    def _create(self, body: Any, key: str | None) -> tuple[int, Any]:
        self.steps("before the POST")
        self.posts.append(body["key"])
        if self.never_arrives:
            self.never_arrives = False
            raise requests.exceptions.ReadTimeout("read timeout")
        known = key is not None and key in self.replayed and not self.keys_forgotten
        if known and self.in_flight > 0:
            self.in_flight -= 1
            return 409, {"code": "request_in_progress", "message": "the first request is still under way"}
        answer = self.replayed[key] if known else self._make(body)
        if key is not None and answer[0] not in (429, 503):
            self.replayed[key] = answer
        if answer[0] == 200:
            self.steps("after the vendor accepted")
        if self.lose_answer:
            self.lose_answer = False
            raise requests.exceptions.ConnectionError("connection reset")
        return answer

    def _make(self, body: Any) -> tuple[int, Any]:
        if self.refusals:
            return self.refusals.pop(0)
        job = VideoJob(
            vendor="fake",
            job_id=f"job-{len(self.created_at) + 1}",
            state=JobState.RUNNING,
            vendor_status="running",
            key=body["key"],
            name=body["request"].get("title"),
            page_url=f"https://app.example/{len(self.created_at) + 1}",
            created_at=datetime.now(timezone.utc),
        )
        self.jobs[job.job_id] = job
        self.created_at[job.job_id] = self.slept
        return 200, job.to_xcom()

    def _is_shown(self, job: VideoJob) -> bool:
        return self.slept - self.created_at[job.job_id] >= self.list_lag and job.job_id not in self.hidden


def api_server_error(status: int | None, detail: Any) -> AirflowRuntimeError:
    """Return what the state store raises when Airflow's API server fails."""
    text = {"status_code": status, "message": "of the API server", "detail": {"detail": detail}}
    return AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR, detail=text))


class _InMemory(HTTPAdapter):
    """Stands where the network would be: below the guard of the client."""

    world: World

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        parts = urlsplit(request.url or "")
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        body = json.loads(request.body) if request.body else None
        key = request.headers.get("Idempotency-Key")
        try:
            status, answer = self.world.respond(request.method or "", parts.path, query, body, key)
        except requests.RequestException as error:
            error.request = request
            raise
        content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        headers = {"Content-Type": "application/json", **({"Retry-After": "0"} if status in (429, 503) else {})}
        raw = HTTPResponse(io.BytesIO(content), headers=headers, status=status, preload_content=False)
        return self.build_response(request, raw)


class _Adapter(GuardedAdapter, _InMemory):
    pass


def _parse_error(body: Any) -> VendorError:
    error = parse_error(body)
    if error.code == "request_in_progress":
        return replace(error, cause=VideoApiUnavailableError, outcome_unknown=True)
    return error


class FakeHook(VideoHook):
    """A vendor in memory, behind the real client; its jobs live in a :class:`World`."""

    conn_type = "fake"
    hook_name = "Fake"
    default_conn_name = "fake_default"
    vendor = "fake"
    default_base_url = "http://127.0.0.1"
    hopeless_codes = frozenset({"P17", "BLOCKED."})

    def __init__(
        self,
        world: World,
        support: KeySupport,
        conn_id: str = "fake_default",
        can_cancel: bool = True,
        replay_seconds: float | None = None,
        needs_title: bool = False,
    ) -> None:
        super().__init__(conn_id)
        self.connection = Connection(conn_id=conn_id, conn_type="fake", host=self.default_base_url, password="a key")
        self.world = world
        self.key_support = support  # type: ignore[misc]  # a vendor of each kind in one class
        self.can_cancel = can_cancel  # type: ignore[misc]
        self.replay_seconds = replay_seconds  # type: ignore[misc]
        self.needs_title = needs_title

    def make_auth(self) -> HeaderAuth:
        return HeaderAuth("key", "a key")

    def make_client(self) -> VideoApiClient:
        client = VideoApiClient(
            vendor="fake",
            base_url=self.default_base_url,
            auth=self.make_auth(),
            error_parser=_parse_error,
            # Never used; without it the environment's is read for each request.
            settings=ClientSettings(proxy="http://127.0.0.1:9"),
        )
        client.adapter = _Adapter(whole=True)
        client.adapter.world = self.world
        client.session.mount("http://", client.adapter)
        return client

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        headers = {"Idempotency-Key": key} if self.replay_seconds is not None and key else {}
        body = {"request": request, "key": key}
        return VideoJob.from_xcom(
            self.client.call_json("POST", "/jobs", endpoint="POST /jobs", json=body, headers=headers)
        )

    def get_job(self, job_id: str) -> VideoJob:
        return VideoJob.from_xcom(self.client.get_json(f"/jobs/{job_id}", endpoint="GET /jobs/{id}"))

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        assert self.key_support is not KeySupport.NONE
        found = self.client.get_json("/jobs", endpoint="GET /jobs", params={"key": key})
        jobs = [VideoJob.from_xcom(job) for job in found]
        if self.needs_title:
            # The name of a job is bounded.
            jobs = [job for job in jobs if (job.name or "")[:100] == request.get("title", "")[:100]]
        return next((job for job in jobs if job.state not in LOST), None)

    def search_terms(self, request: Mapping[str, Any]) -> dict[str, Any]:
        return {"title": request.get("title")} if self.needs_title else {}

    def cancel_job(self, job_id: str) -> VideoJob | None:
        if job_id not in self.world.jobs:
            self.world.steps("before a cancel")
            return None
        return VideoJob.from_xcom(self.client.call_json("DELETE", f"/jobs/{job_id}", endpoint="DELETE /jobs/{id}"))

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        return []

    def check_connection(self) -> str:
        return "in memory"


class DirectHook(FakeHook):
    """A third party's hook that sends by other means than the client."""

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        _, answer = self.world.respond("POST", "/jobs", {}, {"request": request, "key": key}, None)
        return VideoJob.from_xcom(answer)

    def get_job(self, job_id: str) -> VideoJob:
        status, answer = self.world.respond("GET", f"/jobs/{job_id}", {}, None, None)
        assert status == 200
        return VideoJob.from_xcom(answer)

    def cancel_job(self, job_id: str) -> VideoJob | None:
        return VideoJob.from_xcom(self.world.respond("DELETE", f"/jobs/{job_id}", {}, None, None)[1])


class FakeTaskInstance:
    """A try, as far as an operator sees it."""

    dag_id, run_id, task_id, map_index = "d", "r", "t", -1

    def __init__(self, world: World, try_number: int = 1, max_tries: int = 5) -> None:
        self.world = world
        self.try_number = try_number
        self.max_tries = max_tries

    def xcom_push(self, key: str, value: Any) -> None:
        self.world.steps(f"before pushing {key}")
        self.world.xcoms[key] = value

    def get_task_states(self, **_: Any) -> dict[str, dict[str, str]]:
        if self.world.task_state is None:
            raise ConnectionError("no answer")
        return {"r": {"t": None if self.world.task_state == "cleared" else self.world.task_state}}


def context_of(world: World, operator: Any, try_number: int = 1, max_tries: int = 5) -> Any:
    """Return the context of one try."""
    ti = FakeTaskInstance(world, try_number, max_tries)
    dag_run = SimpleNamespace(start_date=world.run_started_at)
    return {"ti": ti, "task": operator, "task_state_store": world, "dag_run": dag_run}
