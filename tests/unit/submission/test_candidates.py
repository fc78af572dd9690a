# SPDX-License-Identifier: Apache-2.0
"""Ids in the links of a callback that names no job: a job is adopted that carries the key, and no other one."""

from __future__ import annotations

import json

import pytest

from airflow_video_providers.callbacks.inbox import doubt_name
from airflow_video_providers.exceptions import AmbiguousSubmissionError
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.submission.record import RECORD_KEY
from tests.support.submission import World
from tests.unit.submission.test_adoption import a_try, submit


@pytest.fixture
def world():
    return World()


def in_doubt(world, monkeypatch, *candidates):
    """Lose the response to a submission; then its callback comes, with these ids in its links."""
    world.lose_answer = True
    with pytest.raises(AmbiguousSubmissionError):
        submit(world, a_try(1), support=KeySupport.NONE)
    told = {"job_id": None, "candidates": candidates, "received": 1.0}
    name = doubt_name(world.stored[RECORD_KEY]["key"])
    monkeypatch.setenv(f"AIRFLOW_VAR_{name.upper()}", json.dumps(told))


def test_the_job_that_carries_the_key_is_adopted(world, monkeypatch):
    in_doubt(world, monkeypatch, "unknown", "job-1")
    assert submit(world, a_try(2), support=KeySupport.NONE).job.job_id == "job-1"
    assert len(world.jobs) == 1


@pytest.mark.parametrize("status", [400, 403, 404, 410])
def test_an_id_that_the_vendor_refuses_is_passed_over(world, monkeypatch, status):
    in_doubt(world, monkeypatch, "of-another-account", "job-1")
    respond = world.respond

    def refuse(method, path, query, body, key):
        if path.endswith("of-another-account"):
            return status, {"message": "not for you"}
        return respond(method, path, query, body, key)

    monkeypatch.setattr(world, "respond", refuse)
    assert submit(world, a_try(2), support=KeySupport.NONE).job.job_id == "job-1"


@pytest.mark.parametrize("candidates", [(), ("unknown",), ("job-2", "no id/at all"), (7, None)])
def test_nothing_is_adopted_or_bought_where_no_id_leads_to_a_job_with_the_key(world, monkeypatch, candidates):
    in_doubt(world, monkeypatch, *candidates)
    world.respond("POST", "/jobs", {}, {"request": {}, "key": "the key of another"}, None)
    for number in (2, 3):
        with pytest.raises(AmbiguousSubmissionError, match="its callback says so"):
            submit(world, a_try(number), support=KeySupport.NONE)
    assert world.stored[RECORD_KEY]["bought"] is True
    assert list(world.jobs) == ["job-1", "job-2"]
