# SPDX-License-Identifier: Apache-2.0
"""The list of requests is read and checked wholly before anything is submitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.bulk.items import read_items
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.base import KeySupport
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.operators.render_videos import RenderVideosOperator
from tests.unit.bulk.test_crashes import BulkWorld, manifest, new_hook, paid, task_of


def test_bare_requests_and_items_get_ids_that_are_their_own() -> None:
    same = {"title": "A"}
    items = read_items([{"id": "x", "request": same}, same, same, {"id": 7, "request": same}], conn_id="c")
    assert [item.item_id for item in items][0::3] == ["x", "7"]
    assert len({item.item_id for item in items}) == 4
    assert len({item.fingerprint for item in items}) == 4, "one request twice is two orders"
    again = read_items([{"id": "x", "request": same}, same, same, {"id": 7, "request": same}], conn_id="c")
    assert [item.fingerprint for item in again] == [item.fingerprint for item in items]


def test_a_file_of_json_lines(tmp_path: Path) -> None:
    file = tmp_path / "batch.jsonl"
    file.write_text('{"id": "a", "request": {"title": "1"}}\n\n{"title": "2"}\n', "utf-8")
    items = read_items(file.as_uri(), conn_id="c")
    assert [item.request for item in items] == [{"title": "1"}, {"title": "2"}]


def test_a_file_of_csv_goes_through_the_template(tmp_path: Path) -> None:
    file = tmp_path / "batch.csv"
    file.write_text('id,name\na,"Ada, first"\nb,Bob\n', "utf-8")
    items = read_items(file.as_uri(), conn_id="c", render=lambda row: {"title": row["name"]})
    assert [(item.item_id, item.request["title"]) for item in items] == [("a", "Ada, first"), ("b", "Bob")]
    with pytest.raises(VideoConfigurationError, match="request_template"):
        read_items(file.as_uri(), conn_id="c")


@pytest.mark.parametrize(
    ("requests", "match"),
    [
        ([], "no items"),
        ({"title": "A"}, "must be a list"),
        (7, "must be a list"),
        ([{"id": "a", "request": {"t": 1}}, {"id": "a", "request": {"t": 2}}], "item 1 of requests has the id 'a', as"),
        ([{"id": "a", "request": {}}], "an empty object"),
        (["not json"], "item 0 of requests is no JSON"),
        ([["a"]], "item 0 of requests must be a request"),
        ([{"id": "  ", "request": {"t": 1}}], "the id must be a text"),
        ([{"id": True, "request": {"t": 1}}], "the id must be a text"),
        ([{"id": "x" * 201, "request": {"t": 1}}], "more than 200"),
        ([{"id": 10**205, "request": {"t": 1}}], "more than 200"),
        *(
            ([{"id": value, "request": {"t": 1}}], "the id must be a text")
            for value in (10**5000, 1.5, float("nan"), ["a"], "a\nb", "\ud800", "\u202ea", "\x00")
        ),
        (["[" * 100_000], "item 0 of requests is no JSON"),
        ([{"request": '{"a":' * 100_000}], "item 0 of requests is no JSON"),
        ([{"t": float("nan")}], "item 0 of requests: "),
        ([{"t": {1, 2}}], "plain JSON"),
    ],
)
def test_what_cannot_work_names_its_place(requests: Any, match: str) -> None:
    with pytest.raises(VideoConfigurationError, match=match):
        read_items(requests, conn_id="c")


@pytest.mark.parametrize(
    ("name", "text", "match"),
    [
        ("a.jsonl", '{"t": 1}\n{"t": 2\n', r"line 2 of .*a\.jsonl is no JSON"),
        ("a.jsonl", '{"t": 1}\n"x"\n', r"line 2 of .*a\.jsonl"),
        ("a.jsonl", "[" * 100_000, "line 1"),
        ("a.json", "[]", r"\.jsonl, \.ndjson or \.csv"),
        ("a.csv", "a,b\n1\n", "line 2 .* columns"),
        ("a.csv", "a,a\n1,2\n", "header .* column 'a' twice"),
        ("a.csv", "a,b\n1,2,3\n", "line 2 .* columns"),
    ],
)
def test_a_bad_line_names_itself(tmp_path: Path, name: str, text: str, match: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    render = (lambda row: json.dumps({"t": row["a"]})) if name.endswith("csv") else None
    with pytest.raises(VideoConfigurationError, match=match):
        read_items((tmp_path / name).as_uri(), conn_id="c", render=render)


class Typed(VendorRequest):
    """A request whose title is a text."""

    title: str


def test_an_item_of_a_wrong_type_fails_alone_before_it_is_sent(tmp_path: Path) -> None:
    world = BulkWorld()
    hook = new_hook(world, KeySupport.EXACT, False)
    hook.request_model = lambda request: Typed  # type: ignore[method-assign]
    requests = [{"title": "good"}, {"title": ["bad"]}]
    task = task_of(world, hook, tmp_path, 1, requests=requests, max_failures=1)
    assert task.run(None, may_leave=False)
    good, bad = sorted(manifest(tmp_path), key=lambda line: line["state"], reverse=True)
    assert (good["state"], bad["state"]) == ("succeeded", "failed")
    assert "request.title" in bad["error"]
    assert sum(paid(world).values()) == 1
    task.close()


def test_a_bulk_task_is_labelled_and_its_button_leads_to_the_manifest(tmp_path: Path) -> None:
    operator = RenderVideosOperator(
        task_id="t", conn_id="c", requests=[{"a": 1}, {"a": 2}], manifest=f"{tmp_path.as_uri()}/m.jsonl"
    )
    operator.__dict__["hook"] = new_hook(BulkWorld(), KeySupport.EXACT, False)
    assert operator._first_label() == ("2 videos", "fake")
    operator.requests = "s3://c@bucket/batches/today.jsonl"
    assert operator._first_label() == ("today.jsonl", "fake")
    (link,) = operator.operator_extra_links
    operator.manifest_url = "https://console.example/m"
    assert link.get_link(operator, ti_key=None) == "https://console.example/m"
