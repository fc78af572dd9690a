# SPDX-License-Identifier: Apache-2.0
"""HeyGen's endpoints, one method each, and its errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from airflow_video_providers.api.errors import VendorError, parse_error
from airflow_video_providers.exceptions import VideoApiUnavailableError
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.heygen.schemas import (
    HeyGenBatch,
    HeyGenCreated,
    HeyGenSession,
    HeyGenUpload,
    HeyGenVideo,
    HeyGenVideoStatus,
    HeyGenWebhook,
)
from airflow_video_providers.hooks.lists import readable


class HeyGenEndpoints(VideoHook, abstract=True):
    """What HeyGen's API offers; :class:`HeyGenHook` makes a video hook of it."""

    def parse_error(self, body: Any) -> VendorError:
        """
        Read HeyGen's error form: ``error`` with ``code``, ``message`` and ``param``.

        ``request_in_progress`` says that the first request with this idempotency key is still worked on.
        """
        said = parse_error(body)
        error = body.get("error") if isinstance(body, Mapping) else None
        if isinstance(error, Mapping) and isinstance(error.get("param"), str):
            said = replace(said, fields={error["param"]: said.message})
        if said.code == "request_in_progress":
            return replace(said, cause=VideoApiUnavailableError, outcome_unknown=True)
        return said

    def create_video(self, body: Mapping[str, Any], *, key: str | None = None) -> HeyGenCreated:
        """``POST /v3/videos``: create a video. :param key: of ``Idempotency-Key``; replayed for 24 hours."""
        return self.fetch(
            HeyGenCreated, "POST", "/v3/videos", json=dict(body), headers=_idempotency(key), envelope="data"
        )

    def create_video_from_template(
        self, template_id: str, body: Mapping[str, Any], *, key: str | None = None
    ) -> HeyGenCreated:
        """``POST /v3/templates/{template_id}``: create a video from a template; ``key`` as above, for this template."""
        return self.fetch(
            HeyGenCreated,
            "POST",
            "/v3/templates/{template_id}",
            template_id=template_id,
            json=dict(body),
            headers=_idempotency(key),
            envelope="data",
        )

    def create_video_agent(self, body: Mapping[str, Any]) -> HeyGenSession:
        """``POST /v3/video-agents``: create a video from a prompt; no idempotency key is documented."""
        return self.fetch(HeyGenSession, "POST", "/v3/video-agents", json=dict(body), envelope="data")

    def create_batch(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """``POST /v3/videos/batches``: create up to 100 videos; the form of the response is not verified."""
        return self.fetch(dict[str, Any], "POST", "/v3/videos/batches", json=dict(body), envelope="data")

    def get_batch(self, batch_id: str, *, token: str | None = None) -> HeyGenBatch:
        """``GET /v3/videos/batches/{id}``: a page of the videos of a batch."""
        path, params = "/v3/videos/batches/{id}", {"token": token}
        return self.fetch(HeyGenBatch, "GET", path, id=batch_id, params=params, envelope="data")

    def get_video(self, video_id: str) -> HeyGenVideo:
        """``GET /v3/videos/{id}``."""
        return self.fetch(HeyGenVideo, "GET", "/v3/videos/{id}", id=video_id, envelope="data")

    def get_video_statuses(
        self, video_ids: Sequence[str] = (), *, batch_ids: Sequence[str] = ()
    ) -> list[HeyGenVideoStatus]:
        """``GET /v3/videos/statuses``: the status of up to 100 videos; ``not_found`` for one that is not known."""
        params = {"video_ids": ",".join(video_ids) or None, "batch_ids": ",".join(batch_ids) or None}
        path = "/v3/videos/statuses"
        lines = self.fetch(list[Any], "GET", path, params=params, envelope="data")
        return readable(HeyGenVideoStatus, lines, vendor=self.vendor, endpoint=f"GET {path}")[0]

    def _read_videos(self, params: Mapping[str, Any]) -> tuple[list[Any], str | None]:
        """``GET /v3/videos``: one page, as the vendor gives it, and the token of the next one."""
        page = self.fetch(dict[str, Any], "GET", "/v3/videos", params=params)
        items = self.client.parse(list[Any], page.get("data"), endpoint="GET /v3/videos")
        token = page.get("next_token") if page.get("has_more") else None
        return items, token if isinstance(token, str) and token else None

    def list_videos(
        self, *, limit: int = 10, token: str | None = None, folder_id: str | None = None, title: str | None = None
    ) -> list[HeyGenVideo]:
        """``GET /v3/videos``: one page; ``limit`` is 100 at most, ``title`` a part of the title."""
        items, _ = self._read_videos({"limit": limit, "token": token, "folder_id": folder_id, "title": title})
        return self.client.parse(list[HeyGenVideo], items, endpoint="GET /v3/videos")

    def delete_video(self, video_id: str) -> None:
        """``DELETE /v3/videos/{id}``, sent once; what that does to a video in the making is not documented."""
        self.fetch(None, "DELETE", "/v3/videos/{id}", id=video_id, once=True)

    def get_user(self, path: str = "/v3/users/me") -> dict[str, Any]:
        """``GET /v3/users/me``: the user, and the balance under ``wallet``, as the vendor gives them."""
        return self.fetch(dict[str, Any], "GET", path, envelope="data")

    def create_direct_upload(self, filename: str, *, content_type: str, size_bytes: int) -> HeyGenUpload:
        """``POST /v3/assets/direct-uploads``: ask for a link for one PUT."""
        body = {"filename": filename, "content_type": content_type, "size_bytes": size_bytes}
        return self.fetch(HeyGenUpload, "POST", "/v3/assets/direct-uploads", json=body, envelope="data")

    def complete_upload(self, asset_id: str) -> dict[str, Any]:
        """``POST /v3/assets/{id}/complete``: make an upload an asset; the vendor takes it more than once."""
        path = "/v3/assets/{id}/complete"
        return self.fetch(dict[str, Any], "POST", path, id=asset_id, json={}, envelope="data", repeatable=True)

    def create_webhook(
        self, url: str, *, events: Sequence[str] | None = None, entity_id: str | None = None
    ) -> HeyGenWebhook:
        """
        ``POST /v3/webhooks/endpoints``: register an address; the ``secret`` of the response is shown only now.

        :param events: such as ``avatar_video.success``; None: all. :param entity_id: of one thing alone; None: of all.
        """
        body: dict[str, Any] = {"url": url, "events": None if events is None else list(events)}
        if entity_id is not None:
            body["entity_id"] = entity_id
        return self.fetch(HeyGenWebhook, "POST", "/v3/webhooks/endpoints", json=body, envelope="data")

    def get_webhooks(self) -> list[HeyGenWebhook]:
        """``GET /v3/webhooks/endpoints``: the first 100 registered addresses."""
        path, params = "/v3/webhooks/endpoints", {"limit": 100}
        return self.fetch(list[HeyGenWebhook], "GET", path, params=params, envelope="data")

    def rotate_webhook_secret(self, endpoint_id: str) -> HeyGenWebhook:
        """``POST /v3/webhooks/endpoints/{id}/rotate-secret``: make a new secret; the old one is void at once."""
        path = "/v3/webhooks/endpoints/{id}/rotate-secret"
        return self.fetch(HeyGenWebhook, "POST", path, id=endpoint_id, envelope="data", once=True)

    def delete_webhook(self, endpoint_id: str) -> None:
        """``DELETE /v3/webhooks/endpoints/{id}``."""
        self.fetch(None, "DELETE", "/v3/webhooks/endpoints/{id}", id=endpoint_id, once=True)

    def get_webhook_events(
        self, *, event_type: str | None = None, entity_id: str | None = None
    ) -> list[dict[str, Any]]:
        """``GET /v3/webhooks/events``: what was sent to registered addresses, with its ``event_data``."""
        params = {"event_type": event_type, "entity_id": entity_id}
        return self.fetch(list[dict[str, Any]], "GET", "/v3/webhooks/events", params=params, envelope="data")


def _idempotency(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Idempotency-Key": key}
