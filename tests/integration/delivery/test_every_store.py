# SPDX-License-Identifier: Apache-2.0
"""What every store must do for small objects and lists: real S3, the emulators of the clouds, local files."""

from __future__ import annotations

import csv
import json
import threading
from typing import Any

import pytest

from airflow_video_providers.delivery.stores.base import ObjectAttributes
from airflow_video_providers.delivery.stores.reading import read_lines, read_object
from airflow_video_providers.exceptions import DestinationExistsError, SourceError
from tests.support.any_store import Place
from tests.support.media import mp4

pytestmark = pytest.mark.s3

PLAIN = ObjectAttributes(content_type="application/jsonl")
PARTS = mp4(20_000_000)


@pytest.mark.parametrize(
    "name",
    [
        "a b+c#d?e%20f&g=h;é/ñ 日本/🎬.mp4",
        "100% done/v.mp4",
        "q'\"uote,(x)[y]{z}!$@~.mp4",
        "slash//v.mp4",
        "back\\slash/v.mp4",
        ".hidden/...v",
    ],
)
def test_a_key_with_special_characters(name: str, place: Place) -> None:
    store, key = place(name)
    store.put(key, b"small", PLAIN, replace=True)
    assert read_object(store, key, limit=10) == b"small"
    writer = store.begin(key, PLAIN, replace=True)
    for number in range(3):
        part = PARTS[number * 8 * 1024**2 : (number + 1) * 8 * 1024**2]
        writer.write(number, number * 8 * 1024**2, bytearray(part), len(part))
    writer.commit()
    assert read_object(store, key, limit=len(PARTS)) == PARTS
    stored = store.head(key)
    assert stored is not None
    assert stored.size == len(PARTS)
    assert store.sweep(key, []) == []


def test_a_small_object_is_read_within_its_limit(place: Place) -> None:
    store, key = place("manifests/m.jsonl")
    with pytest.raises(SourceError):
        read_object(store, key, limit=10)
    for data in (b"", b"x", b"0123456789"):
        store.put(key, data, PLAIN, replace=True)
        assert read_object(store, key, limit=10) == data
    store.put(key, b"0123456789+" * 1000, PLAIN, replace=True)
    with pytest.raises(SourceError, match="has 11000 bytes; at most 10 are read"):
        read_object(store, key, limit=10)


def test_a_put_that_must_not_replace_anything(place: Place) -> None:
    store, key = place("m.jsonl")
    first = store.put(key, b"first", PLAIN, replace=False)
    with pytest.raises(DestinationExistsError):
        store.put(key, b"second", PLAIN, replace=False)
    assert read_object(store, key, limit=10) == b"first"
    assert (getattr(store.head(key), "version", None), getattr(store.head(key), "size", None)) == (first.version, 5)


def test_a_put_of_some_megabytes_is_seen_whole_or_not_at_all(place: Place) -> None:
    store, key = place("m.jsonl")
    versions = [bytes([letter]) * 9_000_000 for letter in b"abcd"]
    store.put(key, versions[0], PLAIN, replace=True)
    seen: set[tuple[int, bool]] = set()
    broken: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                data = read_object(store, key, limit=20_000_000)
                seen.add((len(data), data.count(data[:1]) == len(data)))
            except SourceError as error:  # never a mixture: another version came while this one was read
                broken.append(str(error))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for data in versions[1:]:
        store.put(key, data, PLAIN, replace=True)
    done.set()
    for reader in readers:
        reader.join()
    assert all("was changed" in text for text in broken), broken
    assert seen <= {(9_000_000, True)}
    assert read_object(store, key, limit=20_000_000) == versions[-1]


def test_json_lines_are_read_one_by_one(place: Place) -> None:
    store, key = place("batch.jsonl")
    rows: list[dict[str, Any]] = [{"id": f"{number}", "text": "a\u2028b\x85 影片" * 50} for number in range(20_000)]
    text = "\r\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    store.put(key, b"\xef\xbb\xbf" + text.encode(), PLAIN, replace=True)
    lines = read_lines(store, key)
    assert json.loads(next(lines)) == rows[0]
    assert [json.loads(line) for line in lines] == rows[1:]


def test_a_csv_with_line_breaks_in_its_cells(place: Place) -> None:
    store, key = place("batch.csv")
    store.put(key, b'id,text\r\n1,"Hello,\n""Ada"""\r\n2,x', PLAIN, replace=True)
    assert list(csv.DictReader(read_lines(store, key))) == [
        {"id": "1", "text": 'Hello,\n"Ada"'},
        {"id": "2", "text": "x"},
    ]


@pytest.mark.parametrize(
    ("data", "lines"), [(b"", []), (b"\xef\xbb\xbf", []), (b"\n\n", ["\n", "\n"]), (b"0123456789", ["0123456789"])]
)
def test_lines_at_the_edge(data: bytes, lines: list[str], place: Place) -> None:
    store, key = place("batch.jsonl")
    store.put(key, data, PLAIN, replace=True)
    assert list(read_lines(store, key, limit=10)) == lines


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"{}\n" + b"x" * 1_000_000, "line 2 of .*batch.jsonl is longer than 1000 bytes"),
        (b"{}\n{}\n\xff\xfe{}\n", "line 3 of .*batch.jsonl is no UTF-8"),
    ],
)
def test_lines_that_cannot_be(data: bytes, problem: str, place: Place) -> None:
    store, key = place("batch.jsonl")
    store.put(key, data, PLAIN, replace=True)
    with pytest.raises(SourceError, match=problem):
        list(read_lines(store, key, limit=1000))


def test_a_list_that_is_not_there(place: Place) -> None:
    store, key = place("none.jsonl")
    with pytest.raises(SourceError):
        next(read_lines(store, key))


def test_a_store_that_has_no_console(place: Place) -> None:
    store, key = place("v.mp4")
    assert store.console_url(key) is None, "the tests' stores are no clouds"


def test_a_reader_goes_to_any_byte(place: Place) -> None:
    store, key = place("v.mp4")
    data = bytes(number % 251 for number in range(3_000_000))
    store.put(key, data, PLAIN, replace=True)
    stream, stored = store.open(key)
    with stream:
        assert stream.seekable()
        assert stream.read(10) == data[:10]
        for start in (2_500_000, 0, 7, 1_500_000, stored.size - 3):
            assert stream.seek(start) == start
            assert stream.read(5) == data[start : start + 5]
        assert stream.seek(stored.size) == stored.size
        assert stream.read(5) == b""
