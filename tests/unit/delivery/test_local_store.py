# SPDX-License-Identifier: Apache-2.0
"""Files that appear whole, and what is known of them later."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.delivery.buffers import BufferPool
from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.stores import local as store_local
from airflow_video_providers.delivery.stores import rename
from airflow_video_providers.delivery.stores.azure.store import AzureStore
from airflow_video_providers.delivery.stores.base import (
    ObjectAttributes,
    ObjectStore,
    RefusedError,
    StoredObject,
    refused,
)
from airflow_video_providers.delivery.stores.gcs.store import GcsStore
from airflow_video_providers.delivery.stores.local import LocalStore
from airflow_video_providers.exceptions import (
    ContentCheckError,
    DestinationError,
    DestinationExistsError,
    VideoConfigurationError,
)
from airflow_video_providers.jobs import VideoOutput
from tests.support.media import WEBVTT


def deliver(
    path: Path,
    journal: MemoryJournal,
    content: str = WEBVTT,
    *,
    job_id: str = "1",
    store: LocalStore | None = None,
    **rules: object,
) -> DeliveredFile:
    """Deliver inline text."""
    output = VideoOutput(kind="subtitles", content=content, media_type="text/vtt")
    return Delivery(
        output,
        vendor="acme",
        job_id=job_id,
        location=parse_location(f"file://{path}"),
        store=store or LocalStore(),
        refresh=lambda: output,
        rules=DeliveryRules(**rules),  # type: ignore[arg-type]
        journal=journal,
        pool=BufferPool(1),
    ).deliver()


def test_inline_text_lands_once(tmp_path: Path) -> None:
    path, journal = tmp_path / "deep" / "er" / "s.vtt", MemoryJournal()
    first = deliver(path, journal)
    assert path.read_text() == WEBVTT
    assert (first.transferred, first.media_type, first.kind) == (len(WEBVTT), "text/vtt", "subtitles")
    again = deliver(path, MemoryJournal())
    assert (again.transferred, again.sha256, again.media_type) == (0, first.sha256, "text/vtt")


def test_a_file_that_was_written_to_in_place_is_ours_no_longer(tmp_path: Path) -> None:
    path = tmp_path / "s.vtt"
    deliver(path, MemoryJournal())
    with path.open("r+") as file:
        file.write("GARBAGE")
    with pytest.raises(DestinationExistsError):
        deliver(path, MemoryJournal(), if_exists="fail")
    assert deliver(path, MemoryJournal()).transferred == len(WEBVTT)
    assert path.read_text() == WEBVTT


def test_attributes_of_other_programs_need_not_be_text(tmp_path: Path) -> None:
    path = tmp_path / "s.vtt"
    deliver(path, MemoryJournal())
    try:
        os.setxattr(path, "user.DOSATTRIB", b"\x00\x05\xff\xfe\x80")
    except OSError:
        pytest.skip("this file system keeps no extended attributes")
    assert deliver(path, MemoryJournal()).transferred == 0


def test_a_name_may_be_as_long_as_the_file_system_takes(tmp_path: Path) -> None:
    path = tmp_path / ("影" * 83 + ".vtt")
    assert deliver(path, MemoryJournal()).transferred == path.stat().st_size
    assert list(tmp_path.iterdir()) == [path]


def test_inline_text_is_checked(tmp_path: Path) -> None:
    with pytest.raises(ContentCheckError, match="HTML"):
        deliver(tmp_path / "s.vtt", MemoryJournal(), content="<html>gone</html>")
    with pytest.raises(ContentCheckError, match="max_bytes"):
        deliver(tmp_path / "s.vtt", MemoryJournal(), max_bytes=5)
    assert list(tmp_path.iterdir()) == []


def test_without_extended_attributes_a_task_knows_its_own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    for name in ("setxattr", "getxattr", "listxattr"):
        monkeypatch.setattr(os, name, unsupported)
    path, journal = tmp_path / "s.vtt", MemoryJournal()
    first = deliver(path, journal)
    again = deliver(path, journal)
    assert (again.transferred, again.sha256, again.media_type) == (0, first.sha256, "text/vtt")
    assert deliver(path, MemoryJournal()).transferred > 0
    path.write_text("changed by somebody")
    assert deliver(path, journal).transferred > 0
    assert path.read_text() == WEBVTT


def test_a_cleared_task_that_stores_another_job_does_not_take_the_old_file_for_it(tmp_path: Path) -> None:
    path, journal = tmp_path / "latest.vtt", MemoryJournal()
    deliver(path, journal)
    other = WEBVTT + "\n00:09.000 --> 00:10.000\nThe other job\n"
    assert deliver(path, journal, other, job_id="2").transferred == len(other)
    assert path.read_text() == other
    with pytest.raises(DestinationExistsError):
        deliver(path, journal, if_exists="fail")


def test_what_cannot_be_swept_is_remembered(tmp_path: Path) -> None:
    class Stubborn(LocalStore):
        def sweep(self, key: str, tokens: Sequence[str]) -> list[str]:
            asked.extend(tokens)
            return [token for token in tokens if token == "stays"]

    asked: list[str] = []
    path, journal = tmp_path / "s.vtt", MemoryJournal()
    uri = f"file://{path}"
    journal[uri] = {"uploads": ["stays", "goes"]}
    for _ in range(2):  # the second try finds the file, and sweeps all the same
        deliver(path, journal, store=Stubborn())
        assert journal[uri]["uploads"] == ["stays"]
    assert asked == ["stays", "goes", "stays"]


def test_a_refused_commit_is_no_success_because_an_older_file_of_ours_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, journal = tmp_path / "s.vtt", MemoryJournal()
    deliver(path, journal)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(DestinationError, match="No space left"):
        deliver(path, journal, WEBVTT.swapcase().replace("webvtt", "WEBVTT"), if_exists="overwrite")
    assert (path.read_text(), list(tmp_path.iterdir())) == (WEBVTT, [path])


@pytest.mark.parametrize("written", [True, False])
def test_a_commit_whose_answer_is_lost(tmp_path: Path, written: bool) -> None:
    class Lossy(LocalStore):
        def put(self, key: str, data: bytes, attributes: ObjectAttributes, *, replace: bool) -> StoredObject:
            if written:
                super().put(key, data, attributes, replace=replace)
            raise DestinationError("the connection broke")

    path, journal = tmp_path / "s.vtt", MemoryJournal()
    deliver(path, journal)
    if written:
        assert deliver(path, journal, if_exists="overwrite", store=Lossy()).transferred == len(WEBVTT)
    else:
        with pytest.raises(DestinationError, match="broke"):
            deliver(path, journal, if_exists="overwrite", store=Lossy())


def test_a_folder_that_cannot_be_flushed_does_not_undo_a_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(_: object) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(store_local, "_sync_folder", unsupported)
    assert deliver(tmp_path / "s.vtt", MemoryJournal()).transferred == len(WEBVTT)


@pytest.mark.parametrize(("status", "definite"), [(400, True), (403, True), (404, False), (412, False), (500, False)])
def test_what_says_that_nothing_was_written(status: int, definite: bool) -> None:
    assert isinstance(refused("no", status), RefusedError) is definite


def test_an_abort_waits_for_a_write_and_a_later_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LocalStore().begin(str(tmp_path / "v.mp4").lstrip("/"), ObjectAttributes(), replace=True)
    inside, go = threading.Event(), threading.Event()
    closed: list[int] = []
    pwrite, close = os.pwrite, os.close

    def slow_write(*arguments: Any) -> int:
        inside.set()
        assert go.wait(10)
        assert not closed, "the descriptor was closed while it was written to"
        return pwrite(*arguments)

    def watched_close(descriptor: int) -> None:
        closed.append(descriptor)
        close(descriptor)

    monkeypatch.setattr(os, "pwrite", slow_write)
    monkeypatch.setattr(os, "close", watched_close)
    with ThreadPoolExecutor(2) as threads:
        writing = threads.submit(writer.write, 0, 0, bytearray(4), 4)
        assert inside.wait(10)
        aborting = threads.submit(writer.abort)
        time.sleep(0.1)
        go.set()
        writing.result()
        aborting.result()
    with pytest.raises(DestinationError, match="stopped"):
        writer.write(1, 4, bytearray(4), 4)
    assert (len(closed), list(tmp_path.iterdir())) == (1, [])


@pytest.mark.parametrize("name", ["storage_class", "encryption", "kms_key", "acl"])
def test_what_a_file_cannot_keep_is_refused(tmp_path: Path, name: str) -> None:
    asked = ObjectAttributes(**{name: "x"})  # type: ignore[arg-type]  # one of the texts
    with pytest.raises(VideoConfigurationError, match=f"a local file cannot keep {name}"):
        deliver(tmp_path / "s.vtt", MemoryJournal(), attributes=asked)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["encryption", "acl"])
@pytest.mark.parametrize("store", [AzureStore("c", None), GcsStore.__new__(GcsStore)])
def test_what_a_cloud_does_not_know_is_refused(store: ObjectStore, name: str) -> None:
    asked = ObjectAttributes(**{name: "AES256"})  # type: ignore[arg-type]  # one of the texts
    with pytest.raises(VideoConfigurationError, match=f"cannot keep {name}"):
        store.begin("v.mp4", asked, replace=True)
    with pytest.raises(VideoConfigurationError, match=f"cannot keep {name}"):
        store.put("v.mp4", b"", asked, replace=True)


def test_only_stale_and_own_parts_are_swept(tmp_path: Path) -> None:
    store, key = LocalStore(), str(tmp_path / "v.mp4").lstrip("/")
    own, live, stale = (store.begin(key, ObjectAttributes(), replace=True) for _ in range(3))
    (tmp_path / ".other.mp4.abc.part").write_bytes(b"")
    long_ago = time.time() - 25 * 3600
    os.utime(tmp_path / stale.token, (long_ago, long_ago))
    assert store.sweep(key, [own.token]) == []
    assert {path.name for path in tmp_path.iterdir()} == {live.token, ".other.mp4.abc.part"}
    for writer in (own, live, stale):
        writer.abort()


def test_a_file_is_not_visible_before_its_commit(tmp_path: Path) -> None:
    path = tmp_path / "v.mp4"
    path.write_bytes(b"old")
    writer = LocalStore().begin(str(path).lstrip("/"), ObjectAttributes(), replace=True)
    writer.write(1, 4, bytearray(b"5678"), 4)
    writer.write(0, 0, bytearray(b"1234xx"), 4)
    assert path.read_bytes() == b"old"
    assert writer.commit().size == 8
    assert path.read_bytes() == b"12345678"
    writer.abort()
    assert path.read_bytes() == b"12345678"


def failing_link(number: int) -> Callable[..., None]:
    """Return an ``os.link`` that fails with this error."""

    def link(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    return link


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
@pytest.mark.parametrize("renames", [True, False], ids=["renames", "no renames"])
def test_fail_replaces_nothing_whatever_the_file_system_can_do(
    links: bool, renames: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:
        monkeypatch.setattr(os, "link", failing_link(errno.EPERM))
    if not renames:
        monkeypatch.setattr(rename, "_RENAME_NOREPLACE", 1 << 20)  # a flag that the kernel does not know
    path, key = tmp_path / "s.vtt", str(tmp_path / "s.vtt").lstrip("/")
    first, second = (LocalStore().begin(key, ObjectAttributes(), replace=False) for _ in range(2))
    first.write(0, 0, bytearray(b"first"), 5)
    first.commit()
    with pytest.raises(DestinationExistsError, match="already there"):
        second.commit()
    second.abort()
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"first", [path])


def test_a_part_that_cannot_be_unlinked_does_not_undo_the_commit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    path, journal = tmp_path / "s.vtt", MemoryJournal()
    with monkeypatch.context() as patched:
        patched.setattr(os, "unlink", refuse)
        patched.setattr(Path, "unlink", refuse)
        assert deliver(path, journal, if_exists="fail").transferred == len(WEBVTT)
    assert path.read_text() == WEBVTT
    assert deliver(path, journal, if_exists="fail").transferred == 0


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EINVAL, errno.EIO, errno.ENOSPC], ids=os.strerror)
def test_a_link_that_fails_is_no_failure_where_the_kernel_renames_without_replacing(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing_link(number))
    path = tmp_path / "s.vtt"
    assert deliver(path, MemoryJournal(), if_exists="fail").transferred == len(WEBVTT)
    assert (path.read_text(), list(tmp_path.iterdir())) == (WEBVTT, [path])
    path.write_bytes(b"theirs")
    with pytest.raises(DestinationExistsError):
        deliver(path, MemoryJournal(), if_exists="fail", job_id="2")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"theirs", [path])


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL], ids=os.strerror)
def test_each_way_to_say_that_there_are_no_hard_links_leads_to_a_plain_rename(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing_link(number))
    monkeypatch.setattr(rename, "_RENAME_NOREPLACE", 1 << 20)  # a flag that the kernel does not know
    path = tmp_path / "s.vtt"
    assert deliver(path, MemoryJournal(), if_exists="fail").transferred == len(WEBVTT)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC], ids=os.strerror)
def test_other_failures_of_a_link_are_errors_where_nothing_else_is_as_safe(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing_link(number))
    monkeypatch.setattr(rename, "_RENAME_NOREPLACE", 1 << 20)
    with pytest.raises(DestinationError, match=os.strerror(number)):
        deliver(tmp_path / "s.vtt", MemoryJournal(), if_exists="fail")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.EIO, errno.EEXIST], ids=os.strerror)
def test_a_link_whose_response_was_lost_is_found(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def lose_the_response(source: Path, target: Path) -> None:
        link(source, target)
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", lose_the_response)
    path = tmp_path / "s.vtt"
    assert deliver(path, MemoryJournal(), if_exists="fail").transferred == len(WEBVTT)
    assert (path.read_text(), list(tmp_path.iterdir())) == (WEBVTT, [path])
