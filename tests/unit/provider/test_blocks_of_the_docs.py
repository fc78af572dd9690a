# SPDX-License-Identifier: Apache-2.0
"""Each block of Python on a page that is not a file of its own, run or at least parsed with all of its names."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from airflow.sdk import DAG, Asset, task

from airflow_video_providers.operators.video_job import SubmitVideoJobOperator
from airflow_video_providers.sensors.video_job import VideoJobSensor
from airflow_video_providers.transfers.object_storage_to_video import ObjectStorageToVideoOperator
from airflow_video_providers.transfers.video_to_object_storage import VideoToObjectStorageOperator

DOCS = Path(__file__).parents[3] / "docs"
PAGES = sorted(DOCS.glob("*.md"))
BLOCK = re.compile(r"^(<!-- file \S+ -->\n(?:`\S+`\n\n)?)?```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
# What a block of a page may take for given: the page says it in words, or in a block before.
NAMES = {
    "Asset": Asset,
    "DAG": DAG,
    "task": task,
    "SubmitVideoJobOperator": SubmitVideoJobOperator,
    "VideoJobSensor": VideoJobSensor,
    "VideoToObjectStorageOperator": VideoToObjectStorageOperator,
    "ObjectStorageToVideoOperator": ObjectStorageToVideoOperator,
}
# Parts of a hook or of the simulator, which mean nothing alone: what they call is checked where it is defined.
PARTS = ("self.fetch(", "Lifecycle(", "subprocess.Popen(")


def blocks():
    """Yield the blocks that are neither a file of the example vendor, which another test installs, nor a part."""
    for page in PAGES:
        for number, (file, code) in enumerate(BLOCK.findall(page.read_text())):
            if not file:
                yield pytest.param(page.name, code, id=f"{page.stem}-{number}")


@pytest.mark.parametrize(("page", "code"), blocks())
def test_the_block_runs(page, code):
    ast.parse(code)
    if any(part in code for part in PARTS):
        return
    with DAG("page"):
        submit = SubmitVideoJobOperator(task_id="submit", conn_id="acme_default", request={"title": "x"})
        names = {**NAMES, "submit": submit}
        if "wait.output" in code:
            names["wait"] = VideoJobSensor(task_id="wait", conn_id="acme_default", job_id=submit.output)
        exec(compile(code, page, "exec"), names)
