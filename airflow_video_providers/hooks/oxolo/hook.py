# SPDX-License-Identifier: Apache-2.0
"""
Oxolo: product videos, made from a web page, a form or product data.

Facts come from ``oxolo.com/documentation`` as it stood in 2023-24. The vendor switched the service off on 31 August
2024, so nothing here can be checked against it any more.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, ClassVar, Literal

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks import callbacks, common, lists
from airflow_video_providers.hooks.base import KeySupport, VideoHook
from airflow_video_providers.hooks.oxolo import schemas
from airflow_video_providers.hooks.oxolo.requests import OxoloVideoRequest
from airflow_video_providers.hooks.requests import VendorRequest
from airflow_video_providers.hooks.uploads import post_form, refuse_options
from airflow_video_providers.jobs import JobState, VideoJob, VideoOutput

log = logging.getLogger(__name__)

MODES = ("url", "form", "product")

STATES = {"in_progress": JobState.RUNNING, "done": JobState.SUCCEEDED, "failed": JobState.FAILED}

_MOST_READ = 200
_LIST = "GET /videos"

Event = Literal["videoUpdateStatus", "videoProgress", "userCredit", "all"]


class OxoloHook(VideoHook):
    """
    Oxolo's API behind one Airflow connection. The vendor closed on 31 August 2024.

    The connection's ``password`` is the API key, sent raw as ``authorization``. Oxolo gives no key of ours back, so a
    job is found again by its title or web page among those created since: ``key_support`` is ``BEST_EFFORT``. No way
    to end a running video is documented, so a render cannot be cancelled.

    :param conn_id: the Airflow connection (default ``oxolo_default``).
    """

    conn_type = "oxolo"
    hook_name = "Oxolo"
    default_base_url = "https://api.oxolo.com/v1/api"
    key_support: ClassVar[KeySupport] = KeySupport.BEST_EFFORT

    def make_auth(self) -> common.HeaderAuth:
        """Return what adds the API key to a request."""
        return common.HeaderAuth("authorization", self.secret())

    # ------------------------------------------------------------------ jobs

    def request_model(self, request: Mapping[str, Any]) -> type[VendorRequest]:
        """Return the model of the request's form."""
        return OxoloVideoRequest

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Submit one render (5 credits).

        :param request: Oxolo's body, and beside it ``mode``: ``url``, ``form`` or ``product``, which chooses the
            endpoint and is not sent.
        :param key: not sent, since Oxolo gives nothing of it back.
        :raises VideoConfigurationError: ``mode`` is missing or unknown.
        """
        body = dict(request)
        mode = _mode(body.pop("mode", None))
        created = self._create(mode, body)
        title = request.get("title")
        return VideoJob(
            vendor=self.vendor,
            job_id=created.identifier,
            state=JobState.RUNNING,
            vendor_status="in_progress",
            name=title if isinstance(title, str) else None,
            key=key,
        )

    def get_job(self, job_id: str) -> VideoJob:
        """Poll one job."""
        return self._to_job(self.get_video(job_id))

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Find the oldest video created since then, of the same mode, with the same title (or web page, by url).

        One request for the list, and one for each video created since, the oldest first, 200 at the most. Two requests
        with the same title or address at the same time cannot be told apart: give each video a title of its own. A
        minute is allowed between the clocks.
        A video of which the list does not say readably when it was created is passed over, so that an older one of the
        same title is never taken for this one.
        """
        mode = _mode(request.get("mode"))
        wanted = _likeness(request.get("url") if mode == "url" else request.get("title"))
        if wanted is None:
            return None
        recent = []
        listed, unread = self._listed()
        for item in listed:
            if item.created is None:
                log.warning("oxolo: the list does not say readably when video %s was created", item.identifier)
            elif item.created >= since - lists.CLOCK_MARGIN:
                recent.append((item.created, item.identifier))
        ours_first = [identifier for _, identifier in sorted(recent)]
        unread += ours_first[_MOST_READ:]
        for identifier in ours_first[:_MOST_READ]:
            try:
                video = self.get_video(identifier)
            except VideoApiNotFoundError:
                continue  # deleted since the list was made
            except VideoApiUnreadableAnswerError as error:
                log.warning("%s; video %s is passed over", error, identifier)
                unread.append(identifier)
                continue
            if video.generated_from and video.generated_from.lower() != mode:
                continue
            job = self._to_job(video, key=key)
            seen = _likeness(video.website if mode == "url" else video.title)
            if seen == wanted and job.state is not JobState.FAILED:
                return job
        if unread:
            raise lists.not_surely_absent(len(unread), vendor=self.vendor, endpoint=_LIST)
        return None

    def search_terms(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Return the mode, title and web page, by which a video is searched."""
        return {name: request[name] for name in ("mode", "title", "url") if name in request}

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """Return the video, its thumbnail and its subtitles (WebVTT), with freshly asked links."""
        video = self.get_video(job_id)
        named, field = video.video_link or video.un_wateremark_link, "video_link or un_wateremark_link"
        link = common.require_link(self._to_job(video), named, field, endpoint="GET /videos/{id}")
        shared = {"output_id": video.identifier, "name": video.title}
        outputs = [VideoOutput(kind="video", url=link, **shared)]
        if video.thumbnail:
            outputs.append(VideoOutput(kind="thumbnail", url=video.thumbnail, **shared))
        if video.s3_vtt_path:
            outputs.append(VideoOutput(kind="subtitles", url=video.s3_vtt_path, media_type="text/vtt", **shared))
        return outputs

    def upload_media(
        self, stream: BinaryIO, *, name: str, size: int, media_type: str | None = None, **options: Any
    ) -> str:
        """
        Upload an image for the ``media`` of modes ``form`` and ``product``, streamed; return its id.

        ``POST /assets/media/request``. Sent once, since a stream cannot be read again.

        :param media_type: of the image, e.g. ``image/png`` (default ``application/octet-stream``).
        """
        refuse_options(self.hook_name, options)
        path = "/assets/media/request"
        answer = post_form(
            self.client,
            path,
            stream=stream,
            name=name,
            size=size,
            media_type=media_type,
            fields={"media_type": "IMAGE"},
            endpoint=f"POST {path}",
            decode=True,
        )
        uploaded = self.client.parse(schemas.OxoloUpload, answer, endpoint=f"POST {path}", outcome_unknown=True)
        return uploaded.results

    def callback_job_id(self, document: Mapping[str, Any]) -> Any:
        """
        Return the video's id, where the event has an ``identifier`` like the vendor's other documents.

        The body of an event is not documented: ``identifier`` is read at its top, and under ``data`` and ``results``.
        """
        parts = [document, callbacks.part_of(document, "data"), callbacks.part_of(document, "results")]
        return next((part["identifier"] for part in parts if "identifier" in part), None)

    def check_connection(self) -> str:
        """Ask for the credits that are left, which costs none."""
        return f"Oxolo accepted the API key; its balance is {common.count_of(self.get_credits(), 'credit')}."

    def _to_job(self, video: schemas.OxoloVideo, *, key: str | None = None) -> VideoJob:
        return VideoJob(
            vendor=self.vendor,
            job_id=video.identifier,
            state=common.state_of(self.vendor, video.status, STATES),
            vendor_status=video.status,
            progress=common.share_of(_number(video.progress), 100),
            stage=video.stagText or None,
            name=video.title,
            key=key,
            created_at=video.createDateTime,
            updated_at=video.lastChangedDateTime,
        )

    # ------------------------------------------------------------------ endpoints

    def create_video_from_url(self, body: Mapping[str, Any]) -> schemas.OxoloCreatedVideo:
        """``POST /videos/create/url``: submit a video about a web page (``url``, ``template_id``)."""
        return self._create("url", body)

    def create_video_from_form(self, body: Mapping[str, Any]) -> schemas.OxoloCreatedVideo:
        """``POST /videos/create/form``: submit a video from ``title``, ``text`` and ``media`` (ids of images)."""
        return self._create("form", body)

    def create_video_from_product(self, body: Mapping[str, Any]) -> schemas.OxoloCreatedVideo:
        """``POST /videos/create/product``: submit a video from the data of a product."""
        return self._create("product", body)

    def _create(self, mode: str, body: Mapping[str, Any]) -> schemas.OxoloCreatedVideo:
        return self.fetch(
            schemas.OxoloCreatedVideo, "POST", f"/videos/create/{mode}", envelope="results", json=dict(body)
        )

    def get_video(self, video_id: str) -> schemas.OxoloVideo:
        """``GET /videos/{id}``: the whole video, its links included."""
        return self.fetch(schemas.OxoloVideo, "GET", "/videos/{id}", envelope="results", id=video_id)

    def get_video_status(self, video_id: str) -> str:
        """``GET /videos/{id}/status``: ``in_progress``, ``done`` or ``failed``."""
        return self.fetch(str, "GET", "/videos/{id}/status", envelope="results", id=video_id)

    def get_videos(
        self,
        *,
        sort_field: Literal["created", "updated"] | None = None,
        sort_type: Literal["asc", "desc"] | None = None,
    ) -> list[schemas.OxoloListedVideo]:
        """``GET /videos``: ids and times of all videos, by default in order of creation; there is no paging."""
        return self._listed(sortField=sort_field, sortType=sort_type)[0]

    def _listed(self, **params: str | None) -> tuple[list[schemas.OxoloListedVideo], list[Any]]:
        items = self.fetch(list[Any], "GET", "/videos", envelope="results", params=params)
        return lists.readable(schemas.OxoloListedVideo, items, vendor=self.vendor, endpoint=_LIST)

    def delete_video(self, video_id: str) -> str:
        """``DELETE /videos/{id}/del``: remove a video for good; whether it works while one runs is not documented."""
        return self.fetch(str, "DELETE", "/videos/{id}/del", envelope="results", id=video_id)

    def get_media_list(self, *, skip: int | None = None, take: int | None = None) -> Any:
        """``GET /assets/media``: the uploaded images, as the vendor gives them."""
        return self.fetch(object, "GET", "/assets/media", envelope="results", params={"skip": skip, "take": take})

    def get_media(self, media_id: str) -> Any:
        """``GET /assets/IMAGE/{id}``: one uploaded image, as the vendor gives it."""
        return self.fetch(object, "GET", "/assets/IMAGE/{id}", envelope="results", id=media_id)

    def delete_media(self, media_id: str) -> None:
        """``DELETE /assets/media/{id}``: remove an uploaded image."""
        self.fetch(None, "DELETE", "/assets/media/{id}", id=media_id)

    def get_catalogue(
        self,
        *,
        filter: Literal["ACTOR", "VOICE", "TEMPLATE", "MUSIC"] | None = None,
        skip: int | None = None,
        take: int | None = None,
    ) -> dict[str, Any]:
        """``GET /catalogue``: actors, voices, templates and music, each by its id."""
        params = {"filter": filter, "skip": skip, "take": take}
        return self.fetch(dict[str, Any], "GET", "/catalogue", envelope="results", params=params)

    def get_catalogue_item(self, item_id: str) -> Any:
        """``GET /catalogue/{id}``: one actor, voice, template or piece of music."""
        return self.fetch(object, "GET", "/catalogue/{id}", envelope="results", id=item_id)

    def get_credits(self) -> float:
        """``GET /account/credits``: how many credits are left; a video costs 5."""
        return self.fetch(float, "GET", "/account/credits", envelope="results")

    def get_plan(self) -> Any:
        """``GET /account/plan``: the plan of the account, as the vendor gives it."""
        return self.fetch(object, "GET", "/account/plan", envelope="results")

    def subscribe_webhook(self, *, event_type: Event | Sequence[Event], system_id: str) -> schemas.OxoloWebhook:
        """
        ``POST /webhooks``: send events of the whole account to a system that Oxolo's support has registered.

        The vendor wants the API key in the body and repeats it in the response; it is left out of what is returned.

        :param event_type: one or several; sent as a list, as the later documentation had it.
        """
        events = [event_type] if isinstance(event_type, str) else list(event_type)
        body = {"eventType": events, "apiKey": self.secret(), "systemId": system_id}
        return self.fetch(schemas.OxoloWebhook, "POST", "/webhooks", envelope="results", json=body)


def _mode(mode: Any) -> str:
    if mode not in MODES:
        raise VideoConfigurationError(f"An Oxolo request needs 'mode': one of {', '.join(MODES)}, not {mode!r}.")
    return str(mode)


def _likeness(text: Any) -> str | None:
    """Return a title or address in the form in which two of them are compared; None where there is none."""
    return (str(text).strip().rstrip("/") or None) if text is not None else None


def _number(text: str | None) -> float | None:
    """Read Oxolo's progress, a text that holds a number; its form is not documented further."""
    match = re.fullmatch(r"\s*(-?\d+(?:\.\d+)?)\s*%?\s*", text or "")
    return float(match[1]) if match else None
