# SPDX-License-Identifier: Apache-2.0
"""Links to the files of a Mux asset, signed where their playback policy asks for it."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.mux.schemas import MuxAsset, MuxFile, MuxPlaybackId
from airflow_video_providers.jobs import VideoOutput

_LONGEST_SIZE = 18  # digits

LINK_SECONDS = 6 * 3600.0
"""How long a signed link lives; it is signed again when it dies."""

_READY = "ready"


@dataclass(frozen=True)
class MuxFiles:
    """
    :param stream_url: where files are downloaded from, ``image_url``: where thumbnails are.
    :param key_id: of the signing key, ``private_key``: in PEM, or in base64 of that.
    """

    stream_url: str = "https://stream.mux.com"
    image_url: str = "https://image.mux.com"
    key_id: str | None = None
    private_key: str | None = None

    @classmethod
    def of_extras(cls, extras: Mapping[str, Any]) -> MuxFiles:
        """Read the extras of a connection."""
        return cls(
            stream_url=str(extras.get("stream_url") or cls.stream_url).rstrip("/"),
            image_url=str(extras.get("image_url") or cls.image_url).rstrip("/"),
            key_id=extras.get("signing_key_id") or None,
            private_key=extras.get("signing_private_key") or None,
        )

    def outputs(self, asset: MuxAsset) -> list[VideoOutput]:
        """Return what of an asset can be downloaded."""
        playback = _playback(asset)
        outputs = [] if playback is None else self._files(asset, playback)
        master = asset.master
        if master is not None and master.status == _READY and master.url:
            label = "master" if outputs else None
            outputs.append(VideoOutput(kind="video", label=label, url=master.url, duration_seconds=asset.duration))
        return outputs if playback is None else [*outputs, *self._beside(asset, playback)]

    def _files(self, asset: MuxAsset, playback: MuxPlaybackId) -> list[VideoOutput]:
        ready = [file for file in asset.files if file.status == _READY]
        videos = [file for file in ready if not _is_audio(file)]
        return [
            VideoOutput(
                kind="audio" if _is_audio(file) else "video",
                label=file.resolution or file.name if len(videos) > 1 and not _is_audio(file) else None,
                url=self._link(f"{self.stream_url}/{playback.id}/{file.name}", playback, "v"),
                output_id=f"{asset.id}/{file.name}",
                name=file.name,
                media_type="audio/mp4" if _is_audio(file) else "video/mp4",
                size=_size(file.filesize),
                duration_seconds=asset.duration,
            )
            for file in ready
        ]

    def _beside(self, asset: MuxAsset, playback: MuxPlaybackId) -> list[VideoOutput]:
        outputs: list[VideoOutput] = []
        if {track.type for track in asset.tracks} & {"audio", "video"} != {"audio"}:  # there is no picture of a sound
            thumbnail = self._link(f"{self.image_url}/{playback.id}/thumbnail.jpg", playback, "t")
            outputs.append(VideoOutput(kind="thumbnail", url=thumbnail, media_type="image/jpeg"))
        texts = [track for track in asset.tracks if track.type == "text" and track.status == _READY and track.id]
        for track in texts:
            link = self._link(f"{self.stream_url}/{playback.id}/text/{track.id}.vtt", playback, "v")
            label = (track.language_code or track.name) if len(texts) > 1 else None
            outputs.append(
                VideoOutput(
                    kind="subtitles", label=label, url=link, output_id=track.id, name=track.name, media_type="text/vtt"
                )
            )
        return outputs

    def _link(self, url: str, playback: MuxPlaybackId, audience: str) -> str:
        if playback.policy == "public":
            return url
        if not self.key_id or not self.private_key:
            raise VideoConfigurationError(
                "The asset's playback policy is 'signed': put 'signing_key_id' and 'signing_private_key' into the "
                "connection, or give the asset a public policy."
            )
        import jwt

        claims = {"sub": playback.id, "aud": audience, "exp": int(time.time() + LINK_SECONDS)}
        try:
            token = jwt.encode(claims, _pem(self.private_key), algorithm="RS256", headers={"kid": self.key_id})
        except (ValueError, TypeError, jwt.PyJWTError):
            raise VideoConfigurationError(
                "The connection's 'signing_private_key' is no RSA private key in PEM, nor the base64 of one."
            ) from None
        return f"{url}?token={token}"


def _playback(asset: MuxAsset) -> MuxPlaybackId | None:
    """Return the id to download by: a public one where there is one, else a signed one; DRM gives no file."""
    usable = [playback for playback in asset.playback_ids if playback.policy in ("public", "signed")]
    usable.sort(key=lambda playback: playback.policy != "public")
    return usable[0] if usable else None


def _is_audio(file: MuxFile) -> bool:
    return (file.ext or file.name.rpartition(".")[2]) == "m4a"


def _pem(key: str) -> str:
    if key.lstrip().startswith("-----BEGIN"):
        return key
    try:
        return base64.b64decode(key, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError("neither PEM nor base64") from error


def _size(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdecimal() and len(text) <= _LONGEST_SIZE else None
