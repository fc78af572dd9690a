# SPDX-License-Identifier: Apache-2.0
"""The list of requests is read and checked wholly before anything is submitted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.bulk.items import read_items
from airflow_video_providers.exceptions import VideoConfigurationError


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
        ("a.csv", "a,b\n1,2,3\n", "line 2 .* columns"),
    ],
)
def test_a_bad_line_names_itself(tmp_path: Path, name: str, text: str, match: str) -> None:
    (tmp_path / name).write_text(text, "utf-8")
    render = (lambda row: json.dumps({"t": row["a"]})) if name.endswith("csv") else None
    with pytest.raises(VideoConfigurationError, match=match):
        read_items((tmp_path / name).as_uri(), conn_id="c", render=render)
