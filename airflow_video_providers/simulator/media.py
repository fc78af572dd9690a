# SPDX-License-Identifier: Apache-2.0
"""The films: small, real, playable H.264 files with the job's title to be seen, made once when first asked for."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import os
import textwrap
import wave
import zipfile
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import av
from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from pathlib import Path

WIDTH, HEIGHT, FRAMES_PER_SECOND = 640, 360, 12


def duration_seconds(title: str) -> int:
    """Return the true length of the film with this title: 4, 5 or 6 seconds."""
    return 4 + _digest(title)[0] % 3


CODECS = {"mp4": "libx264", "mov": "libx264", "webm": "libvpx", "m4a": "aac", "mp3": "libmp3lame", "wav": "pcm_s16le"}
OPTIONS = {
    # One thread: how threads share the frames would show in the bytes.
    "libx264": {"preset": "ultrafast", "crf": "30", "threads": "1"},
    "libvpx": {"deadline": "realtime", "cpu-used": "8", "threads": "1"},
}
RATE = 44_100


def render_video(path: Path, title: str, caption: str) -> None:
    """Make the film; the same words make the same bytes. It appears at ``path`` only when it is whole."""
    still = _still(title, caption)
    frames = duration_seconds(title) * FRAMES_PER_SECOND
    with _container(path) as container:
        codec = CODECS[path.suffix[1:]]
        stream = container.add_stream(codec, rate=FRAMES_PER_SECOND, options=OPTIONS[codec])
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for number in range(frames):
            picture_ = still.copy()
            width = int((WIDTH - 80) * (number + 1) / frames)
            ImageDraw.Draw(picture_).rectangle((40, HEIGHT - 44, 40 + width, HEIGHT - 36), fill="white")
            frame = av.VideoFrame.from_image(picture_)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def render_audio(path: Path, title: str) -> None:
    """Make a quiet tone of the film's length; it appears at ``path`` only when it is whole."""
    with _container(path) as container:
        stream = container.add_stream(CODECS[path.suffix[1:]], rate=RATE, layout="mono")
        samples = _square_wave(RATE * duration_seconds(title))
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(samples) // 2)
        frame.planes[0].update(samples)
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode())


@contextlib.contextmanager
def _container(path: Path) -> Iterator[Any]:
    partial = path.with_name(f"{path.name}.part")
    kind = {"m4a": "mp4"}.get(path.suffix[1:], path.suffix[1:])
    options = {"movflags": "+faststart"} if kind in ("mp4", "mov") else {}
    with av.open(str(partial), "w", format=kind, options=options) as container:
        yield container
    os.replace(partial, path)


def picture(title: str, caption: str, kind: str = "jpg") -> bytes:
    """Return the film's first frame as JPEG, PNG or (a few frames that move) GIF."""
    buffer, still = io.BytesIO(), _still(title, caption)
    if kind == "gif":
        frames = [still.resize((WIDTH // 2, HEIGHT // 2)), still.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
        frames[1] = frames[1].resize(frames[0].size)
        frames[0].save(buffer, "GIF", save_all=True, append_images=frames[1:], duration=500, loop=0)
    else:
        still.save(buffer, {"jpg": "JPEG", "png": "PNG"}[kind], quality=80)
    return buffer.getvalue()


def thumbnail_zip(title: str, caption: str) -> bytes:
    """Return a zip of three numbered thumbnails."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in (1, 2, 3):
            # A fixed date keeps the bytes the same from call to call.
            entry = zipfile.ZipInfo(f"thumbnail-{number:03}.jpg", (2020, 1, 1, 0, 0, 0))
            archive.writestr(entry, picture(title, f"{caption} {number}/3"))
    return buffer.getvalue()


def subtitles(title: str, kind: str = "vtt") -> str:
    """Return the title as WebVTT (or ``srt``) over the film's length."""
    line, seconds = " ".join(title.split()) or "Untitled", duration_seconds(title)
    if kind == "srt":
        return f"1\n00:00:00,000 --> 00:00:0{seconds},000\n{line}\n"
    return f"WEBVTT\n\n00:00:00.000 --> 00:00:0{seconds}.000\n{line.replace('-->', '->')}\n"


def tone() -> bytes:
    """Return a second of a quiet tone as WAV, which stands for a voice."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(bytes(128 + (8 if index // 10 % 2 else -8) for index in range(8000)))
    return buffer.getvalue()


def _square_wave(samples: int) -> bytes:
    period = b"\x00\x04" * 50 + b"\x00\xfc" * 50
    return (period * (samples // 100 + 1))[: samples * 2]


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
        """Return the path of the film, made now if it was not made before."""
        path = self.directory / name
        if not path.exists():
            await self._once(path, lambda: self._make(render_video, path, title, caption))
        return path

    async def audio(self, title: str, name: str) -> Path:
        """Return the path of a tone of the film's length, made now if it was not made before."""
        path = self.directory / name
        if not path.exists():
            await self._once(path, lambda: self._make(render_audio, path, title))
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

    async def _make(self, make: Callable[..., None], path: Path, *words: str) -> None:
        async with self._workers:
            await asyncio.to_thread(make, path, *words)
