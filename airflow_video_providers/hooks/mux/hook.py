# SPDX-License-Identifier: Apache-2.0
"""
Mux: transcoding and hosting. A job is an asset, and it is done when the files that were asked for are there.

Facts come from the vendor's SDK ``@mux/mux-node`` 15.3, which is made from its OpenAPI document, and from
``www.mux.com/docs``.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, ClassVar

from requests.auth import HTTPBasicAuth

from airflow_video_providers.api.errors import VendorError, parse_error
from airflow_video_providers.api.settings import header_text
from airflow_video_providers.exceptions import SubmissionKeyConflictError, VideoConfigurationError, VideoJobError
from airflow_video_providers.hooks import callbacks
from airflow_video_providers.hooks.base import KeySupport, VideoHook, raise_if_unfinished
from airflow_video_providers.hooks.common import cancel_by_deleting, share_of, state_of
from airflow_video_providers.hooks.lists import (
    each_readable,
    oldest_usable,
    pages,
    poll_by_list,
    recent_jobs,
    search_list,
)
from airflow_video_providers.hooks.mux.files import MuxFiles
from airflow_video_providers.hooks.mux.requests import MuxAssetRequest
from airflow_video_providers.hooks.mux.schemas import MuxAsset, MuxUpload
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.hooks.uploads import put_stream, refuse_options
from airflow_video_providers.jobs import CallbackHint, JobError, JobState, VideoJob, VideoOutput

STATES = {"preparing": JobState.RUNNING, "ready": JobState.SUCCEEDED, "errored": JobState.FAILED}
FILES_PREPARING = "ready, files preparing"
"""Our word for an asset that can be played, while files that were asked for are still made."""

_LIST = "GET /video/v1/assets"
_PAGE = 100
_PAGES_FOR_ALL = 5
_MOST_SIGNATURES = 8
_UPLOAD_PAUSE, _UPLOAD_SECONDS = 2.0, 300.0


class MuxHook(VideoHook):
    """
    Mux's Video API behind one Airflow connection.

    The connection's ``login`` and ``password`` are id and secret of an access token of one environment. Mux gives
    ``passthrough`` and ``meta`` back in its list of assets, newest first, so a lost job is found surely:
    ``key_support`` is ``EXACT``.

    :param conn_id: the Airflow connection (default ``mux_default``).
    """

    conn_type = "mux"
    hook_name = "Mux"
    default_base_url = "https://api.mux.com"
    key_support: ClassVar[KeySupport] = KeySupport.EXACT
    signs_callbacks = True
    callback_window = callbacks.CLOCK_WINDOW

    def make_auth(self) -> HTTPBasicAuth:
        """Return what adds the token to a request."""
        login = header_text(self.connection.login or "", what=f"The login of connection {self.conn_id!r}")
        if not login:
            raise VideoConfigurationError(f"Connection {self.conn_id!r} has no login. Put the Mux token id there.")
        return HTTPBasicAuth(login.encode(), self.secret().encode())

    def parse_error(self, body: Any) -> VendorError:
        """Read Mux's error form: a type and a list of messages."""
        error = body.get("error") if isinstance(body, Mapping) else None
        messages = error.get("messages") if isinstance(error, Mapping) else None
        if not isinstance(messages, list) or not isinstance(error, Mapping):
            return parse_error(body)
        kind = error.get("type")
        return VendorError(message="; ".join(map(str, messages)) or str(kind), code=None if kind is None else str(kind))

    @property
    def files(self) -> MuxFiles:
        """What makes links to files, signed where the connection holds a signing key."""
        return MuxFiles.of_extras(self.extras)

    # ------------------------------------------------------------------ jobs

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return MuxAssetRequest

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Create one asset; or, with ``upload_id`` alone, take the asset that a direct upload has made.

        The key goes into ``passthrough`` and ``meta.external_id``, or into the one of them that is free.

        :raises SubmissionKeyConflictError: both are taken.
        """
        if set(request) == {"upload_id"}:
            return self._to_job(self._wait_for_asset(str(request["upload_id"])), key=key)
        return self._to_job(self.create_asset(_with_key(request, key)), key=key)

    def get_job(self, job_id: str) -> VideoJob:
        """
        Poll one asset.

        :raises VideoApiNotFoundError: the vendor does not know it, or it was deleted.
        """
        return self._to_job(self.get_asset(job_id))

    def get_jobs(self, job_ids: Collection[str]) -> dict[str, VideoJob]:
        """
        Poll many assets by the list, newest first: one request for each 100 assets, five at most.

        One that the list does not show by then is left out.
        """
        found = poll_by_list(self._listed(), job_ids, id_of=lambda asset: asset.id, most=_PAGES_FOR_ALL * _PAGE)
        return {job_id: self._to_job(asset) for job_id, asset in found.items()}

    def get_recent_jobs(self, *, since: datetime) -> list[VideoJob]:
        """List the assets that were created since then, whoever uploaded them: one request for each 100."""
        most = _PAGES_FOR_ALL * _PAGE
        return recent_jobs(
            self._listed(), created=lambda asset: asset.created_at, to_job=self._to_job, since=since, most=most
        )

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Find the asset whose ``passthrough`` or ``meta.external_id`` is ``key``, among those created since then.

        The list is read down to that time, less a minute for the difference of the clocks. That it begins with the
        newest is not documented: where it does not, all of it is read.
        """
        found, unread = search_list(
            self._listed(as_proof=True),
            matches=lambda asset: asset.carries(key),
            created=lambda asset: asset.created_at,
            since=since,
        )
        jobs = [self._to_job(asset, key=key) for asset in found]
        return oldest_usable(jobs, unread=unread, vendor=self.vendor, endpoint=_LIST)

    def cancel_job(self, job_id: str) -> VideoJob | None:
        """
        Delete an asset that is still prepared. One that can be played already is left alone: deleting it would delete
        its files. The vendor does not document whether that gives anything back.

        :raises VideoJobError: the asset is ready, and only files of it are still made.
        """
        return cancel_by_deleting(self, job_id, self.delete_asset, running={"preparing"})

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the files of an asset, freshly signed where their playback policy asks for it.

        ``video`` (and ``audio``) for each static rendition, its resolution as ``label`` where there are several; the
        master as ``video`` with the label ``master``; ``thumbnail``; ``subtitles`` for each text track.

        :raises VideoJobError: the asset is not ready, or failed, or no file of it can be downloaded.
        :raises VideoConfigurationError: the files are signed, and the connection has no signing key.
        """
        asset = self.get_asset(job_id)
        job = self._to_job(asset)
        raise_if_unfinished(job)
        outputs = self.files.outputs(asset)
        if not any(output.kind in ("video", "audio") for output in outputs):
            raise VideoJobError(
                f"{job.describe()}; it has no file to download. Ask for 'static_renditions' in the request, e.g. "
                '[{"resolution": "highest"}], with a public or signed playback policy, or for "master_access": '
                '"temporary"',
                job=job,
            )
        return outputs

    def upload_media(
        self, stream: BinaryIO, *, name: str, size: int, media_type: str | None = None, **options: Any
    ) -> str:
        """
        Upload a source, which makes an asset; return the upload's id, for the request ``{"upload_id": ...}``.

        :param options: ``new_asset_settings``: the body of the asset, as in a request without ``inputs``
            (default: public, with the highest rendition).
        """
        settings = options.pop("new_asset_settings", None)
        refuse_options(self.hook_name, options)
        if settings is None:
            settings = {"playback_policies": ["public"], "static_renditions": [{"resolution": "highest"}]}
        upload = self.create_upload({"new_asset_settings": settings, "cors_origin": "*"})
        if not upload.url:
            raise VideoConfigurationError(f"Mux gave upload {upload.id} no link to send the file to.")
        put_stream(self.client, upload.url, stream=stream, size=size, media_type=media_type)
        return upload.id

    def check_connection(self) -> str:
        """List one asset, which costs nothing."""
        self.list_assets(limit=1)
        return "Mux accepted the token; it lists the assets of its environment."

    # ------------------------------------------------------------------ endpoints

    def create_asset(self, body: Mapping[str, Any]) -> MuxAsset:
        """``POST /video/v1/assets``."""
        return self.fetch(MuxAsset, "POST", "/video/v1/assets", json=dict(body), envelope="data")

    def get_asset(self, asset_id: str) -> MuxAsset:
        """``GET /video/v1/assets/{id}``."""
        return self.fetch(MuxAsset, "GET", "/video/v1/assets/{id}", id=asset_id, envelope="data")

    def list_assets(
        self, *, limit: int = 25, page: int = 1, upload_id: str | None = None, live_stream_id: str | None = None
    ) -> list[MuxAsset]:
        """``GET /video/v1/assets``: one page, newest first; ``limit`` is 100 at most."""
        params = {"limit": limit, "page": page, "upload_id": upload_id, "live_stream_id": live_stream_id}
        assets, _ = self._page(params)
        return [asset for asset in assets if asset is not None]

    def update_asset(self, asset_id: str, body: Mapping[str, Any]) -> MuxAsset:
        """``PATCH /video/v1/assets/{id}``: change ``passthrough`` or ``meta``."""
        return self.fetch(
            MuxAsset, "PATCH", "/video/v1/assets/{id}", id=asset_id, json=dict(body), envelope="data", repeatable=True
        )

    def delete_asset(self, asset_id: str) -> None:
        """``DELETE /video/v1/assets/{id}``, sent once: remove an asset and all its files, whatever its status."""
        self.fetch(None, "DELETE", "/video/v1/assets/{id}", id=asset_id, once=True)

    def create_static_rendition(self, asset_id: str, resolution: str = "highest") -> dict[str, Any]:
        """``POST /video/v1/assets/{id}/static-renditions``: ask for one more file of a ready asset."""
        path, body = "/video/v1/assets/{id}/static-renditions", {"resolution": resolution}
        return self.fetch(dict[str, Any], "POST", path, id=asset_id, json=body, envelope="data")

    def set_master_access(self, asset_id: str, master_access: str = "temporary") -> MuxAsset:
        """``PUT /video/v1/assets/{id}/master-access``: ``temporary`` gives the original for 24 hours, ``none`` not."""
        path, body = "/video/v1/assets/{id}/master-access", {"master_access": master_access}
        return self.fetch(MuxAsset, "PUT", path, id=asset_id, json=body, envelope="data", repeatable=True)

    def create_upload(self, body: Mapping[str, Any]) -> MuxUpload:
        """``POST /video/v1/uploads``: a link for one file, which becomes an asset."""
        return self.fetch(MuxUpload, "POST", "/video/v1/uploads", json=dict(body), envelope="data")

    def get_upload(self, upload_id: str) -> MuxUpload:
        """``GET /video/v1/uploads/{id}``."""
        return self.fetch(MuxUpload, "GET", "/video/v1/uploads/{id}", id=upload_id, envelope="data")

    # ------------------------------------------------------------------ callbacks

    def verify_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackHint:
        """
        Check ``Mux-Signature``: ``t=<seconds>,v1=<hex>``, where v1 is HMAC-SHA256 of the time, a dot and the raw body.

        While a secret is renewed the header has several v1: one of them must be right. The time must be at most 300
        seconds from now. An event that is not about an asset is an empty hint.
        """
        callbacks.check_size(body)
        secret = self.verifying_secret()
        signed_at, given = _read_signature(callbacks.read_header(headers, "Mux-Signature") or "")
        expected = callbacks.sign(secret, signed_at.encode(errors="replace") + b"." + body)
        if not any(callbacks.is_same(signature, [expected]) for signature in given):
            raise callbacks.forged()
        callbacks.check_time(signed_at)
        event = callbacks.read_document(headers, body)
        subject, asset = callbacks.part_of(event, "object"), callbacks.part_of(event, "data")
        if subject.get("type") != "asset":
            return CallbackHint()
        # The data of an event about a file may be the file; only the asset's own carries the key.
        is_asset = asset.get("id") == subject.get("id")
        key = asset.get("passthrough") or callbacks.part_of(asset, "meta").get("external_id") if is_asset else None
        return callbacks.make_hint(job_id=subject.get("id"), key=key)

    def callback_event_id(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return the ``id`` of the event, which is signed."""
        return callbacks.make_hint(key=callbacks.read_document(headers, body).get("id")).key

    # ------------------------------------------------------------------ from the vendor's words to ours

    def _page(self, params: Mapping[str, Any], *, keys: Sequence[str] = ()) -> tuple[list[MuxAsset | None], bool]:
        """Return the assets of one page of the list, None for one that cannot be read, and whether another follows."""
        found = self.fetch(dict[str, Any], "GET", "/video/v1/assets", params=params)
        listed = self.client.parse(list[Any], found.get("data"), endpoint=_LIST)
        items = each_readable(MuxAsset, listed, vendor=self.vendor, endpoint=_LIST, keys=keys)
        return items, len(items) >= params["limit"] or bool(found.get("next_cursor"))

    def _listed(self, *, as_proof: bool = False) -> Iterator[MuxAsset | None]:
        """Yield the assets; ``as_proof`` that there is none with a key, down to an empty page and with no odd key."""
        keys = ("passthrough", "meta.external_id") if as_proof else ()
        seen: set[str] = set()

        def read(position: int | None) -> tuple[list[MuxAsset | None], int | None]:
            page = position or 1
            items, more = self._page({"limit": _PAGE, "page": page}, keys=keys)
            fresh = {item.id for item in items if item is not None} - seen
            seen.update(fresh)
            return items, page + 1 if fresh and (more or as_proof) else None

        return pages(read, vendor=self.vendor, endpoint=_LIST)

    def _wait_for_asset(self, upload_id: str) -> MuxAsset:
        """Poll a direct upload until its asset is made, which takes seconds."""
        deadline = time.monotonic() + _UPLOAD_SECONDS
        while True:
            upload = self.get_upload(upload_id)
            if upload.asset_id:
                return self.get_asset(upload.asset_id)
            if upload.status != "waiting" or time.monotonic() >= deadline:
                raise VideoConfigurationError(
                    f"Mux upload {upload_id} is {upload.status} and has made no asset. Upload the file again."
                )
            time.sleep(_UPLOAD_PAUSE)

    def _to_job(self, asset: MuxAsset, *, key: str | None = None) -> VideoJob:
        state, status, stage = state_of(self.vendor, asset.status, STATES), asset.status, None
        if state is JobState.SUCCEEDED and (waits := _files_preparing(asset)):
            state, status, stage = JobState.RUNNING, FILES_PREPARING, f"waiting for {', '.join(waits)}"
        error = None
        if state is JobState.FAILED:
            errors = asset.errors
            error = JobError(code=errors and errors.type, message=errors and ("; ".join(errors.messages) or None))
        done = asset.progress.progress if asset.progress and state is JobState.RUNNING else None
        return VideoJob(
            vendor=self.vendor,
            job_id=asset.id,
            state=state,
            vendor_status=status,
            progress=share_of(done, 100) if done is not None and done >= 0 and stage is None else None,
            stage=stage or (asset.progress.state if asset.progress else None),
            name=asset.meta.title if asset.meta else None,
            key=key or asset.passthrough,
            error=error,
            created_at=asset.created_at,
        )


def _read_signature(header: str) -> tuple[str, list[str]]:
    """Return the time and all signatures of version 1 in ``t=...,v1=...``."""
    pairs = [part.strip().partition("=") for part in header.split(",")]
    times = {value for name, _, value in pairs if name == "t"}
    signatures = [value.lower() for name, _, value in pairs if name == "v1"]
    return (times.pop() if len(times) == 1 else ""), signatures[:_MOST_SIGNATURES]


def _files_preparing(asset: MuxAsset) -> list[str]:
    """Return the names of the files of a ready asset that are still made."""
    names = [file.name for file in asset.files if file.status in (None, "preparing")]
    return [*names, *(["the master"] if asset.master and asset.master.status == "preparing" else [])]


def _with_key(request: Mapping[str, Any], key: str | None) -> dict[str, Any]:
    body = dict(request)
    if key is None:
        return body
    meta = body.get("meta") or {}
    if not isinstance(meta, Mapping):
        raise VideoConfigurationError("Mux's 'meta' must be an object.")
    passthrough, external_id = body.get("passthrough") or key, meta.get("external_id") or key
    if key not in (passthrough, external_id):
        raise SubmissionKeyConflictError(
            "The request fills both 'passthrough' and 'meta.external_id'; leave one of them to the submission key."
        )
    return {**body, "passthrough": passthrough, "meta": {**meta, "external_id": external_id}}
