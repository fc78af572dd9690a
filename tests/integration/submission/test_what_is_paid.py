# SPDX-License-Identifier: Apache-2.0
"""Every cell of the table in ``docs/submission.md``, tried with the real hooks on the simulator."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from airflow_video_providers.exceptions import (
    AmbiguousSubmissionError,
    SubmissionKeyConflictError,
    VideoApiError,
    VideoProviderError,
)
from airflow_video_providers.hooks.base import get_video_hook
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.submission.record import RECORD_KEY
from tests.support.submission import Crash, Steps, World, context_of

PAGE = Path(__file__).parents[3] / "docs" / "submission.md"
COLUMNS = {"hourone": 0, "xvid": 0, "oxolo": 1, "colossyan": 2}
REQUESTS = {
    "colossyan": {"templateJobId": "onboarding", "dynamicVariables": {"name": "Ada"}},
    "hourone": {"type": "override", "source_draft_id": "d", "name": "Welcome", "scenes": [{"name": "one"}]},
    "oxolo": {"mode": "url", "url": "https://shop.example/lamp", "template_id": "t-1"},
    "xvid": {"pipeline": {"id": "p"}, "input": {"input_name": "a.mp4"}, "outputs": [{"preset": {"id": "s"}}]},
}
REFUSED = {
    "colossyan": {"templateJobId": 7},
    "hourone": {"type": "override", "scenes": "none"},
    "oxolo": {"mode": "url", "template_id": "t-1"},
    "xvid": {"pipeline": {"id": "p"}},
}
OTHER = {
    "colossyan": {"templateJobId": "onboarding", "dynamicVariables": {"name": "Grace"}},
    "hourone": {**REQUESTS["hourone"], "name": "Another"},
    "oxolo": {**REQUESTS["oxolo"], "url": "https://shop.example/chair"},
    "xvid": {**REQUESTS["xvid"], "input": {"input_name": "b.mp4"}},
}


def table():
    """Return the cells of the page: what happens -> vendor -> what is paid."""
    text = PAGE.read_text().split("## The table")[1].split("##")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| \n")) for line in text.splitlines() if line.startswith("|")]
    assert rows[0][1:] == ["Hour One, Xvid", "Oxolo", "Colossyan"]
    return {row[0]: {vendor: row[1 + column] for vendor, column in COLUMNS.items()} for row in rows[2:]}


class Scene:
    """One task on one vendor: its world, its tries, and what the vendor sold."""

    def __init__(self, vendor, simulator, monkeypatch):
        self.vendor, self.simulator, self.monkeypatch = vendor, simulator, monkeypatch
        self.world = World()
        self.number, self.max_tries = 0, 5
        self.ending = ""
        simulator.settings(render_seconds=600)

    def operator(self, request=None, **arguments):
        return SubmitVideoJobOperator(
            task_id="t",
            conn_id=f"{self.vendor}_default",
            request=request or REQUESTS[self.vendor],
            retries=5,
            find_wait=2,
            poll_interval=0.2,
            deferrable=False,
            **arguments,
        )

    def one_try(self, *, strike_at=None, request=None, prepare=lambda hook, operator: None, **arguments):
        self.number += 1
        self.world.steps = Steps(strike_at)
        operator = self.operator(request, **arguments)
        prepare(operator.hook, operator)
        try:
            operator.execute(context_of(self.world, operator, self.number, self.max_tries))
            self.ending = ""
        except AmbiguousSubmissionError:
            self.ending = ", a person decides"
        except VideoApiError:
            self.ending = ", the vendor's error"
        except (Crash, VideoProviderError):
            self.ending = ""

    def jobs(self):
        return self.simulator.jobs(self.vendor)

    def key(self):
        return self.world.stored[RECORD_KEY]["key"]

    def cell(self):
        """Say what was paid, in the words of the table."""
        jobs = self.jobs()
        text = f"{len(jobs)} render{'' if len(jobs) == 1 else 's'}{self.ending}"
        if jobs and jobs[0]["state"] == "cancelled":
            text += ", the first cancelled" if len(jobs) > 1 else ", cancelled"
        return text


def dies(at):
    def happen(scene):
        scene.one_try(strike_at=at)
        scene.one_try()

    return happen


def dies_after_the_vendor_accepted(scene):
    def prepare(hook, operator):
        submit = hook.submit_job

        def dying(*args, **kwargs):
            submit(*args, **kwargs)
            raise Crash("after the POST")

        hook.submit_job = dying

    scene.one_try(prepare=prepare)
    scene.one_try()


def dies_later(scene):
    for _ in range(2):  # the id is written; then, on the next try, the adoption is
        scene.one_try(strike_at="after writing submitted")
    scene.one_try()


def lost(lag=0, **fault):
    def happen(scene):
        scene.simulator.settings(list_lag_seconds=lag)
        scene.simulator.fault(scene.vendor, "create", **fault)
        for _ in range(3):
            scene.one_try()
            if not scene.ending:
                break

    return happen


def refused(scene):
    scene.one_try(request=REFUSED[scene.vendor])
    scene.one_try(request=REFUSED[scene.vendor])


def unreachable(scene):
    fields = json.loads(scene.simulator.connection_env()[f"AIRFLOW_CONN_{scene.vendor.upper()}_DEFAULT"])
    fields |= {"host": "http://127.0.0.1:1/v1", "extra": json.dumps({"retry_deadline": 0.1})}
    scene.monkeypatch.setenv(f"AIRFLOW_CONN_{scene.vendor.upper()}_DEFAULT", json.dumps(fields))
    scene.one_try()
    scene.one_try()


def then(change):
    def happen(scene):
        scene.one_try()
        (job,) = scene.jobs()
        change(scene, job)
        scene.one_try()

    return happen


def fails(scene, job):
    scene.simulator.move(job["job_id"], fail="no voice")


def deleted_by_hand(scene, job):
    scene.simulator.move(job["job_id"], finish=True)
    hook = get_video_hook(f"{scene.vendor}_default")
    names = {"colossyan": "delete_video_generation_job", "xvid": "delete_job"}
    getattr(hook, names.get(scene.vendor, "delete_video"))(job["job_id"])


def changed(scene):
    scene.one_try()
    scene.one_try(request=OTHER[scene.vendor])


def cleared(scene):
    scene.one_try()
    scene.max_tries = scene.number + 5
    scene.one_try()


def killed(scene):
    def prepare(hook, operator):
        look = hook.get_job

        def interrupted(job_id):
            scene.world.task_state = "failed"
            hook.get_job = look
            operator.on_kill()
            raise Crash("Airflow kills what is left of the process")

        hook.get_job = interrupted

    scene.one_try(prepare=prepare, wait_for_completion=True)


HAPPENINGS = {
    "the worker dies before the request is sent": dies("after writing intended"),
    "the worker dies after the vendor accepted, before the id is kept": dies_after_the_vendor_accepted,
    "the worker dies after the id is kept, at any point": dies_later,
    "the answer is lost, the job was made": lost(lose_answer=True),
    "the answer is lost, no job was made": lost(status=502),
    "the answer is lost, the vendor's list shows the job late": lost(lag=1, answer_status_after_effect=502),
    "the vendor refuses the request": refused,
    "the vendor cannot be reached": unreachable,
    "the retry finds that the job failed": then(
        lambda scene, job: scene.simulator.move(job["job_id"], fail="no voice")
    ),
    "the retry finds the job deleted": then(deleted_by_hand),
    "the request changed between two tries": changed,
    "the task is cleared while its job runs": cleared,
    "a person fails the waiting task": killed,
    "the time for the render is over": lambda scene: scene.one_try(wait_for_completion=True, timeout=0.5),
}


def test_the_table_and_the_tests_name_the_same_rows():
    assert list(table()) == list(HAPPENINGS)


@pytest.mark.parametrize("vendor", COLUMNS)
@pytest.mark.parametrize("what", HAPPENINGS)
def test_the_cell(what, vendor, simulator, video_connections, monkeypatch):
    scene = Scene(vendor, simulator, monkeypatch)
    HAPPENINGS[what](scene)
    assert scene.cell() == table()[what][vendor]
    deleted = simulator.counts(vendor)["finished_deletes"]
    assert deleted == (1 if what == "the retry finds the job deleted" else 0)


@pytest.mark.parametrize("vendor", ["hourone", "xvid"])
def test_of_two_jobs_with_one_key_the_oldest_is_adopted_and_the_other_named(
    vendor, simulator, video_connections, monkeypatch, caplog
):
    scene = Scene(vendor, simulator, monkeypatch)
    scene.one_try(strike_at="after writing intended")
    hook = get_video_hook(f"{vendor}_default")
    failed, oldest, other = (hook.submit_job(REQUESTS[vendor], key=scene.key()).job_id for _ in range(3))
    simulator.move(failed, fail="no voice")
    scene.one_try()
    assert (scene.world.xcoms["video_job"]["job_id"], scene.ending) == (oldest, "")
    assert len(scene.jobs()) == 3
    (warning,) = [record.getMessage() for record in caplog.records if "jobs match" in record.getMessage()]
    assert other in warning


OWN = {
    "colossyan": ({"callbackPayload": {"order": 7}}, {"callbackPayload": "order 7"}),
    "hourone": ({"correlation_id": "order-7"}, {"correlation_id": "o" * 99}),
    "xvid": ({"user_data": "order-7"}, {"user_data": {"order": 7}}),
}


@pytest.mark.parametrize("vendor", OWN)
def test_the_users_own_data_in_the_field_of_the_key_is_kept(vendor, simulator, video_connections, monkeypatch):
    scene = Scene(vendor, simulator, monkeypatch)
    request = {**REQUESTS[vendor], **OWN[vendor][0]}
    simulator.fault(vendor, "create", lose_answer=True)
    scene.one_try(request=request)
    (job,) = scene.jobs()
    sent = json.dumps(job["request"])
    assert scene.key() in sent
    assert "order" in sent
    assert "7" in sent
    assert scene.ending == (", a person decides" if vendor == "colossyan" else "")


@pytest.mark.parametrize("vendor", OWN)
def test_own_data_that_leaves_no_room_for_the_key_stops_before_money_is_spent(
    vendor, simulator, video_connections, monkeypatch
):
    scene = Scene(vendor, simulator, monkeypatch)
    request = {**REQUESTS[vendor], **OWN[vendor][1]}
    for _ in range(2):
        with pytest.raises(SubmissionKeyConflictError):
            scene.operator(request).execute(context_of(scene.world, scene.operator(request), 1))
    assert scene.jobs() == []
    scene.one_try()
    assert scene.cell() == "1 render"
