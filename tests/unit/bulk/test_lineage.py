# SPDX-License-Identifier: Apache-2.0
"""What OpenLineage learns of a bulk task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.operators.render_videos import RenderVideosOperator
from tests.unit.bulk.test_crashes import COUNT, BulkWorld, new_hook, requests_, run, task_of


def test_lineage_names_the_list_the_manifest_and_the_folder(tmp_path: Path) -> None:
    pytest.importorskip("airflow.providers.openlineage")
    batch = tmp_path / "batch.jsonl"
    batch.write_text("\n".join(map(json.dumps, requests_())), "utf-8")
    operator = RenderVideosOperator(
        task_id="render",
        conn_id="fake_default",
        requests=batch.as_uri(),
        destination=f"{tmp_path.as_uri()}/videos/{{id}}.{{ext}}",
    )
    world = BulkWorld()
    task = task_of(world, new_hook(world, KeySupport.EXACT, False), tmp_path, 1, requests=batch.as_uri())
    run(task)
    for entry in task.ledger.entries:
        entry.files = [{"uri": f"file://{tmp_path}/videos/{entry.item_id}.mp4", "size": 7}]
    operator._task = task
    lineage = operator.get_openlineage_facets_on_complete(None)
    assert [(data.namespace, data.name) for data in lineage.inputs] == [("file", str(batch))]
    assert [(data.namespace, data.name) for data in lineage.outputs] == [
        ("file", str(tmp_path / "manifest.jsonl")),
        ("file", str(tmp_path / "videos")),
    ]
    statistics = lineage.outputs[1].outputFacets["outputStatistics"]
    assert (statistics.size, statistics.fileCount) == (7 * COUNT, COUNT)
