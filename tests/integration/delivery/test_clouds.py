# SPDX-License-Identifier: Apache-2.0
"""Google Cloud Storage and Azure Blob Storage, on their emulators."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.delivery.stores.base import ObjectAttributes
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.exceptions import (
    ContentCheckError,
    DestinationError,
    DestinationExistsError,
    SourceError,
)
from airflow_video_providers.jobs import VideoOutput
from tests.support.cloud_emulators import CloudBucket
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4

BODY = mp4(20_000_000)
SMALL = mp4(1_000_000)


def deliver(server: FaultyServer, uri: str, if_exists: str = "skip", job_id: str = "j1") -> DeliveredFile:
    """Deliver the server's video."""
    output = VideoOutput(kind="video", url=f"{server.url}/video", name="a.mp4")
    location = parse_location(uri)
    return Delivery(
        output,
        vendor="acme",
        job_id=job_id,
        location=location,
        store=open_store(location),
        refresh=lambda: output,
        rules=DeliveryRules(
            if_exists=if_exists,
            attributes=ObjectAttributes(content_type="", metadata={"team": "training"}),
            download=DownloadSettings(client=ClientSettings(read_timeout=2), attempts=3, backoff=0),
        ),
        journal=MemoryJournal(),
    ).deliver()


@pytest.mark.parametrize("body", [BODY, SMALL], ids=["parts", "small"])
def test_cut_then_whole_then_found(body: bytes, cloud: CloudBucket, faulty_server: FaultyServer) -> None:
    faulty_server.add("/video", Resource(body, cuts=[len(body) // 2]))
    delivered = deliver(faulty_server, cloud.uri("videos/v.mp4"))
    assert cloud.read("videos/v.mp4") == body
    assert delivered.sha256 == hashlib.sha256(body).hexdigest()
    assert cloud.content_type("videos/v.mp4") == "video/mp4"
    stored = open_store(parse_location(cloud.uri("v"))).head("videos/v.mp4")
    assert stored is not None
    assert (stored.size, stored.metadata["team"], stored.metadata["videojobid"]) == (len(body), "training", "j1")
    assert deliver(faulty_server, cloud.uri("videos/v.mp4")).transferred == 0
    assert deliver(faulty_server, cloud.uri("videos/v.mp4"), if_exists="fail").transferred == 0
    with pytest.raises(DestinationExistsError):
        deliver(faulty_server, cloud.uri("videos/v.mp4"), if_exists="fail", job_id="j2")
    assert deliver(faulty_server, cloud.uri("videos/v.mp4"), if_exists="overwrite").transferred == len(body)


@pytest.mark.parametrize("body", [BODY, SMALL], ids=["parts", "small"])
def test_a_cut_that_stays_leaves_nothing(body: bytes, cloud: CloudBucket, faulty_server: FaultyServer) -> None:
    faulty_server.add("/video", Resource(body, ranges=False, framing="close", always_cut=len(body) - 1))
    with pytest.raises(ContentCheckError, match="not whole"):
        deliver(faulty_server, cloud.uri("v.mp4"))
    assert cloud.read("v.mp4") is None
    faulty_server.add("/video", Resource(body))
    deliver(faulty_server, cloud.uri("v.mp4"))
    assert cloud.read("v.mp4") == body


@pytest.mark.parametrize("body", [BODY, SMALL], ids=["parts", "small"])
def test_fail_holds_also_for_an_object_that_came_during_the_transfer(
    body: bytes, cloud: CloudBucket, faulty_server: FaultyServer
) -> None:
    if cloud.scheme == "gs" and body is BODY:
        pytest.skip("the emulator does not check the condition of a resumable upload")
    location = parse_location(cloud.uri("v.mp4"))

    def somebody_else(_: Resource) -> None:
        open_store(location).put(location.key, b"theirs", ObjectAttributes(), replace=True)

    faulty_server.add("/video", Resource(body, before=somebody_else))
    with pytest.raises(DestinationExistsError):
        deliver(faulty_server, cloud.uri("v.mp4"), if_exists="fail")
    assert cloud.read("v.mp4") == b"theirs"


def test_many_tasks_to_one_key_end_in_one_whole_object(cloud: CloudBucket, faulty_server: FaultyServer) -> None:
    faulty_server.add("/video", Resource(BODY, bytes_per_second=20_000_000))  # so that they overlap
    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(deliver, faulty_server, cloud.uri("v.mp4")) for _ in range(4)]
        delivered = [done.result() for done in running]
    assert {(item.uri, item.size, item.sha256) for item in delivered} == {
        (f"{cloud.scheme}://{cloud.bucket}/v.mp4", len(BODY), hashlib.sha256(BODY).hexdigest())
    }
    assert cloud.read("v.mp4") == BODY


def test_two_jobs_to_one_key_end_in_one_whole_object(cloud: CloudBucket, faulty_server: FaultyServer) -> None:
    faulty_server.add("/video", Resource(BODY, bytes_per_second=20_000_000))
    with ThreadPoolExecutor(4) as threads:
        running = [threads.submit(deliver, faulty_server, cloud.uri("v.mp4"), job_id=f"j{n % 2}") for n in range(4)]
    failures = [done.exception() for done in running if done.exception() is not None]
    assert len(failures) < len(running)
    for failure in failures:  # on Azure, where a commit removes what others have staged
        assert type(failure) is DestinationError
        assert "another task wrote this blob at the same time" in str(failure)
    assert cloud.read("v.mp4") == BODY
    assert deliver(faulty_server, cloud.uri("v.mp4"), job_id="j0").size == len(BODY)


def test_no_such_bucket(cloud: CloudBucket, faulty_server: FaultyServer) -> None:
    faulty_server.add("/video", Resource(BODY))
    with pytest.raises(DestinationError):
        deliver(faulty_server, f"{cloud.scheme}://{cloud.scheme}_test@no-such-bucket/v.mp4")


def test_an_object_is_read_as_a_stream(cloud: CloudBucket, faulty_server: FaultyServer) -> None:
    faulty_server.add("/video", Resource(BODY))
    deliver(faulty_server, cloud.uri("v.mp4"))
    store = open_store(parse_location(cloud.uri("v.mp4")))
    stream, stored = store.open("v.mp4")
    with stream:
        assert stored.size == len(BODY)
        assert b"".join(iter(lambda: stream.read(300_000), b"")) == BODY
    with pytest.raises(SourceError):
        store.open("none.mp4")


@pytest.mark.parametrize("what", ["changed", "deleted"])
def test_an_object_that_does_not_stay_the_same_is_never_read_as_a_mixture(what: str, cloud: CloudBucket) -> None:
    if cloud.scheme == "gs" and what == "changed":
        pytest.skip("the emulator does not check the condition of a read: see test_gcs_read.py")
    store, body = open_store(parse_location(cloud.uri("v.mp4"))), mp4(80_000_000)
    store.put("v.mp4", body, ObjectAttributes(), replace=True)
    stream, _ = store.open("v.mp4")
    with stream:
        begun = stream.read(1_000_000)
        if what == "changed":
            store.put("v.mp4", mp4(80_000_000, seed=2), ObjectAttributes(), replace=True)
        else:
            cloud.delete("v.mp4")
        with pytest.raises(SourceError, match=f"{cloud.scheme}://{cloud.bucket}/v.mp4 was changed or deleted while"):
            stream.read()
    assert begun == body[:1_000_000]
