# SPDX-License-Identifier: Apache-2.0
"""
Files as a chain of parts, links to them that expire, and the server that answers those links.

A file of a job has a label: its kind, then, where there are several of a kind, ``-`` and what tells them apart, then,
where it is not the usual format, ``.`` and the extension: ``video``, ``video-captioned``, ``subtitles.srt``,
``image-preview.gif``. Links live on an origin of their own (a second port), as vendors' links do, and are refused with
403 when they are expired or changed, or when a request brings a header in which any vendor takes a key.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape

from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse

from airflow_video_providers.simulator import media
from airflow_video_providers.simulator.faults import EXPIRED_LINKS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from airflow_video_providers.simulator.jobs import Job
    from airflow_video_providers.simulator.world import World

CHUNK = 1 << 20
MARK_BYTES = 8 + 32
LATEST = 10**11  # the last second in which a link can expire
ZEROS = memoryview(bytes(CHUNK))
FORMATS = {
    "mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm", "jpg": "image/jpeg", "png": "image/png",
    "gif": "image/gif", "vtt": "text/vtt", "srt": "application/x-subrip", "zip": "application/zip",
    "wav": "audio/wav", "mp3": "audio/mpeg", "m4a": "audio/mp4",
}  # fmt: skip
USUAL = {"video": "mp4", "thumbnail": "jpg", "image": "png", "subtitles": "vtt", "audio": "m4a", "archive": "zip"}
NEVER = 0
"""``expires`` of a link that lives as long as its file."""


def kind_of(label: str) -> str:
    """Return the kind of a file: ``video``, ``thumbnail``, ``image``, ``subtitles``, ``audio`` or ``archive``."""
    return re.split(r"[-.~]", label, maxsplit=1)[0]


def extension_of(label: str) -> str:
    """Return the extension of a file by its label."""
    return label.rpartition(".")[2] if "." in label else USUAL.get(kind_of(label), "")


class NoSuchFileError(Exception):
    """The file was never there, or is gone with its job or with time."""


class TooSmallError(ValueError):
    """``file_bytes`` asks for a video smaller than the smallest that plays."""


@dataclass(frozen=True)
class Zeros:
    """So many zero bytes that nobody holds."""

    size: int


@dataclass(frozen=True)
class Content:
    """A file: bytes in memory, files on disk and stretches of zeros, one after the other."""

    parts: tuple[bytes | Path | Zeros, ...]
    media_type: str
    etag: str

    @property
    def size(self) -> int:
        """Return the size in bytes."""
        return sum(map(_size, self.parts))

    async def read(self, start: int, end: int) -> AsyncIterator[bytes | memoryview]:
        """Yield the bytes from ``start`` up to and without ``end``, in pieces of at most 1 MiB."""
        for part in self.parts:
            size = _size(part)
            low, high = max(start, 0), min(end, size)
            while low < high:
                step = min(high - low, CHUNK)
                yield await _piece(part, low, step)
                low += step
            start, end = start - size, end - size

    def md5(self) -> str:
        """Return the MD5 in hex; slow (seconds a GiB) the first time for a size, so call it in a thread."""
        digest = hashlib.md5(usedforsecurity=False)
        for index, part in enumerate(self.parts):
            if isinstance(part, Zeros):
                digest = _md5_of_padded(self.parts[:index], part.size).copy()
            else:
                digest.update(part if isinstance(part, bytes) else part.read_bytes())
        return digest.hexdigest()


def _size(part: bytes | Path | Zeros) -> int:
    if isinstance(part, Zeros):
        return part.size
    return len(part) if isinstance(part, bytes) else part.stat().st_size


async def _piece(part: bytes | Path | Zeros, low: int, step: int) -> bytes | memoryview:
    if isinstance(part, Zeros):
        return ZEROS[:step]
    if isinstance(part, bytes):
        return part[low : low + step]
    return await asyncio.to_thread(_read, part, low, step)


def _read(path: Path, low: int, step: int) -> bytes:
    with path.open("rb") as file:
        file.seek(low)
        return file.read(step)


@lru_cache(maxsize=32)
def _md5_of_padded(head: tuple[bytes | Path | Zeros, ...], zeros: int) -> hashlib._Hash:
    digest = hashlib.md5(usedforsecurity=False)
    for part in head:
        digest.update(part if isinstance(part, bytes) else part.read_bytes() if isinstance(part, Path) else b"")
    for start in range(0, zeros, CHUNK):
        digest.update(ZEROS[: min(CHUNK, zeros - start)])
    return digest


def padded(video: bytes, size: int, mark: str) -> tuple[bytes | Zeros, ...]:
    """Return the video made as large as asked by two ``free`` boxes: zeros, then a mark that tells files apart."""
    tail = _box(b"free", mark.encode())
    zeros = size - len(video) - 16 - len(tail)
    if zeros < 0:
        raise TooSmallError(f"file_bytes must be at least {size - zeros + MARK_BYTES}")
    # Size 1 says that the true size follows in 64 bits.
    head = (1).to_bytes(4, "big") + b"free" + (zeros + 16).to_bytes(8, "big")
    return video + head, Zeros(zeros), tail


def _box(name: bytes, body: bytes) -> bytes:
    return (len(body) + 8).to_bytes(4, "big") + name + body


class Contents:
    """The files of jobs by label, and the links to them."""

    def __init__(self, world: World, studio: media.Studio, secret: str) -> None:
        self.world, self.studio, self._secret = world, studio, secret.encode()
        self.key_headers: frozenset[str] = frozenset(("authorization",))

    # -- links ------------------------------------------------------------------------------------------------------

    def link(self, job: Job, label: str, name: str | None = None, expires: float | None = None) -> str:
        """Return a signed link to a file; it lives for ``link_seconds``, until ``expires`` (epoch s) or ``NEVER``."""
        return self.link_to(job.vendor, job.job_id, label, name or f"{job.name}.{extension_of(label)}", expires)

    def link_to(self, vendor: str, owner: str, label: str, name: str, expires: float | None = None) -> str:
        """Return a signed link to a file of ``owner``, a job or (label ``upload``) an upload."""
        safe = quote(re.sub(r"[^\w.-]+", "_", name)[-80:] or "file", errors="replace")
        path = f"{vendor}/{owner}/{label}"
        return f"{self.world.media_origin}/media/{path}/{safe}?{self._query(vendor, path, expires)}"

    def upload_link(self, vendor: str, upload_id: str, expires: float | None = None) -> str:
        """Return a signed link that takes a file by PUT: the content of the resource ``{vendor}.uploads``."""
        path = f"upload/{vendor}/{upload_id}"
        return f"{self.world.media_origin}/{path}?{self._query(vendor, path, expires)}"

    def _query(self, vendor: str, path: str, expires: float | None) -> str:
        if expires is None:
            expires = time.time() + self.world.settings.of(vendor).link_seconds
        if EXPIRED_LINKS.get():
            expires = time.time() - 1
        until = NEVER if expires == NEVER else int(min(max(expires, 1), LATEST))
        return urlencode({"expires": until, "signature": self._sign(path, until)})

    def _sign(self, path: str, expires: int) -> str:
        return hmac.new(self._secret, f"{path}?{expires}".encode(), hashlib.sha256).hexdigest()

    def refusal(self, request: Request, path: str) -> tuple[str, str] | None:
        """Return why a link is refused (code, message), or None when it is good."""
        if any(name in request.headers for name in self.key_headers):
            return "InvalidArgument", "Only one auth mechanism allowed: the link is signed, send no credentials"
        link = re.fullmatch(r"expires=([0-9]{1,12})&signature=([0-9a-f]{64})", request.url.query)
        if not link or not hmac.compare_digest(self._sign(path, int(link[1])), link[2]):
            return "SignatureDoesNotMatch", "The signature of the link is wrong"
        if int(link[1]) != NEVER and time.time() >= int(link[1]):
            return "AccessDenied", "Request has expired"
        return None

    # -- files ------------------------------------------------------------------------------------------------------

    def job_has_files(self, job: Job, now: float) -> bool:
        """Return whether the job's files are there: rendered well, and not gone with time or with the job."""
        if job.deleted_at is not None or not job.succeeded(now):
            return False
        retention = self.world.settings.of(job.vendor).retention_seconds
        return now < (job.ends_at or 0) + retention

    async def find(self, vendor: str, owner: str, label: str) -> Content:
        """Return the file behind a link; raises ``NoSuchFileError``."""
        if label == "upload":
            upload = self.world.resources[f"{vendor}.uploads"].get(owner, {})
            if "path" in upload:
                return Content((Path(upload["path"]),), upload["mime_type"], f'"{upload["md5"]}"')
        elif label == "preview.wav":
            return Content((media.tone(),), FORMATS["wav"], f'"{owner}"')
        elif job := self.world.find_job(vendor, owner):
            return await self.of_job(job, label)
        raise NoSuchFileError(label)

    async def of_job(self, job: Job, label: str) -> Content:
        """Return a file of a job; raises ``NoSuchFileError``."""
        kind, extension = kind_of(label), extension_of(label)
        if kind not in USUAL or extension not in FORMATS or not self.job_has_files(job, time.time()):
            raise NoSuchFileError(label)
        label, _, mark = label.partition("~")
        suffix = label.partition(".")[0].partition("-")[2]
        caption = f"{job.vendor} {job.job_id}" + (f" #{suffix}" if suffix else "")
        parts = await self._parts(job, kind, extension, label, caption)
        if "mark" in job.extra and kind == "video":
            # Copies that differ, and are of one size: a box at the end that players pass over.
            parts = (*parts, _box(b"free", hashlib.sha256(f"{job.extra['mark']}{mark}".encode()).digest()))
        size = sum(map(_size, parts))
        return Content(parts, FORMATS[extension], f'"{job.job_id}-{label}-{size}{mark}"')

    async def _parts(
        self, job: Job, kind: str, extension: str, label: str, caption: str
    ) -> tuple[bytes | Path | Zeros, ...]:
        size = self.world.settings.of(job.vendor).file_bytes
        if size is not None and "mark" in job.extra:
            size -= MARK_BYTES
        name = f"{job.vendor}-{job.job_id}-{label.partition('.')[0]}.{extension}"
        if kind == "video":
            if size is not None and extension == "mp4":
                return padded(await self.small_video(), size, f"{job.vendor}/{job.job_id}/{label}")
            return (await self.studio.video(job.name, caption, name),)
        if kind == "audio":
            return (await self.studio.audio(job.name, name),)
        if kind in ("thumbnail", "image"):
            return (await asyncio.to_thread(media.picture, job.name, caption, extension),)
        if kind == "archive":
            return (await asyncio.to_thread(media.thumbnail_zip, job.name, caption),)
        return (media.subtitles(job.name, extension).encode("utf-8", "replace"),)

    async def small_video(self) -> bytes:
        """Return the video that a file of any size begins with."""
        return (await self.studio.video("A file of any size", "simulator", "any-size.mp4")).read_bytes()

    async def check_size(self, size: int | None) -> None:
        """Raise ``TooSmallError`` for a size that no playable file has."""
        if size is not None:
            padded(await self.small_video(), size - MARK_BYTES, "x" * 120)


def create_app(contents: Contents) -> FastAPI:
    """Return the server behind the links (path ``/media``)."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)

    @app.api_route("/{vendor}/{owner}/{label}/{name}", methods=["GET", "HEAD"])
    async def download(request: Request, vendor: str, owner: str, label: str) -> Response:
        if reason := contents.refusal(request, f"{vendor}/{owner}/{label}"):
            return store_error(403, *reason)
        try:
            content = await contents.find(vendor, owner, label)
        except NoSuchFileError:
            return store_error(404, "NoSuchKey", "The specified key does not exist")
        return answer(request, content)

    return app


def answer(request: Request, content: Content) -> Response:
    """Answer with a file or a range of it: Range, If-Range, ETag, Content-Length and HEAD as HTTP has them."""
    size = content.size
    headers = {"accept-ranges": "bytes", "etag": content.etag, "content-type": content.media_type}
    start, end, status = 0, size, 200
    wanted = re.fullmatch(r"bytes=([0-9]{0,18})-([0-9]{0,18})", request.headers.get("range", "").replace(" ", ""))
    if wanted and wanted[0] != "bytes=-" and request.headers.get("if-range", content.etag) == content.etag:
        first, last = wanted.groups()
        start = int(first) if first else max(size - int(last), 0)
        end = min(int(last) + 1, size) if first and last else size
        if start >= size or (first and last and int(last) < int(first)):
            return Response(status_code=416, headers={**headers, "content-range": f"bytes */{size}"})
        status = 206
        headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    headers["content-length"] = str(end - start)
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    return StreamingResponse(content.read(start, end), status, headers)


def store_error(status: int, code: str, message: str) -> Response:
    """Return an error as object stores word it."""
    error = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>"
    body = f'<?xml version="1.0" encoding="UTF-8"?>\n{error}'
    return Response(body, status, media_type="application/xml")
