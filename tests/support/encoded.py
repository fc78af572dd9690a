# SPDX-License-Identifier: Apache-2.0
"""Real files in many formats, written by FFmpeg's own muxers."""

from __future__ import annotations

import io
from functools import lru_cache

import av


@lru_cache(maxsize=64)
def film(container: str, codec: str, pixels: str = "yuv420p", option: str = "") -> bytes:
    """Return a film of five frames. ``option``: of the muxer, ``name=value``."""
    out = io.BytesIO()
    options = dict([option.split("=")]) if option else {}
    with av.open(out, "w", format=container, options=options) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 352, 288, pixels
        for number in range(5):
            frame = av.VideoFrame(352, 288, "rgb24")
            for plane in frame.planes:
                plane.update(bytes([number * 40]) * plane.buffer_size)
            file.mux(stream.encode(frame.reformat(format=pixels)))
        file.mux(stream.encode(None))
    return out.getvalue()


@lru_cache(maxsize=64)
def sound(container: str, codec: str) -> bytes:
    """Return a fifth of a second of silence."""
    out = io.BytesIO()
    with av.open(out, "w", format=container) as file:
        stream = file.add_stream(codec, rate=48000)
        resampler = av.AudioResampler(format=stream.format.name, layout="stereo", rate=48000)
        for number in range(10):
            frame = av.AudioFrame(format="s16", layout="stereo", samples=1024)
            frame.sample_rate, frame.pts = 48000, number * 1024
            for plane in frame.planes:
                plane.update(bytes(plane.buffer_size))
            for resampled in resampler.resample(frame):
                file.mux(stream.encode(resampled))
        file.mux(stream.encode(None))
    return out.getvalue()
