# SPDX-License-Identifier: Apache-2.0
"""What buckets demand, and what stores that speak S3's language do otherwise, in front of a real S3 server."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import pytest

from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.stores.base import ObjectAttributes, RefusedError
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.delivery.stores.s3 import bucket
from airflow_video_providers.delivery.stores.s3.bucket import Bucket
from airflow_video_providers.exceptions import DestinationError, DestinationExistsError, SourceError
from airflow_video_providers.jobs import VideoOutput
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4
from tests.support.s3 import KEY, SECRET, S3Server
from tests.support.strict_proxy import StrictProxy

pytestmark = pytest.mark.s3

BODIES = [pytest.param(mp4(1_000_000), id="small"), pytest.param(mp4(40_000_000), id="parts")]
PARTS = mp4(20_000_000)


@pytest.fixture
def proxy(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., StrictProxy]]:
    """Return a function that puts a proxy before the server and leads the connection ``s3_test`` to it."""
    proxies: list[StrictProxy] = []

    def start(**rules: Any) -> StrictProxy:
        proxies.append(StrictProxy(urlsplit(s3.endpoint_url).port or 0, **rules))
        extra = {"endpoint_url": proxies[-1].url, "region_name": "us-east-1"}
        connection = {"conn_type": "aws", "login": KEY, "password": SECRET, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_S3_TEST", json.dumps(connection))
        return proxies[-1]

    yield start
    for started in proxies:
        started.close()


def deliver(server: FaultyServer, s3: S3Server, key: str = "v.mp4", **rules: Any) -> DeliveredFile:
    """Deliver the server's video."""
    output = VideoOutput(kind="video", url=f"{server.url}/video", name="a.mp4")
    location = parse_location(f"s3://s3_test@{s3.bucket}/{key}")
    return Delivery(
        output,
        vendor="acme",
        job_id="j1",
        location=location,
        store=open_store(location),
        refresh=lambda: output,
        rules=DeliveryRules(**rules),
        journal=MemoryJournal(),
    ).deliver()


def wants_digest(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str, str] | None:
    """Refuse as a bucket with Object Lock does."""
    if method != "PUT" or "content-md5" in headers or any(name.startswith("x-amz-checksum-") for name in headers):
        return None
    return 400, "InvalidRequest", "Content-MD5 OR x-amz-checksum- HTTP header is required for this request"


def wants_signed_body(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str, str] | None:
    """Refuse as a policy on ``s3:x-amz-content-sha256`` does."""
    unsigned = method == "PUT" and headers.get("x-amz-content-sha256") == "UNSIGNED-PAYLOAD"
    return (403, "AccessDenied", "Access Denied") if unsigned else None


def names_the_digest_in_its_code(*request: Any) -> tuple[int, str, str] | None:
    """Refuse as stores do whose message says nothing."""
    return (400, "MissingContentMD5", "Bad request") if wants_digest(*request) else None


def knows_no_unsigned_payload(*request: Any) -> tuple[int, str, str] | None:
    """Refuse as stores do that take the words for a digest."""
    return (400, "XAmzContentSHA256Mismatch", "The digests differ") if wants_signed_body(*request) else None


def wants_both(*request: Any) -> tuple[int, str, str] | None:
    """Refuse for either."""
    return wants_signed_body(*request) or wants_digest(*request)


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize(
    "rule",
    [wants_digest, wants_signed_body, wants_both, names_the_digest_in_its_code, knows_no_unsigned_payload],
)
def test_a_bucket_that_demands_a_proof_of_integrity(
    rule: Callable[..., Any], body: bytes, s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    strict = proxy(refuse=rule)
    faulty_server.add("/video", Resource(body))
    assert deliver(faulty_server, s3).transferred == len(body)
    assert s3.body("v.mp4") == body
    assert 1 <= strict.refused <= 6, "only those of the first three parts that were on their way"
    assert s3.uploads() == []


def test_a_bucket_that_demands_nothing_gets_no_digest(
    s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    strict = proxy()
    faulty_server.add("/video", Resource(PARTS))
    deliver(faulty_server, s3)
    assert len(strict.bodies()) == 3
    assert all(headers["x-amz-content-sha256"] == "UNSIGNED-PAYLOAD" for headers in strict.bodies())
    assert not any("content-md5" in headers for headers in strict.bodies())


@pytest.mark.parametrize("body", BODIES)
def test_a_refusal_that_stays_is_repeated_once_only(
    body: bytes, s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    strict = proxy(refuse=lambda method, *_: (403, "AccessDenied", "no  such\nright") if method == "PUT" else None)
    faulty_server.add("/video", Resource(body))
    with pytest.raises(RefusedError, match=f"s3://{s3.bucket}/v.mp4: AccessDenied: no such right"):
        deliver(faulty_server, s3)
    sent = Counter(path for method, path, _ in strict.requests if method == "PUT")
    assert max(sent.values()) == 2
    assert s3.uploads() == s3.list_keys() == []


@pytest.mark.parametrize("body", BODIES)
def test_the_bucket_of_another_account(
    body: bytes, s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    def owner_must_have_it(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str, str] | None:
        makes = (method == "PUT" and "partNumber" not in path) or (method == "POST" and "uploads" in path)
        given = headers.get("x-amz-acl") == "bucket-owner-full-control"
        return (403, "AccessDenied", "Access Denied") if makes and not given else None

    proxy(refuse=owner_must_have_it)
    faulty_server.add("/video", Resource(body))
    with pytest.raises(DestinationError, match="AccessDenied"):
        deliver(faulty_server, s3)
    deliver(faulty_server, s3, attributes=ObjectAttributes(content_type="", acl="bucket-owner-full-control"))
    assert s3.body("v.mp4") == body


def without_condition(method: Callable[..., Any]) -> Callable[..., Any]:
    """Send a request without its condition: the server then behaves as one that does not know it."""

    def call(*arguments: Any, **named: Any) -> Any:
        named.pop("IfNoneMatch", None)
        return method(*arguments, **named)

    return call


REFUSALS = {
    "not implemented": (501, "NotImplemented", "A header is not implemented"),
    "invalid": (400, "InvalidArgument", "If-None-Match is not supported"),
}


@pytest.mark.parametrize("how", ["ignored", *REFUSALS])
@pytest.mark.parametrize("body", BODIES)
def test_a_store_without_conditional_writes(
    body: bytes,
    how: str,
    s3: S3Server,
    faulty_server: FaultyServer,
    proxy: Callable[..., StrictProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str, str] | None:
        return REFUSALS.get(how) if "if-none-match" in headers else None

    proxy(refuse=refuse)
    if how == "ignored":
        monkeypatch.setattr(Bucket, "call", without_condition(Bucket.call))
        monkeypatch.setattr(Bucket, "send", without_condition(Bucket.send))
    faulty_server.add("/video", Resource(body))
    deliver(faulty_server, s3, "new.mp4", if_exists="fail")
    assert s3.body("new.mp4") == body

    def somebody_else(_: Resource) -> None:
        s3.client.put_object(Bucket=s3.bucket, Key="v.mp4", Body=b"theirs")

    faulty_server.add("/video", Resource(body, before=somebody_else))
    with pytest.raises(DestinationExistsError):
        deliver(faulty_server, s3, if_exists="fail")
    assert s3.body("v.mp4") == b"theirs"
    assert s3.uploads() == []


CONFLICT = (409, "ConditionalRequestConflict", "A conflicting operation against this resource")


def conflicting(times: int, code: str = CONFLICT[1]) -> Callable[..., tuple[int, str, str] | None]:
    """Return a rule by which S3 is busy with another request of the object this many times."""
    left = [times]

    def refuse(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str, str] | None:
        conditional = "if-none-match" in headers
        if not (conditional if code == CONFLICT[1] else method == "POST" and path.endswith("uploads")) or not left[0]:
            return None
        left[0] -= 1
        return (CONFLICT[0], code, CONFLICT[2])

    return refuse


@pytest.mark.parametrize("body", BODIES)
def test_a_conflict_with_another_request_is_waited_for(
    body: bytes, s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    strict = proxy(refuse=conflicting(2))
    faulty_server.add("/video", Resource(body))
    assert deliver(faulty_server, s3, if_exists="fail").transferred == len(body)
    assert (s3.body("v.mp4"), s3.uploads(), strict.refused) == (body, [], 2)


def test_a_conflict_at_the_start_of_an_upload_is_waited_for(
    s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    strict = proxy(refuse=conflicting(1, "OperationAborted"))
    faulty_server.add("/video", Resource(PARTS))
    assert deliver(faulty_server, s3).transferred == len(PARTS)
    assert (s3.body("v.mp4"), s3.uploads(), strict.refused) == (PARTS, [], 1)


@pytest.mark.parametrize("body", BODIES)
def test_a_conflict_that_another_task_has_won(
    body: bytes, s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    busy = conflicting(1)

    def refuse(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str, str] | None:
        refusal = busy(method, path, headers)
        if refusal is not None:
            s3.client.put_object(Bucket=s3.bucket, Key="v.mp4", Body=b"theirs")
        return refusal

    proxy(refuse=refuse)
    faulty_server.add("/video", Resource(body))
    with pytest.raises(DestinationExistsError):
        deliver(faulty_server, s3, if_exists="fail")
    assert (s3.body("v.mp4"), s3.uploads()) == (b"theirs", [])


@pytest.mark.parametrize("body", BODIES)
def test_a_conflict_that_stays_is_an_error_in_the_end(
    body: bytes,
    s3: S3Server,
    faulty_server: FaultyServer,
    proxy: Callable[..., StrictProxy],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bucket, "_CONFLICT_WAITS", (0.0,) * 4)
    strict = proxy(refuse=conflicting(100))
    faulty_server.add("/video", Resource(body))
    with pytest.raises(DestinationError, match=r"ConditionalRequestConflict: A conflicting .* sends the file again"):
        deliver(faulty_server, s3, if_exists="fail")
    assert (s3.list_keys(), s3.uploads(), strict.refused) == ([], [], 5)


def test_a_conflict_that_has_ended_the_upload_is_named_as_such(
    s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    busy = conflicting(1)

    def refuse(method: str, path: str, headers: Mapping[str, str]) -> tuple[int, str, str] | None:
        if (refusal := busy(method, path, headers)) is not None:
            for upload in s3.uploads():
                s3.client.abort_multipart_upload(Bucket=s3.bucket, Key="v.mp4", UploadId=upload)
        return refusal

    proxy(refuse=refuse)
    faulty_server.add("/video", Resource(PARTS))
    with pytest.raises(DestinationError, match="ConditionalRequestConflict"):
        deliver(faulty_server, s3, if_exists="fail")
    assert s3.list_keys() == s3.uploads() == []
    assert deliver(faulty_server, s3, if_exists="fail").transferred == len(PARTS)


def test_a_response_that_names_no_upload(
    s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    proxy(edit=lambda method, path, body: b"<R></R>" if method == "POST" and "uploads" in path else body)
    faulty_server.add("/video", Resource(PARTS))
    with pytest.raises(DestinationError, match="names no upload"):
        deliver(faulty_server, s3)
    assert s3.list_keys() == []


def test_parts_without_an_etag(s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]) -> None:
    proxy(hide=lambda method, path: "etag" if "partNumber" in path else "")
    faulty_server.add("/video", Resource(PARTS))
    with pytest.raises(DestinationError, match="carries no ETag"):
        deliver(faulty_server, s3)
    assert s3.list_keys() == s3.uploads() == []


@pytest.mark.parametrize("body", BODIES)
def test_a_commit_without_an_etag(
    body: bytes, s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    def hide(method: str, path: str) -> str:
        return "etag" if method == "PUT" and "partNumber" not in path else ""

    def edit(method: str, path: str, answer: bytes) -> bytes:
        return b"<R></R>" if method == "POST" and "uploadId" in path else answer

    proxy(hide=hide, edit=edit)
    faulty_server.add("/video", Resource(body))
    assert deliver(faulty_server, s3).transferred == len(body)
    assert deliver(faulty_server, s3).transferred == 0
    assert s3.body("v.mp4") == body


@pytest.mark.parametrize("body", BODIES)
def test_a_web_server_that_takes_everything_is_no_store(
    body: bytes, s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    """It answers 200 to whatever it is sent, and stores nothing."""
    proxy(swallow=True)
    faulty_server.add("/video", Resource(body))
    with pytest.raises(DestinationError, match="is this the endpoint of an S3 API"):
        deliver(faulty_server, s3)


def test_a_store_that_names_no_version(
    s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    strict = proxy(hide=lambda method, path: "" if "partNumber" in path else "etag")
    s3.client.put_object(Bucket=s3.bucket, Key="v.mp4", Body=PARTS)
    store = open_store(parse_location(f"s3://s3_test@{s3.bucket}/v.mp4"))
    stream, stored = store.open("v.mp4")
    with stream:
        assert (stored.version, stream.read()) == ("", PARTS)
    assert not any("if-match" in headers for _, _, headers in strict.requests)
    # Where such a read breaks, nothing proves that it goes on in the same object.
    stream, _ = store.open("v.mp4")
    with stream:
        stream.read(1_000_000)
        stream.raw._body.close()  # type: ignore[attr-defined]  # the connection breaks
        with pytest.raises(SourceError, match="cannot prove"):
            stream.read()


def test_a_read_that_starts_again_instead_of_going_on(s3: S3Server, proxy: Callable[..., StrictProxy]) -> None:
    proxy(hide=lambda method, path: "content-range")
    s3.client.put_object(Bucket=s3.bucket, Key="v.mp4", Body=PARTS)
    stream, _ = open_store(parse_location(f"s3://s3_test@{s3.bucket}/v.mp4")).open("v.mp4")
    with stream:
        stream.read(1_000_000)
        stream.raw._body.close()  # type: ignore[attr-defined]  # the connection breaks
        with pytest.raises(SourceError, match="cannot prove"):
            stream.read()


def test_a_file_that_is_too_large_is_refused_before_it_is_read(
    s3: S3Server, faulty_server: FaultyServer, proxy: Callable[..., StrictProxy]
) -> None:
    strict, size = proxy(), 10_000 * 5 * 1024**3 + 1
    faulty_server.add("/video", Resource(PARTS, declared=size))
    with pytest.raises(RefusedError, match=rf"too large for this store: {size} bytes, at most {size - 1}"):
        deliver(faulty_server, s3, max_bytes=size)
    assert [method for method, _, _ in strict.requests] == ["GET", "HEAD"], "uploads listed, object looked for"
    assert len(faulty_server.requests) == 1
