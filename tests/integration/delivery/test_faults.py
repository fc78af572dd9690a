# SPDX-License-Identifier: Apache-2.0
"""
Every way in which a source can fail, on S3 and on local files.

For each row: nothing wrong is ever reported as success, nothing truncated and no unfinished upload is left after the
retry, and an older object stays whole until the new one is proven. The table of outcomes is printed at the end.
"""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.buffers import BufferPool
from airflow_video_providers.delivery.delivery import DeliveredFile, Delivery, DeliveryRules
from airflow_video_providers.delivery.destination import Location, parse_location
from airflow_video_providers.delivery.journal import MemoryJournal
from airflow_video_providers.delivery.source.patience import DownloadSettings
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.exceptions import (
    ContentCheckError,
    SourceError,
    SourceLinkExpiredError,
    VideoTransferError,
)
from airflow_video_providers.jobs import VideoOutput
from tests.support import faulty_server as faulty_server_module
from tests.support.faulty_server import FaultyServer, Resource
from tests.support.media import mp4
from tests.support.s3 import S3Server

pytestmark = pytest.mark.s3

MB = 1_000_000
BODY = mp4(20 * MB)
OTHER = mp4(20 * MB, seed=2)
OLD = b"the older object"
YESTERDAY, TODAY = "Fri, 20 Nov 2026 08:00:00 GMT", "Sat, 21 Nov 2026 08:00:00 GMT"
SETTINGS = DownloadSettings(client=ClientSettings(connect_timeout=5, read_timeout=3), attempts=3, backoff=0)
RANGES = DownloadSettings(client=SETTINGS.client, attempts=3, backoff=0, streams=4, parallel_from=10 * MB)
OUTCOMES: dict[str, dict[str, str]] = {}


@dataclass
class Row:
    """One fault: how the source is served, what comes of it, and how many links were minted again."""

    name: str
    resource: Callable[[], Resource]
    error: type[VideoTransferError] | None = None
    text: str = ""
    refreshes: int | None = 0
    settings: DownloadSettings = field(default=SETTINGS)
    output: dict[str, object] = field(default_factory=dict)


def _becomes_other(resource: Resource) -> None:
    """Serve another version from the second request on."""
    if resource.hits > 1:
        resource.body, resource.etag = OTHER, '"v2"'


def _becomes_other_silently(resource: Resource) -> None:
    """Serve another version of the same length, with the same headers or none that tell, from the second request on."""
    if resource.hits > 1:
        resource.body = OTHER


def _becomes_other_weakly(resource: Resource) -> None:
    if resource.hits > 1:
        resource.body, resource.etag = OTHER, 'W/"v2"'


def _becomes_other_later(resource: Resource) -> None:
    if resource.hits > 1:
        resource.body, resource.modified = OTHER, TODAY


def _loses_its_etag(resource: Resource) -> None:
    if resource.hits > 1:
        resource.body, resource.etag = OTHER, None


def _becomes_a_page(resource: Resource) -> None:
    """Serve an error page with 200 from the second request on."""
    if resource.hits > 1:
        resource.body, resource.etag, resource.content_type = b"<html>Expired</html>", None, "text/html"


def _new_etag_only(resource: Resource) -> None:
    resource.etag = f'"v{resource.hits}"'


def _ranges_once(resource: Resource) -> None:
    resource.ranges = resource.hits == 1


def _becomes_shorter(resource: Resource) -> None:
    if resource.hits > 1:
        resource.body, resource.ranges = mp4(19 * MB), False


def _once_each() -> dict[str, int]:
    return {str(token): 1 for token in range(100)}


def _first(status: int, times: int) -> Callable[[], Resource]:
    return lambda: Resource(BODY, statuses=[(status, {})] * times)


def _page(text: bytes, media_type: str) -> Callable[[], Resource]:
    return lambda: Resource(text, content_type=media_type)


ROWS = [
    Row("healthy", lambda: Resource(BODY)),
    Row("healthy, 4 ranges", lambda: Resource(BODY), settings=RANGES),
    Row("one cut, then healthy", lambda: Resource(BODY, cuts=[3 * MB])),
    Row("every response cut at 3 MB", lambda: Resource(BODY, always_cut=3 * MB)),
    Row("every response cut at 3 MB, 4 ranges", lambda: Resource(BODY, always_cut=3 * MB), settings=RANGES),
    Row("every response cut at 900 kB", lambda: Resource(BODY, always_cut=900_000)),
    Row("every response reset at 900 kB", lambda: Resource(BODY, always_cut=900_000, cut_how="reset")),
    Row("every chunked response cut at 900 kB", lambda: Resource(BODY, always_cut=900_000, framing="chunked")),
    Row("every response cut at 900 kB, 4 ranges", lambda: Resource(BODY, always_cut=900_000), settings=RANGES),
    Row("cut before any byte, always", lambda: Resource(BODY, always_cut=0), SourceError, "tries without progress"),
    Row("cut of a chunked body", lambda: Resource(BODY, framing="chunked", cuts=[9 * MB])),
    Row("no length, whole", lambda: Resource(BODY, framing="close", ranges=False)),
    Row("no length, truncated", lambda: Resource(BODY, framing="close", ranges=False, always_cut=11 * MB),
        ContentCheckError, "not whole"),
    Row("no length, truncated, size known to the vendor",
        lambda: Resource(BODY, framing="close", ranges=False, cuts=[11 * MB]), output={"size": len(BODY)}),
    Row("link expired at the start", lambda: Resource(BODY, statuses=[(403, {})]), refreshes=1),
    Row("link expires in the middle", lambda: Resource(BODY, token_uses={"0": 1, "1": 1}, cuts=[5 * MB]), refreshes=1),
    Row("link expires in the middle, 4 ranges", lambda: Resource(BODY, token_uses={"0": 2, "1": 99}),
        settings=RANGES, refreshes=1),
    Row("every link works once, one cut", lambda: Resource(BODY, token_uses=_once_each(), cuts=[3 * MB]), refreshes=1),
    Row("every link works once, 8 ranges", lambda: Resource(BODY, token_uses=_once_each(), always_cut=2 * MB),
        settings=replace(RANGES, streams=8), refreshes=None),
    Row("link stays dead", lambda: Resource(BODY, token_uses={}), SourceError, "nothing says that they have", 3),
    Row("link dies in the middle and stays dead", lambda: Resource(BODY, token_uses={"0": 1}, cuts=[5 * MB]),
        SourceLinkExpiredError, "has expired", None),
    *(Row(f"{status} three times, then healthy", _first(status, 3), refreshes=3)
      for status in (403, 404)),
    *(Row(f"{status} twice, then healthy", _first(status, 2))
      for status in (202, 204, 409, 423, 425, 429)),
    Row("404 always", lambda: Resource(BODY, statuses=[(404, {})] * 9), SourceError, "does not have the file", 3),
    Row("409 always", lambda: Resource(BODY, statuses=[(409, {})] * 9), SourceError, "not there yet"),
    Row("at most 3 MB in one response", lambda: Resource(BODY, most=3 * MB)),
    Row("at most 3 MB in one response, 4 ranges", lambda: Resource(BODY, most=3 * MB), settings=RANGES),
    Row("at most 3 MB in one response, size not known",
        lambda: Resource(BODY, most=3 * MB, headers={"Content-Range": "bytes {first}-{last}/*"})),
    Row("at most 3 MB in one response, size not known, 416 without it", lambda: Resource(
        BODY, most=3 * MB, headers={"Content-Range": "bytes {first}-{last}/*"}, past_the_end=None)),
    Row("at most 3 MB in one response, no version", lambda: Resource(BODY, most=3 * MB, etag=None), SourceError,
        "names no version"),
    Row("one connection at once, 4 ranges", lambda: Resource(BODY, connections=1, bytes_per_second=20 * MB),
        settings=replace(RANGES, attempts=8, backoff=0.05)),  # a host sees a closed connection some time later
    Row("headers in other spellings", lambda: Resource(
        BODY, cuts=[9 * MB], headers={"Content-Range": "Bytes  {first} - {last} / {total}",
                                      "Content-Encoding": "aws-chunked"})),
    Row("410, then a fresh link", lambda: Resource(BODY, statuses=[(410, {})]), refreshes=1),
    Row("503 with Retry-After, then healthy", lambda: Resource(BODY, statuses=[(503, {"Retry_After": "0"})])),
    Row("400", lambda: Resource(BODY, statuses=[(400, {})] * 9), SourceError, "responds with 400"),
    Row("HTML page with 200", _page(b"<!DOCTYPE html><title>Sorry</title>", "text/html"), ContentCheckError, "HTML"),
    Row("JSON with 200", _page(b'{"error": "expired"}', "video/mp4"), ContentCheckError, "JSON"),
    Row("XML with 200", _page(b'<?xml version="1.0"?><Error/>', "video/mp4"), ContentCheckError, "XML"),
    Row("empty file", lambda: Resource(b""), ContentCheckError, "0 bytes"),
    Row("no Range support, one cut", lambda: Resource(BODY, ranges=False, cuts=[9 * MB])),
    Row("no Range support, every response cut", lambda: Resource(BODY, ranges=False, always_cut=9 * MB),
        SourceError, "tries without progress"),
    Row("ETag changes with the file", lambda: Resource(BODY, cuts=[9 * MB], before=_becomes_other),
        SourceError, "begins differently"),
    Row("ETag changes with the file, 4 ranges", lambda: Resource(BODY, before=_becomes_other),
        SourceError, "begins differently", settings=RANGES),
    Row("ETag changes, same bytes", lambda: Resource(BODY, cuts=[9 * MB], before=_new_etag_only)),
    Row("ETag changes, same bytes, 4 ranges", lambda: Resource(BODY, before=_new_etag_only), settings=RANGES),
    Row("ETag changes, same bytes, If-Range not heeded",
        lambda: Resource(BODY, cuts=[9 * MB], before=_new_etag_only, if_range=False)),
    Row("ETag changes with the file, If-Range not heeded",
        lambda: Resource(BODY, cuts=[9 * MB], before=_becomes_other, if_range=False),
        SourceError, "begins differently"),
    Row("ETag changes, same bytes, at most 3 MB in one response, If-Range not heeded",
        lambda: Resource(BODY, most=3 * MB, before=_new_etag_only, if_range=False),
        SourceError, "same version of the file .* tries without progress"),
    Row("ETag gone, same bytes, at most 9 MB in one response, If-Range not heeded",
        lambda: Resource(BODY, most=9 * MB, if_range=False,
                         before=lambda it: setattr(it, "etag", '"v1"' if it.hits == 1 else None)),
        SourceError, "that stays"),
    Row("206 first, then 200", lambda: Resource(BODY, cuts=[9 * MB], before=_ranges_once)),
    Row("206 first, then 200, 4 ranges", lambda: Resource(BODY, before=_ranges_once), settings=RANGES),
    Row("206 first, then 200 and another size, 4 ranges", lambda: Resource(BODY, before=_becomes_shorter),
        SourceError, "bytes before", settings=RANGES),
    Row("link becomes an HTML page in the middle",
        lambda: Resource(BODY, ranges=False, cuts=[9 * MB], before=_becomes_a_page), SourceError, "changed while"),
    Row("no ETag, one cut", lambda: Resource(BODY, etag=None, cuts=[9 * MB])),
    Row("no ETag, the file changes", lambda: Resource(BODY, etag=None, cuts=[9 * MB], before=_becomes_other_silently),
        SourceError, "begins differently"),
    Row("no ETag, the file changes, 4 ranges wanted",
        lambda: Resource(BODY, etag=None, cuts=[9 * MB], before=_becomes_other_silently),
        SourceError, "begins differently", settings=RANGES),
    Row("the ETag is gone and the file changed",
        lambda: Resource(BODY, cuts=[9 * MB], before=_loses_its_etag), SourceError, "begins differently"),
    Row("weak ETag, one cut", lambda: Resource(BODY, etag='W/"v1"', cuts=[9 * MB])),
    Row("weak ETag changes with the file",
        lambda: Resource(BODY, etag='W/"v1"', cuts=[9 * MB], before=_becomes_other_weakly),
        SourceError, "changed while"),
    Row("weak ETag, the file changes under it, 4 ranges wanted",
        lambda: Resource(BODY, etag='W/"v1"', cuts=[9 * MB], before=_becomes_other_silently),
        SourceError, "begins differently", settings=RANGES),
    Row("only Last-Modified, 4 ranges", lambda: Resource(BODY, etag=None, modified=YESTERDAY), settings=RANGES),
    Row("only Last-Modified, changes with the file, 4 ranges",
        lambda: Resource(BODY, etag=None, modified=YESTERDAY, before=_becomes_other_later),
        SourceError, "begins differently", settings=RANGES),
    Row("gzip", lambda: Resource(BODY, packed=True)),
    Row("gzip, one cut", lambda: Resource(BODY, packed=True, cuts=[9 * MB])),
    Row("gzip first, then plain",
        lambda: Resource(BODY, cuts=[2 * MB], before=lambda it: setattr(it, "packed", it.hits == 1))),
    Row("plain first, then gzip",
        lambda: Resource(BODY, cuts=[9 * MB], before=lambda it: setattr(it, "packed", it.hits > 1))),
    Row("declared length too long", lambda: Resource(BODY, declared=len(BODY) + 5000), SourceError, "shrank"),
    Row("declared length too short", lambda: Resource(BODY, declared=len(BODY) - 5000, ranges=False),
        ContentCheckError, "not whole"),
    Row("length is not the vendor's", lambda: Resource(BODY), ContentCheckError, "the vendor says",
        output={"size": len(BODY) + 1}),
    Row("MD5 is not the vendor's", lambda: Resource(BODY), ContentCheckError, "MD5", output={"md5": "0" * 32}),
    Row("stalled socket, then healthy", lambda: Resource(BODY, cuts=[9 * MB], cut_how="stall")),
    Row("reset in the middle", lambda: Resource(BODY, cuts=[9 * MB], cut_how="reset")),
    Row("416 always", lambda: Resource(BODY, statuses=[(416, {})] * 9), ContentCheckError, "0 bytes"),
    Row("416 to a Range", lambda: Resource(BODY, statuses=[(416, {})])),
    *(Row(f"416 {said} to a range from the middle{and_}",
          lambda headers=headers, more=more: Resource(BODY, cuts=[9 * MB], later_ranges=(416, headers), **more),
          settings=settings)
      for said, headers in (("without a size", {}), ("with an unknown size", {"Content_Range": "bytes */*"}),
                            ("with the size of the file", {"Content_Range": f"bytes */{len(BODY)}"}))
      for and_, more, settings in (("", {}, SETTINGS), (", 4 ranges", {}, RANGES),
                                   (", no length", {"ranges": False, "framing": "chunked"}, SETTINGS))),
    Row("206 with another range than was asked for", lambda: Resource(
        BODY, cuts=[9 * MB], headers={"Content-Range": "bytes 0-{last}/{total}"})),
    Row("206 that does not say which bytes", lambda: Resource(BODY, headers={"Content-Range": "all of them"})),
    Row("206 that does not say which bytes, one cut",
        lambda: Resource(BODY, cuts=[9 * MB], headers={"Content-Range": "all of them"})),
    Row("redirect to file:", lambda: Resource(BODY, redirect="file:///etc/passwd"), SourceError, "not followed"),
    Row("redirect to ftp:", lambda: Resource(BODY, redirect="ftp://127.0.0.1/x"), SourceError, "not followed"),
    Row("redirect for ever", lambda: Resource(BODY, redirect="/video"), SourceError, "redirects more than"),
]  # fmt: skip


class Place:
    """A destination, and what can be seen there."""

    def __init__(self, location: Location, uploads: Callable[[], list[str]], read: Callable[[], bytes | None]) -> None:
        self.location, self.uploads, self.read = location, uploads, read
        self.store = open_store(location)
        self.journal = MemoryJournal()


@pytest.fixture(params=["s3", "file"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Give a destination that holds an older object of somebody else."""
    if request.param == "file":
        path = tmp_path / "videos" / "job.mp4"
        path.parent.mkdir()
        path.write_bytes(OLD)
        return Place(
            parse_location(f"file://{path}"),
            lambda: [item.name for item in path.parent.iterdir() if item != path],
            lambda: path.read_bytes() if path.exists() else None,
        )
    s3: S3Server = request.getfixturevalue("s3")
    for name, value in s3.connection_env().items():
        monkeypatch.setenv(name, value)
    s3.client.put_object(Bucket=s3.bucket, Key="videos/job.mp4", Body=OLD)
    return Place(
        parse_location(f"s3://s3_test@{s3.bucket}/videos/job.mp4"), s3.uploads, lambda: s3.body("videos/job.mp4")
    )


def deliver(
    server: FaultyServer, place: Place, settings: DownloadSettings = SETTINGS, **output: object
) -> tuple[DeliveredFile, int]:
    """Deliver the server's video; return it and how many links were minted again."""
    minted = 0

    def link(number: int) -> VideoOutput:
        return VideoOutput.model_validate(
            {"kind": "video", "url": f"{server.url}/video?token={number}", "name": "a.mp4", **output}
        )

    def refresh() -> VideoOutput:
        nonlocal minted
        minted += 1
        return link(minted)

    delivery = Delivery(
        link(0),
        vendor="acme",
        job_id="j1",
        location=place.location,
        store=place.store,
        refresh=refresh,
        rules=DeliveryRules(download=settings),
        journal=place.journal,
        pool=(pool := BufferPool(40 * 1024 * 1024)),
    )
    try:
        return delivery.deliver(), minted
    except VideoTransferError as error:
        error.minted = minted  # type: ignore[attr-defined]
        raise
    finally:
        for _ in range(100):  # a part that was on its way when the delivery failed gives its memory back a moment later
            if pool.lent == 0:
                break
            time.sleep(0.05)
        assert pool.lent == 0, "memory was not given back"


@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
def test_every_fault_ends_in_the_whole_file_or_nothing(row: Row, place: Place, faulty_server: FaultyServer) -> None:
    faulty_server.add("/video", row.resource())
    if row.error is None:
        delivered, minted = deliver(faulty_server, place, row.settings, **row.output)
        assert place.read() == BODY
        assert delivered.sha256 == hashlib.sha256(BODY).hexdigest()
        assert delivered.size == delivered.transferred == len(BODY)
        outcome = "delivered"
    else:
        with pytest.raises(row.error, match=row.text) as failure:
            deliver(faulty_server, place, row.settings, **row.output)
        minted = failure.value.minted  # type: ignore[attr-defined]
        assert "token=" not in str(failure.value)
        assert place.read() == OLD
        outcome = f"{type(failure.value).__name__}; nothing left, older object whole"
        assert place.uploads() == []
        # The retry, once the source is well again.
        faulty_server.add("/video", Resource(BODY))
        delivered, _ = deliver(faulty_server, place)
        assert place.read() == BODY
        outcome += "; retry delivers"
    assert row.refreshes is None or minted == row.refreshes
    assert place.uploads() == []
    # Once more: it is there, and nothing is asked of the source.
    before = len(faulty_server.requests)
    again, _ = deliver(faulty_server, place, row.settings, **({} if row.error else row.output))
    assert (again.transferred, again.sha256, again.size) == (0, delivered.sha256, len(BODY))
    assert len(faulty_server.requests) == before
    OUTCOMES.setdefault(row.name, {})[place.location.scheme] = outcome


def test_a_plain_link_of_a_vendor_that_is_reached_by_https(place: Place, faulty_server: FaultyServer) -> None:
    faulty_server.add("/video", Resource(BODY))
    with pytest.raises(SourceError, match="plain http"):
        deliver(faulty_server, place, replace(SETTINGS, plain_http=False))
    assert faulty_server.requests == []


def test_a_gzip_body_of_several_members(
    place: Place, faulty_server: FaultyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = gzip.compress(BODY[: 9 * MB], 1) + gzip.compress(BODY[9 * MB :], 1)
    monkeypatch.setattr(faulty_server_module, "_packed", lambda body: members)
    faulty_server.add("/video", Resource(BODY, packed=True))
    assert deliver(faulty_server, place)[0].size == len(BODY)
    assert place.read() == BODY
    monkeypatch.setattr(faulty_server_module, "_packed", lambda body: members + b"no gzip")
    faulty_server.add("/video", Resource(BODY, packed=True))
    place.journal.clear()
    with pytest.raises(SourceError):
        deliver(faulty_server, place, md5=hashlib.md5(BODY).hexdigest())


def test_no_credentials_follow_a_redirect(place: Place, faulty_server: FaultyServer) -> None:
    other = FaultyServer()
    try:
        faulty_server.add("/video", Resource(b"", redirect=other.add("/elsewhere", Resource(BODY))))
        deliver(faulty_server, place)
        assert place.read() == BODY
        sent = [headers for server in (faulty_server, other) for _, headers in server.requests]
        assert len(sent) == 2
        assert all("Authorization" not in headers and "Cookie" not in headers for headers in sent)
    finally:
        other.close()
    OUTCOMES.setdefault("redirect to another host", {})[place.location.scheme] = "delivered; no credentials sent"


@pytest.fixture(scope="module", autouse=True)
def outcome_table() -> Iterator[None]:
    """Print what came of each fault."""
    yield
    print("\n\n| fault | S3 | local file |\n|---|---|---|")
    for name, outcome in OUTCOMES.items():
        print(f"| {name} | {outcome.get('s3', '-')} | {outcome.get('file', '-')} |")
