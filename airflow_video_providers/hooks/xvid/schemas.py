# SPDX-License-Identifier: Apache-2.0
"""
Xvid MediaHub's payloads as its manual documents them (mediahub.xvid.com/manual, pages ``api/...``).

An object sits below its type name (``job``, ``file`` ...) and points to others by ``id`` and ``href``. Without
``show_null=true`` empty keys are left out, so nearly all are optional. Times are milliseconds since 1970.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Annotated, Any, TypeVar

from pydantic import BeforeValidator, Field, InstanceOf

from airflow_video_providers.hooks.lists import readable
from airflow_video_providers.hooks.schemas import VendorModel


def _from_milliseconds(value: Any) -> Any:
    if value in (None, "", 0, "0"):  # 0 is "never", where a time to expire is meant
        return None
    if isinstance(value, datetime):
        return value
    try:
        return datetime.fromtimestamp(float(value) / 1000, tz=timezone.utc)
    except (TypeError, OverflowError, OSError) as error:
        raise ValueError(f"not milliseconds since 1970: {error}") from None


Milliseconds = Annotated[datetime | None, BeforeValidator(_from_milliseconds)]
"""A time in milliseconds since 1970, as a number or a text; aware, in UTC."""


_Item = TypeVar("_Item")
Items = Annotated[list[_Item], BeforeValidator(lambda value: [] if value is None else value)]
"""A list whose empty form may be null (``show_null=true``) or an empty element (XML)."""


class Token(VendorModel):
    """The response of ``POST /oauth2/token/``; ``expires_in`` seconds come as a number or as a text."""

    access_token: str = Field(repr=False, min_length=1)
    expires_in: float | None = None


class Reference(VendorModel):
    """How one object points to another."""

    id: str | None = None
    href: str | None = None


class FileReference(Reference):
    """
    A file, or only the pointer to it where the call did not ask for ``expand=file``.

    ``duration`` is taken to be milliseconds (the manual does not say). ``expires_at`` is when the store removes the
    file, not when a link dies.
    """

    name: str | None = None
    title: str | None = None
    type: str | None = None
    subtype: str | None = None
    mime_type: str | None = None
    size: int | None = Field(default=None, ge=0)
    size_on_disk: int | None = None
    md5_checksum: str | None = None
    duration: float | None = Field(default=None, ge=0)
    container: Any = None
    video_tracks: Any = None
    audio_tracks: Any = None
    subtitle_tracks: Any = None
    job: Any = None
    pipeline: Any = None
    autograph: Any = None
    user_data: str | None = None
    uri: str | None = Field(default=None, repr=False)
    expires_at: Milliseconds = None
    created_at: Milliseconds = None
    finished_at: Milliseconds = None

    @property
    def is_bare(self) -> bool:
        """Whether it is a pointer only."""
        return not any(
            value is not None
            for name, value in {**dict(self), **(self.model_extra or {})}.items()
            if name not in ("id", "href")
        )


class File(FileReference):
    """A file as ``GET /files/ID`` and ``GET /files/`` show it."""

    id: str


class ThumbnailZip(VendorModel):
    """All thumbnails of an output in one archive."""

    file: FileReference | None = None


class Thumbnails(ThumbnailZip):
    """One kind of thumbnail of an output."""

    thumbnail_names: str | None = None
    thumbnail_preset: str | None = None


class JobOutput(VendorModel):
    """One video that a job makes, with what belongs to it."""

    output_name: str | None = None
    preset: Any = None
    percentage_completed: float | None = None
    file: FileReference | None = None
    thumbnail_zip: ThumbnailZip | None = None
    thumbnails: list[Thumbnails] | None = None
    logos: list[Any] | None = None
    settings: Any = None


class JobInput(VendorModel):
    """What a job reads."""

    input_name: str | None = None
    file: FileReference | None = None
    start_time: Any = None
    force_container: Any = None
    force_aspect_ratio: Any = None
    force_framerate: Any = None
    force_interlaced: Any = None


class CreatedJob(VendorModel):
    """The response of ``POST /jobs/``; the manual does not show it, so nothing beyond the id is insisted on."""

    id: str
    href: str | None = None
    status: str = "QUEUED"
    percentage_completed: float | None = None
    error_code: str | None = None
    error_msg: str | None = None
    user_data: str | None = None
    input: JobInput | None = None
    outputs: list[JobOutput] | None = None
    output_prefix: str | None = None
    pipeline: Any = None
    application: Any = None
    user: Any = None
    autograph: Any = None
    version: Any = None
    created_at: Milliseconds = None
    updated_at: Milliseconds = None
    finished_at: Milliseconds = None


class Job(CreatedJob):
    """A job as ``GET /jobs/ID`` and ``GET /jobs/`` show it."""

    status: str


class Template(VendorModel):
    """A job template: ``job_settings`` are a job's fields without ``input.input_name`` and ``unique_custom_key``."""

    id: str
    href: str | None = None
    name: str | None = None
    description: str | None = None
    job_settings: dict[str, Any] | None = None
    created_at: Milliseconds = None
    updated_at: Milliseconds = None


class Upload(VendorModel):
    """An upload; ``form_post_params`` hold a signed policy, so they are left out of ``repr``."""

    id: str
    status: str
    form_post_url: str | None = Field(default=None, repr=False)
    form_post_params: dict[str, str] | None = Field(default=None, repr=False)
    object_key: str | None = None
    nb_chunks: int | None = None
    storage_type: str | None = None
    file: FileReference | None = None
    pipeline: Any = None
    error_code: str | None = None
    error_msg: str | None = None


class Pipeline(VendorModel):
    """
    Where a pipeline reads and writes, and whom it tells.

    Directories and options can hold credentials of the user's own stores, so they are left out of ``repr``.
    """

    id: str
    href: str | None = None
    name: str | None = None
    description: str | None = None
    cancel_timeout: Any = None
    default_object_timeout: Any = None
    input_download_dir: Any = Field(default=None, repr=False)
    image_download_dir: Any = Field(default=None, repr=False)
    download_options: Any = Field(default=None, repr=False)
    output_upload_dir: Any = Field(default=None, repr=False)
    image_upload_dir: Any = Field(default=None, repr=False)
    upload_options: Any = Field(default=None, repr=False)
    store_options: Any = Field(default=None, repr=False)
    ping_urls: Any = Field(default=None, repr=False)
    enable_backtrace_pings: Any = None


class Preset(VendorModel):
    """How an output is encoded; its many settings are kept as they come."""

    id: str
    href: str | None = None
    name: str | None = None
    description: str | None = None


# ---------------------------------------------------------------- lists


class Page(VendorModel):
    """What every list says about itself, where it does."""

    start: int | None = None
    limit: int | None = None
    total: int | None = None


class JobPage(Page):
    """
    ``GET /jobs/``.

    ``unreadable``: what stands in the list in a form that the manual does not show, as it came; it hides no other job.
    """

    jobs: Items[InstanceOf[Job]]
    unreadable: list[Any] = Field(default_factory=list, repr=False)

    @classmethod
    def prepare(cls, data: Any) -> Any:
        """Set the items aside that cannot be read, and those whose key is no text."""
        if not isinstance(data, dict) or not isinstance(data.get("jobs"), list):
            return data
        # A job is known by its user_data: in an odd form it must not pass for a job without any.
        others: list[Any] = []
        odd: list[Any] = []
        for item in data["jobs"]:
            (others if isinstance(_user_data(item), (str, int, type(None))) else odd).append(item)
        jobs, unreadable = readable(Job, others, vendor="xvid", endpoint="GET /jobs/")
        return {**data, "jobs": jobs, "unreadable": [*unreadable, *odd]}


def _user_data(item: Any) -> Any:
    return item.get("user_data") if isinstance(item, dict) else None


class TemplatePage(Page):
    """``GET /jobs/templates/``."""

    templates: Items[Template]


class FilePage(Page):
    """``GET /files/``."""

    files: Items[File]


class PipelinePage(Page):
    """``GET /pipelines/``."""

    pipelines: Items[Pipeline]


class PresetPage(Page):
    """``GET /presets/``."""

    presets: Items[Preset]


class Result(VendorModel):
    """The outcome of a deletion."""

    status: str | None = None


class Deletion(VendorModel):
    """``DELETE /jobs/ID``; some servers respond to a deletion without content."""

    result: Result | None = None
