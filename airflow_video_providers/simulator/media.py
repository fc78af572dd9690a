# SPDX-License-Identifier: Apache-2.0
"""The films: small, real, playable H.264 files with the job's title to be seen, made once when first asked for."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import textwrap
import wave
import zipfile
from functools import lru_cache
from typing import TYPE_CHECKING

import av
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

WIDTH, HEIGHT, FRAMES_PER_SECOND = 640, 360, 12


def duration_seconds(title: str) -> int:
    """The true length of the film with this title: 4, 5 or 6 seconds."""
    return 4 + _digest(title)[0] % 3


def render_video(path: Path, title: str, caption: str) -> None:
    """Make the film; the same words make the same bytes. Appears at ``path`` only when it is whole."""
    still = _still(title, caption)
    frames = duration_seconds(title) * FRAMES_PER_SECOND
    partial = path.with_suffix(".part")
    with av.open(str(partial), "w", format="mp4", options={"movflags": "+faststart"}) as container:
        # One thread: how threads share the frames would show in the bytes.
        options = {"preset": "ultrafast", "crf": "30", "threads": "1"}
        stream = container.add_stream("libx264", rate=FRAMES_PER_SECOND, options=options)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            picture = still.copy()
            width = int((WIDTH - 80) * (number + 1) / frames)
            ImageDraw.Draw(picture).rectangle((40, HEIGHT - 44, 40 + width, HEIGHT - 36), fill="white")
            frame = av.VideoFrame.from_image(picture)  # type: ignore[no-untyped-call]  # untyped in PyAV
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    os.replace(partial, path)


def thumbnail(title: str, caption: str) -> bytes:
    """A JPEG of the film's first frame."""
    buffer = io.BytesIO()
    _still(title, caption).save(buffer, "JPEG", quality=80)
    return buffer.getvalue()


def thumbnail_zip(title: str, caption: str) -> bytes:
    """A zip of three numbered thumbnails."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in (1, 2, 3):
            # A fixed date keeps the bytes the same from call to call.
            entry = zipfile.ZipInfo(f"thumbnail-{number:03}.jpg", (2020, 1, 1, 0, 0, 0))
            archive.writestr(entry, thumbnail(title, f"{caption} {number}/3"))
    return buffer.getvalue()


def subtitles(title: str, kind: str = "vtt") -> str:
    """The title as WebVTT (or ``srt``) over the film's length."""
    line, seconds = " ".join(title.split()) or "Untitled", duration_seconds(title)
    if kind == "srt":
        return f"1\n00:00:00,000 --> 00:00:0{seconds},000\n{line}\n"
    return f"WEBVTT\n\n00:00:00.000 --> 00:00:0{seconds}.000\n{line.replace('-->', '->')}\n"


def tone() -> bytes:
    """A second of a quiet tone as WAV, which stands for a voice."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(bytes(128 + (8 if index // 10 % 2 else -8) for index in range(8000)))
    return buffer.getvalue()


def _still(title: str, caption: str) -> Image.Image:
    red, green, blue = (40 + value % 100 for value in _digest(title)[1:4])
    picture = Image.new("RGB", (WIDTH, HEIGHT), (red, green, blue))
    draw = ImageDraw.Draw(picture)
    lines = textwrap.wrap(title, 24, max_lines=4, placeholder=" ...") or ["Untitled"]
    draw.multiline_text((40, 60), "\n".join(lines), font=_font(40), fill="white", spacing=12)
    draw.text((40, HEIGHT - 76), caption, font=_font(18), fill="white")
    return picture


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


class Studio:
    """Makes each file once, in a worker thread, and keeps it in a directory."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self._making: dict[Path, asyncio.Task[None]] = {}
        self._workers = asyncio.Semaphore(2)

    async def video(self, title: str, caption: str, name: str) -> Path:
        """The path of the film, made now if it was not made before."""
        path = self.directory / f"{name}.mp4"
        if not path.exists():
            await self._once(path, lambda: self._make(render_video, path, title, caption))
        return path

    def clear(self) -> None:
        """Throw the files away; what is still asked for is made again."""
        for path in self.directory.iterdir():
            path.unlink(missing_ok=True)

    async def _once(self, path: Path, make: Callable[[], Coroutine[None, None, None]]) -> None:
        task = self._making.get(path)
        if task is None:
            task = self._making[path] = asyncio.ensure_future(make())
            task.add_done_callback(lambda _: self._making.pop(path, None))
        # A client that leaves must not take the film from the others who wait for it.
        await asyncio.shield(task)

    async def _make(self, make: Callable[[Path, str, str], None], path: Path, title: str, caption: str) -> None:
        async with self._workers:
            await asyncio.to_thread(make, path, title, caption)
