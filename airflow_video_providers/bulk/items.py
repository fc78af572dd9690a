# SPDX-License-Identifier: Apache-2.0
"""
The items of a bulk task: read and checked wholly before anything is submitted.

An item is ``{"id": <optional text>, "request": {<the vendor's body>}}`` or a bare body, as a mapping, as a line of JSON
Lines or, through a template, as a row of CSV. Its id is its own, or its number and its fingerprint.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.stores.reading import read_lines
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.submission.record import fingerprint_of
from airflow_video_providers.text.redaction import is_clean

MOST_ITEMS = 1_000_000
_LONGEST_ID = 200
_MOST_BITS = 700  # of a number that is an id: some more digits than that
_ITEM_FIELDS = frozenset({"id", "request"})

Render = Callable[[Mapping[str, Any]], Any]
"""Makes a request of a row: what ``request_template`` means."""


@dataclass(frozen=True, slots=True)
class Item:
    """
    One render of a bulk task.

    :param index: its place in the list, from 0.
    :param item_id: what names it in the manifest and in ``{id}`` of a destination.
    :param request: the vendor's body.
    :param fingerprint: tells it from any other order, also from one with the same request.
    """

    index: int
    item_id: str
    request: dict[str, Any]
    fingerprint: str


def read_items(requests: Any, *, conn_id: str, render: Render | None = None) -> list[Item]:
    """
    Return the items of a list, or of a file of JSON Lines (``.jsonl``, ``.ndjson``) or CSV in a store.

    :param requests: a list of mappings, or a URI such as ``s3://my_aws@bucket/batch.jsonl``.
    :param conn_id: part of the items' fingerprints.
    :param render: makes the request of a row; needed for CSV.
    :raises VideoConfigurationError: an item is no request, an id stands twice, or there are no items. The text names
        the line.
    """
    items: list[Item] = []
    places: dict[str, str] = {}
    for place, value in _rows(requests, has_template=render is not None):
        if len(items) >= MOST_ITEMS:
            raise VideoConfigurationError(f"requests holds more than {MOST_ITEMS} items; split it into shards.")
        item = _item(value, len(items), place, conn_id, render)
        if (before := places.get(item.item_id)) is not None:
            raise VideoConfigurationError(
                f"{place} has the id {item.item_id!r}, as {before} has; give each item an id of its own. Nothing was "
                "submitted."
            )
        places[item.item_id] = place
        items.append(item)
    if not items:
        raise VideoConfigurationError("requests holds no items.")
    return items


def _item(value: Any, index: int, place: str, conn_id: str, render: Render | None) -> Item:
    given: Any = None
    request: Any = value
    if isinstance(value, Mapping) and "request" in value and set(value) <= _ITEM_FIELDS:
        given, request = value.get("id"), value["request"]
    elif isinstance(value, Mapping) and render is not None:
        given, request = value.get("id"), render(value)
    if isinstance(request, str):
        try:
            request = json.loads(request)
        except (ValueError, RecursionError) as error:
            raise VideoConfigurationError(f"{place} is no JSON: {error}. Nothing was submitted.") from None
    if not isinstance(request, Mapping) or not request:
        what = "an empty object" if isinstance(request, Mapping) else type(request).__name__
        raise VideoConfigurationError(
            f"{place} must be a request, or an object with 'request' and perhaps 'id', not {what}. Nothing was "
            "submitted."
        )
    if given is not None:
        given = _id_of(given, place)
    try:
        own = fingerprint_of(conn_id, dict(request))
    except VideoConfigurationError as error:
        raise VideoConfigurationError(f"{place}: {error} Nothing was submitted.") from None
    item_id = given if given is not None else f"{index}-{own[:12]}"
    return Item(index, item_id, dict(request), fingerprint_of(conn_id, {"item": item_id, "request": own}))


def _id_of(given: Any, place: str) -> str:
    is_number = isinstance(given, int) and not isinstance(given, bool) and given.bit_length() <= _MOST_BITS
    text = str(given) if is_number or isinstance(given, str) else ""
    if len(text) > _LONGEST_ID:
        raise VideoConfigurationError(f"{place}: the id has more than {_LONGEST_ID} characters. Nothing was submitted.")
    if not text.strip() or not is_clean(text):
        shown = repr(given) if isinstance(given, (str, float, bool)) else f"a {type(given).__name__}"
        raise VideoConfigurationError(
            f"{place}: the id must be a text of visible characters, not {shown}. Nothing was submitted."
        )
    return text


def _rows(requests: Any, *, has_template: bool) -> Iterator[tuple[str, Any]]:
    """Yield how a message names each row, and the row."""
    if isinstance(requests, str):
        yield from _file_rows(requests, has_template=has_template)
        return
    if isinstance(requests, Mapping) or not isinstance(requests, Iterable):
        raise VideoConfigurationError(
            f"requests must be a list of requests or the URI of a file of them, not {type(requests).__name__}."
        )
    for number, value in enumerate(requests):
        yield f"item {number} of requests", value


def _file_rows(uri: str, *, has_template: bool) -> Iterator[tuple[str, Any]]:
    location = parse_location(uri)
    lines = read_lines(open_store(location), location.key)
    suffix = location.key.rpartition(".")[2].lower()
    if suffix == "csv":
        if not has_template:
            raise VideoConfigurationError(
                f"{location.uri} is CSV: give request_template, which makes a request of a 'row'."
            )
        reader = csv.DictReader(lines, strict=True)
        try:
            if twice := [name for name, count in Counter(reader.fieldnames or ()).items() if count > 1]:
                raise VideoConfigurationError(
                    f"the header of {location.uri} has the column {twice[0]!r} twice. Nothing was submitted."
                )
            for row in reader:
                if None in row or None in row.values():
                    raise VideoConfigurationError(
                        f"line {reader.line_num} of {location.uri} has not as many columns as its header. Nothing was "
                        "submitted."
                    )
                yield f"line {reader.line_num} of {location.uri}", row
        except csv.Error as error:
            raise VideoConfigurationError(
                f"line {reader.line_num} of {location.uri} is no CSV: {error}. Nothing was submitted."
            ) from None
        return
    if suffix not in ("jsonl", "ndjson"):
        raise VideoConfigurationError(
            f"{location.uri}: the list of requests must be a .jsonl, .ndjson or .csv file, not .{suffix}."
        )
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        place = f"line {number} of {location.uri}"
        try:
            yield place, json.loads(line)
        except (ValueError, RecursionError) as error:
            raise VideoConfigurationError(f"{place} is no JSON: {error}. Nothing was submitted.") from None


def check_items(requests: Sequence[Any]) -> None:
    """Refuse a final list of requests that cannot work, when the DAG is parsed."""
    read_items(requests, conn_id="")
