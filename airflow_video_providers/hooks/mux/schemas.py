# SPDX-License-Identifier: Apache-2.0
"""Mux's documents, as its SDK ``@mux/mux-node`` 15.3 describes them."""

from __future__ import annotations

from pydantic import Field

from airflow_video_providers.hooks.schemas import Timestamp, VendorModel


class MuxProgress(VendorModel):
    """How far an asset is: 0 to 100, or -1 where there is no such number."""

    state: str | None = None
    progress: float | None = None


class MuxErrors(VendorModel):
    """Why an asset or a file failed."""

    type: str | None = None
    messages: tuple[str, ...] = ()


class MuxFile(VendorModel):
    """One static rendition: a file to download. ``filesize`` is a text of digits."""

    name: str
    status: str | None = None
    ext: str | None = None
    resolution: str | None = None
    filesize: str | None = None


class MuxStaticRenditions(VendorModel):
    """The files of an asset."""

    files: tuple[MuxFile, ...] = ()


class MuxPlaybackId(VendorModel):
    """An id under which an asset is played; ``policy`` is public, signed or drm."""

    id: str
    policy: str


class MuxTrack(VendorModel):
    """A track of an asset; one of type ``text`` is a file of subtitles."""

    id: str | None = None
    type: str | None = None
    status: str | None = None
    name: str | None = None
    language_code: str | None = None


class MuxMaster(VendorModel):
    """The original as a file, where ``master_access`` is ``temporary``."""

    status: str | None = None
    url: str | None = Field(default=None, repr=False)


class MuxMeta(VendorModel):
    """What the user wrote on an asset."""

    title: str | None = None
    external_id: str | None = None


class MuxAsset(VendorModel):
    """An asset."""

    id: str
    status: str
    created_at: Timestamp | None = None
    duration: float | None = None
    passthrough: str | None = None
    meta: MuxMeta | None = None
    errors: MuxErrors | None = None
    progress: MuxProgress | None = None
    playback_ids: tuple[MuxPlaybackId, ...] = ()
    static_renditions: MuxStaticRenditions | None = None
    tracks: tuple[MuxTrack, ...] = ()
    master: MuxMaster | None = None
    upload_id: str | None = None

    @property
    def files(self) -> tuple[MuxFile, ...]:
        """The static renditions that were asked for."""
        return self.static_renditions.files if self.static_renditions else ()

    def carries(self, key: str) -> bool:
        """Tell whether the asset was created with this submission key."""
        return key in (self.passthrough, self.meta.external_id if self.meta else None)


class MuxUpload(VendorModel):
    """A direct upload; ``asset_id`` is there once its file has arrived."""

    id: str
    status: str
    url: str | None = Field(default=None, repr=False)
    asset_id: str | None = None
