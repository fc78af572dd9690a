# SPDX-License-Identifier: Apache-2.0
"""Every cell of the table in ``docs/submission.md``, tried with the real hooks on the simulator."""

from __future__ import annotations

import json
import os
import re
import time
from pathlib import Path

import pytest
from airflow.sdk import Variable

from airflow_video_providers.callbacks.inbox import DOUBT_PREFIX
from airflow_video_providers.exceptions import (
    AmbiguousSubmissionError,
    VideoApiError,
    VideoConfigurationError,
    VideoProviderError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook, get_video_hook
from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.retry_policy import is_hopeless
from airflow_video_providers.submission.record import RECORD_KEY
from tests.support.simulator import VENDORS
from tests.support.submission import Crash, Steps, World, context_of
from tests.support.vendors import HOOKS

PAGE = Path(__file__).parents[3] / "docs" / "submission.md"


def way_of(hook):
    """Return how a lost response of a vendor is resolved, in the words of the table's columns."""
    if hook.replay_seconds is not None:
        return "replays the key"
    return {
        KeySupport.EXACT: "is searched surely",
        KeySupport.BEST_EFFORT: "is searched for a likely match",
        KeySupport.NONE: "cannot be searched",
    }[hook.key_support]


NAMES_JOB = "cannot be searched, its callback names the job"
NAMES_NO_JOB = "cannot be searched, its callback names no job"


def ways_with_callback(hook):
    """Return the columns of a vendor that nothing but its callback can resolve a lost response of; none: another."""
    if way_of(hook) != "cannot be searched" or not hook.takes_callback:
        return []
    names_job = hook.callback_job_id is not VideoHook.callback_job_id
    return [NAMES_JOB] if names_job else [NAMES_JOB, NAMES_NO_JOB]  # its links may hold an id, or none


WITH_CALLBACK = [(vendor, way) for vendor, hook in HOOKS.items() for way in ways_with_callback(hook)]


def table():
    """Return the cells of the page: what happens -> way of the vendor -> what is paid."""
    text = PAGE.read_text().split("## The table")[1].split("##")[0]
    rows = [re.split(r"\s*\|\s*", line.strip("| \n")) for line in text.splitlines() if line.startswith("|")]
    ways = rows[0][1:]
    return {row[0]: dict(zip(ways, row[1:], strict=True)) for row in rows[2:]}


class Scene:
    """One task on one vendor: its world, its tries, and what the vendor sold."""

    def __init__(self, vendor, simulator, monkeypatch, callback=None):
        self.callback = callback  # the column of the table
        self.doubts = Doubts(monkeypatch) if callback else None
        self.vendor, self.simulator, self.monkeypatch = vendor, simulator, monkeypatch
        self.world = World()
        self.number, self.max_tries = 0, 5
        self.ending = ""
        self.failed_for_good = False
        self.is_unfit = False  # the request cannot ask for a callback
        self.hook = HOOKS[vendor]
        simulator.settings(render_seconds=600)

    def request(self, text="First"):
        return VENDORS[self.vendor].request(text)

    def operator(self, request=None, **arguments):
        return SubmitVideoJobOperator(
            task_id="t",
            conn_id=f"{self.vendor}_default",
            request=request or self.request(),
            retries=5,
            find_wait=2,
            poll_interval=0.2,
            deferrable=False,
            callback=self.callback is not None,
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
            self.ending = ", the user decides"
        except VideoApiError:
            self.ending = ", the vendor's error"
        except VideoConfigurationError:
            self.ending, self.is_unfit = "", True
        except (Crash, VideoProviderError):
            self.ending = ""
        if self.doubts is not None:
            self.doubts.call_back(self)

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

    def expected(self, what):
        """Return what the page says, of a vendor that may know no way to cancel."""
        if self.failed_for_good:
            return "1 render"  # the vendor names no failure that may pass
        if self.is_unfit:
            return "0 renders"
        text = table()[what][self.callback or way_of(self.hook)]
        return text if self.hook.can_cancel else re.sub(r", (the first )?cancelled$", "", text)


class Doubts:
    """
    The Variables by which a task waits for a callback, and what the API server makes of them.

    Their way through a real API server and database is tried in ``tests/integration/callbacks``.
    """

    def __init__(self, monkeypatch):
        self.open = {}
        read = Variable.get
        monkeypatch.setattr(Variable, "set", lambda key, value, **_: self.open.update({key: value}))
        monkeypatch.setattr(Variable, "delete", lambda key: self.open.pop(key))
        monkeypatch.setattr(Variable, "get", lambda key, **more: self.open.get(key) or read(key, **more))

    def call_back(self, scene):
        """Answer each doubt about a job that was made, as the vendor does by its callback."""
        for job in scene.jobs():
            for name, doubt in self.open.items():
                if name.removeprefix(DOUBT_PREFIX) in json.dumps(job):
                    self.open[name] = json.dumps({**json.loads(doubt), **self.told(scene, job["job_id"])})

    @staticmethod
    def told(scene, job_id):
        """Return what the API server writes of a callback: a job, ids of its links, or no more than that it came."""
        if scene.callback == NAMES_JOB and scene.hook.callback_job_id is not VideoHook.callback_job_id:
            return {"job_id": job_id, "received": 1.0}
        unknown = "00000000-0000-4000-8000-000000000000"
        return {"job_id": None, "received": 1.0, "candidates": [unknown, *([job_id] * (scene.callback == NAMES_JOB))]}


def dies(at):
    def happen(scene):
        scene.one_try(strike_at=at)
        scene.one_try()

    return happen


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


def suspended_in_the_pause_after_a_refusal(scene):
    """The worker wakes up after the next try has submitted; Airflow has replaced it meanwhile."""
    scene.simulator.fault(scene.vendor, "create", status=429)
    sleep = time.sleep

    def suspended(seconds):
        if scene.world.stored.get(RECORD_KEY, {}).get("state") != "refused":
            return sleep(seconds)  # the pause that keeps the vendor's rate
        scene.monkeypatch.setattr("time.sleep", sleep)
        scene.one_try()
        scene.world.superseded = True
        return None

    scene.monkeypatch.setattr("time.sleep", suspended)
    scene.one_try()
    assert scene.number == 2, "the next try has run in the pause"
    scene.world.superseded = False


def dies_in_the_pause_after_a_refusal(scene):
    scene.simulator.fault(scene.vendor, "create", status=429)
    scene.one_try(strike_at="after writing refused")
    scene.one_try()


def unreadable(scene):
    def prepare(hook, operator):
        submit = hook.submit_job

        def breaking(*args, **kwargs):
            hook.submit_job = submit
            submit(*args, **kwargs)
            raise RecursionError("maximum recursion depth exceeded")

        hook.submit_job = breaking

    scene.one_try(prepare=prepare)
    if scene.ending:
        scene.one_try()


def away(scene):
    """The API server restarts while the vendor answers."""
    wait = time.sleep

    def prepare(hook, operator):
        submit = hook.submit_job

        def slow(*args, **kwargs):
            job = submit(*args, **kwargs)
            scene.world.store_is_away = 3
            scene.monkeypatch.setattr("time.sleep", lambda seconds: None)
            return job

        hook.submit_job = slow

    scene.one_try(prepare=prepare)
    scene.monkeypatch.setattr("time.sleep", wait)
    scene.one_try()


def refused(scene):
    for _ in range(2):
        scene.one_try(request=VENDORS[scene.vendor].refused)


def unreachable(scene):
    fields = json.loads(os.environ[f"AIRFLOW_CONN_{scene.vendor.upper()}_DEFAULT"])
    fields |= {"host": "http://127.0.0.1:1/v1", "extra": {**fields.get("extra", {}), "retry_deadline": 0.1}}
    scene.monkeypatch.setenv(f"AIRFLOW_CONN_{scene.vendor.upper()}_DEFAULT", json.dumps(fields))
    scene.one_try()
    scene.one_try()


def decides(decision):
    """The response is lost, the job was made or not, and the user decides where nobody else can."""

    def happen(scene):
        if decision == "the job":
            scene.simulator.fault(scene.vendor, "create", lose_answer=True)
        else:
            scene.simulator.fault(scene.vendor, "create", status=502)
        scene.one_try()
        if scene.ending == ", the user decides":
            decided = scene.jobs()[0]["job_id"] if decision == "the job" else "none"
            value = json.dumps({scene.key(): decided})
            scene.monkeypatch.setenv("AIRFLOW_VAR_VIDEO_SUBMISSION_DECISIONS", value)
        if scene.ending:
            scene.max_tries = scene.number + 5  # the user clears the task
            scene.one_try()

    return happen


def then(change):
    def happen(scene):
        scene.one_try()
        (job,) = scene.jobs()
        change(scene, job)
        scene.one_try()

    return happen


def fails(scene, job):
    scene.simulator.move(job["job_id"], fail="no worker was free")
    hook = get_video_hook(f"{scene.vendor}_default")
    scene.failed_for_good = is_hopeless(hook.get_job(scene.world.stored[RECORD_KEY]["job_id"]), hook.hopeless_codes)


def deleted(scene, job):
    scene.simulator.move(job["job_id"], delete=True)


def changed(scene):
    scene.one_try()
    scene.one_try(request=scene.request("Second"))


def changed_after(step):
    def happen(scene):
        step(scene)
        scene.one_try(request=scene.request("Second"))

    return happen


def cleared_after(step):
    def happen(scene):
        step(scene)
        scene.max_tries = scene.number + 5
        scene.one_try()

    return happen


def dies_with_a_job_whose_id_is_not_kept(scene):
    scene.one_try(strike_at="before writing submitted")


def dies_without_a_job(scene):
    scene.one_try(strike_at="after writing intended")


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
    "the worker dies after the vendor accepted, before the id is kept": dies("before writing submitted"),
    "the worker dies after the id is kept, at any point": dies_later,
    "the worker dies in the pause after a refusal": dies_in_the_pause_after_a_refusal,
    "the worker is suspended in that pause, and the next try submits": suspended_in_the_pause_after_a_refusal,
    "the response is lost, the job was made": lost(lose_answer=True),
    "the response is lost, no job was made": lost(status=502),
    "the response is lost, the vendor's list shows the job late": lost(lag=1, answer_status_after_effect=502),
    "the response cannot be read": unreadable,
    "Airflow's API server is away when the vendor responds": away,
    "the response is lost, the job was made, the user names it": decides("the job"),
    "the response is lost, no job was made, the user clears": decides("none"),
    "the vendor refuses the request": refused,
    "the vendor cannot be reached": unreachable,
    "the retry finds that the job failed, for a reason that may pass": then(fails),
    "the retry finds the job deleted": then(deleted),
    "the request changed between two tries": changed,
    "the same, and the first try died before it kept the id": changed_after(dies_with_a_job_whose_id_is_not_kept),
    "the task is cleared while its job runs": cleared,
    "the same, and the worker died before it kept the id": cleared_after(dies_with_a_job_whose_id_is_not_kept),
    "the task is cleared after a crash before the request": cleared_after(dies_without_a_job),
    "a user fails the waiting task": killed,
    "the time for the render is over": lambda scene: scene.one_try(wait_for_completion=True, timeout=0.5),
}


def test_the_table_and_the_tests_name_the_same_rows_and_ways():
    assert list(table()) == list(HAPPENINGS)
    ways = {way_of(hook) for hook in HOOKS.values()} | {way for _, way in WITH_CALLBACK}
    assert ways <= set(table()["the vendor cannot be reached"])


@pytest.mark.parametrize("vendor", HOOKS)
@pytest.mark.parametrize("what", HAPPENINGS)
def test_the_cell(what, vendor, simulator, video_connections, monkeypatch):
    scene = Scene(vendor, simulator, monkeypatch)
    HAPPENINGS[what](scene)
    assert scene.cell() == scene.expected(what)
    assert simulator.counts(vendor)["finished_deletes"] == 0


@pytest.mark.parametrize(("vendor", "way"), WITH_CALLBACK)
@pytest.mark.parametrize("what", HAPPENINGS)
def test_the_cell_with_callbacks_on(what, vendor, way, simulator, video_connections, monkeypatch):
    fields = simulator.connection(vendor)
    fields["extra"] = {**fields.get("extra", {}), "callback_secret": "a secret of 24 characters"}
    fields["extra"]["callback_base_url"] = "http://127.0.0.1:1"
    monkeypatch.setenv(f"AIRFLOW_CONN_{vendor.upper()}_DEFAULT", json.dumps(fields))
    scene = Scene(vendor, simulator, monkeypatch, callback=way)
    HAPPENINGS[what](scene)
    assert scene.cell() == scene.expected(what)
    if not scene.ending:
        assert scene.doubts.open == {}  # a submission whose outcome is known leaves no entry


@pytest.mark.parametrize("vendor", [name for name, hook in HOOKS.items() if hook.key_support is KeySupport.EXACT])
def test_of_two_jobs_with_one_key_the_oldest_is_adopted_and_the_other_named(
    vendor, simulator, video_connections, monkeypatch, caplog
):
    scene = Scene(vendor, simulator, monkeypatch)
    scene.one_try(strike_at="after writing intended")
    hook = get_video_hook(f"{vendor}_default")
    failed, oldest, other = (hook.submit_job(scene.request(), key=scene.key()).job_id for _ in range(3))
    simulator.move(failed, fail="no worker was free")
    scene.one_try()
    assert (scene.world.xcoms["video_job"]["job_id"], scene.ending) == (oldest, "")
    assert len(scene.jobs()) == 3
    (warning,) = [record.getMessage() for record in caplog.records if "jobs match" in record.getMessage()]
    assert other in warning
