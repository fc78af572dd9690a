# SPDX-License-Identifier: Apache-2.0
"""What docs/waiting.md shows can be run."""

from __future__ import annotations

import re
from pathlib import Path

from airflow_video_providers.submission.cancel_in_triggerer import MOST_CANCELS_IN_FLIGHT
from airflow_video_providers.waiting.in_triggerer import MOST_IN_FLIGHT
from airflow_video_providers.waiting.schedule import DEFAULT_POLL_INTERVAL, LONGEST_RETRY_AFTER, SHORTEST_INTERVAL
from airflow_video_providers.waiting.wait import DEFAULT_MAX_POLL_FAILURES

PAGE = (Path(__file__).parents[3] / "docs" / "waiting.md").read_text()


def test_the_dag_with_a_pool_is_a_dag():
    (source,) = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "DAG(" in block]
    names: dict = {}
    exec(compile(source, "waiting.md", "exec"), names)

    dag = names["dag"]
    assert dag.get_task("render").partial_kwargs["pool"] == "video_renders"


def test_the_numbers_on_the_page_are_those_of_the_code():
    assert f"`poll_interval` ({DEFAULT_POLL_INTERVAL:.0f} s;" in PAGE
    assert f"`max_poll_failures` polls ({DEFAULT_MAX_POLL_FAILURES})" in PAGE
    assert f"than {LONGEST_RETRY_AFTER / 60:.0f} minutes, nor beyond the deadline" in PAGE
    assert f"never more than {MOST_IN_FLIGHT} at a time" in PAGE
    assert f"are cancelled {MOST_CANCELS_IN_FLIGHT} at a time" in PAGE
    assert f"come close together ({SHORTEST_INTERVAL:.0f} s)" in PAGE
