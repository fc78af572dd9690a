# SPDX-License-Identifier: Apache-2.0
"""What a task that fails shows: the advice line by line, then one short sentence without frames of the package."""

from __future__ import annotations

import logging
import pickle
import traceback

import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout

from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiUnavailableError,
    VideoConfigurationError,
)
from airflow_video_providers.operators.errors import fail_briefly

WRONG_KEY = {"vendor": "example", "endpoint": "GET /jobs", "status": 401}


class Task:
    @fail_briefly
    def execute(self, error):
        return self.repeat(error)

    def repeat(self, error):
        try:
            raise VideoApiUnavailableError("down", vendor="example", endpoint="GET /jobs")
        except VideoApiUnavailableError as cause:
            raise error from cause


def fail(error):
    with pytest.raises(type(error)) as caught:
        Task().execute(error)
    return caught.value


def test_the_advice_is_logged_and_the_error_is_the_fact_alone(caplog):
    error = fail(VideoApiAuthenticationError("no such key", **WRONG_KEY))
    assert str(error) == "example: GET /jobs responded 401: no such key"
    assert [record.message for record in caplog.records] == [error.hint]
    fail(error)
    assert len(caplog.records) == 1  # once


def test_a_fact_that_the_log_view_would_cut_off_is_logged_in_lines(caplog):
    refused = "scenes.0.script: a script is required; scenes.1.avatar: unknown avatar; title: too long by 12 characters"
    error = fail(VideoConfigurationError(refused, advice=["Change it."]))
    *lines, advice = [record.message for record in caplog.records]
    assert " ".join(lines) == str(error) == refused
    assert max(map(len, lines)) <= 100
    assert advice == "Change it."


def test_neither_frames_nor_causes_of_the_package_are_shown(caplog):
    error = fail(VideoConfigurationError("that cannot work", advice=["Change it."]))
    shown = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    assert "repeat" not in shown
    assert "down" not in shown
    with caplog.at_level(logging.DEBUG, "airflow_video_providers.operators.errors"):
        fail(VideoConfigurationError("that cannot work"))
    assert "repeat" in caplog.text


def test_an_error_of_airflow_for_one_of_ours_is_brief_too():
    error = fail(AirflowSensorTimeout("too late"))
    assert "down" not in "".join(traceback.format_exception(type(error), error, error.__traceback__))


def test_a_bug_keeps_its_frames():
    error = fail(KeyError("a bug"))
    assert "repeat" in "".join(traceback.format_exception(type(error), error, error.__traceback__))


def test_outside_of_a_task_the_text_holds_the_advice():
    error = VideoApiAuthenticationError("no such key", **WRONG_KEY)
    assert str(error) == f"example: GET /jobs responded 401: no such key. {error.hint}"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)
