# SPDX-License-Identifier: Apache-2.0
"""
Oxolo: product videos, made from a web page, a form or product data.

Facts come from ``oxolo.com/documentation`` as it stood in 2023-24. The vendor switched the service off on 31 August
2024, so nothing here can be checked against it any more.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, BinaryIO, ClassVar, Literal, TypeVar

from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
)
from airflow_video_providers.hooks.base import KeySupport, VideoHook, raise_if_unfinished
from airflow_video_providers.hooks.common import (
    HeaderAuth,
    id_in_path,
    not_surely_absent,
    readable,
    share_of,
    state_of,
)
from airflow_video_providers.hooks.oxolo.schemas import (
    OxoloAnswer,
    OxoloCreatedVideo,
    OxoloListedVideo,
    OxoloVideo,
    OxoloWebhook,
)
from airflow_video_providers.hooks.uploads import post_form
from airflow_video_providers.jobs import JobState, VideoJob, VideoOutput

log = logging.getLogger(__name__)

T = TypeVar("T")

MODES = ("url", "form", "product")

STATES = {"in_progress": JobState.RUNNING, "done": JobState.SUCCEEDED, "failed": JobState.FAILED}

_LIST = "GET /videos"

CLOCK_MARGIN = timedelta(seconds=60)
"""How far the vendor's clock may be behind ours when it says when a video was created."""


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
    default_conn_name = "oxolo_default"
    vendor = "oxolo"
    default_base_url = "https://api.oxolo.com/v1/api"
    key_support: ClassVar[KeySupport] = KeySupport.BEST_EFFORT

    def make_auth(self) -> HeaderAuth:
        """Return what adds the API key to a request."""
        return HeaderAuth("authorization", self.secret())

    # ------------------------------------------------------------------ jobs

    def submit_job(self, request: Mapping[str, Any], *, key: str | None = None) -> VideoJob:
        """
        Buy one render (5 credits).

        :param request: Oxolo's body, and beside it ``mode``: ``url``, ``form`` or ``product``, which chooses the
            endpoint and is not sent.
        :param key: not sent, since Oxolo gives nothing of it back.
        :raises VideoConfigurationError: ``mode`` is missing or unknown.
        :raises VideoApiError: ``outcome_unknown`` tells whether a job may exist all the same.
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
        """
        Look at one job.

        :raises VideoApiNotFoundError: the vendor does not know it, or no longer.
        """
        return self._to_job(self.get_video(job_id))

    def find_job(self, key: str, *, request: Mapping[str, Any], since: datetime) -> VideoJob | None:
        """
        Find the oldest video created since then, of the same mode, with the same title (or web page, by url).

        One request for the list, and one for each video created since. Two requests with the same title or address at
        the same time cannot be told apart: give each video a title of its own. A minute is allowed between the clocks.
        A video of which the list does not say readably when it was created is passed over, so that an older one of the
        same title is never taken for this one.

        :raises VideoApiUnreadableAnswerError: none is found, but one that cannot be read may be it.
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
            elif item.created >= since - CLOCK_MARGIN:
                recent.append((item.created, item.identifier))
        for _, identifier in sorted(recent):
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
            raise not_surely_absent(len(unread), vendor=self.vendor, endpoint=_LIST)
        return None

    def get_outputs(self, job_id: str) -> list[VideoOutput]:
        """
        Return the video, its thumbnail and its subtitles (WebVTT), with freshly asked links.

        :raises VideoApiNotFoundError: the video is gone.
        :raises VideoJobError: the video is not done, or failed.
        """
        video = self.get_video(job_id)
        raise_if_unfinished(self._to_job(video))
        link = video.video_link or video.un_wateremark_link
        if not link:
            raise VideoApiUnreadableAnswerError(
                "the video is done, but the answer names neither video_link nor un_wateremark_link",
                vendor=self.vendor,
                endpoint="GET /videos/{id}",
            )
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
        :raises SourceError: the stream ended before ``size`` bytes.
        """
        if options:
            raise VideoConfigurationError(f"Oxolo's upload knows no option {', '.join(sorted(options))}.")
        endpoint = "POST /assets/media/request"
        answer = post_form(
            self.client,
            "/assets/media/request",
            stream=stream,
            name=name,
            size=size,
            media_type=media_type,
            fields={"media_type": "IMAGE"},
            endpoint=endpoint,
            decode=True,
        )
        return self._results(str, answer, endpoint, outcome_unknown=True)

    def check_connection(self) -> str:
        """Ask for the credits that are left, which costs none."""
        return f"Oxolo accepted the API key; {self.get_credits():g} credits are left."

    def _to_job(self, video: OxoloVideo, *, key: str | None = None) -> VideoJob:
        return VideoJob(
            vendor=self.vendor,
            job_id=video.identifier,
            state=state_of(self.vendor, video.status, STATES),
            vendor_status=video.status,
            progress=share_of(_number(video.progress), 100),
            stage=video.stagText or None,
            name=video.title,
            key=key,
            created_at=video.createDateTime,
            updated_at=video.lastChangedDateTime,
        )

    def _results(self, model: type[T], answer: Any, endpoint: str, *, outcome_unknown: bool = False) -> T:
        envelope: type[OxoloAnswer[T]] = OxoloAnswer[model]  # type: ignore[valid-type]  # a model made at run time
        return self.client.parse(envelope, answer, endpoint=endpoint, outcome_unknown=outcome_unknown).results

    # ------------------------------------------------------------------ endpoints: videos

    def create_video_from_url(self, body: Mapping[str, Any]) -> OxoloCreatedVideo:
        """``POST /videos/create/url``: buy a video about a web page (``url``, ``template_id``)."""
        return self._create("url", body)

    def create_video_from_form(self, body: Mapping[str, Any]) -> OxoloCreatedVideo:
        """``POST /videos/create/form``: buy a video from ``title``, ``text`` and ``media`` (ids of images)."""
        return self._create("form", body)

    def create_video_from_product(self, body: Mapping[str, Any]) -> OxoloCreatedVideo:
        """``POST /videos/create/product``: buy a video from the data of a product."""
        return self._create("product", body)

    def _create(self, mode: str, body: Mapping[str, Any]) -> OxoloCreatedVideo:
        path = f"/videos/create/{mode}"
        answer = self.client.call_json("POST", path, endpoint=f"POST {path}", json=dict(body))
        return self._results(OxoloCreatedVideo, answer, f"POST {path}", outcome_unknown=True)

    def get_video(self, video_id: str) -> OxoloVideo:
        """``GET /videos/{id}``: the whole video, its links included."""
        endpoint = "GET /videos/{id}"
        answer = self.client.get_json(f"/videos/{id_in_path(video_id)}", endpoint=endpoint)
        return self._results(OxoloVideo, answer, endpoint)

    def get_video_status(self, video_id: str) -> str:
        """``GET /videos/{id}/status``: ``in_progress``, ``done`` or ``failed``."""
        endpoint = "GET /videos/{id}/status"
        answer = self.client.get_json(f"/videos/{id_in_path(video_id)}/status", endpoint=endpoint)
        return self._results(str, answer, endpoint)

    def get_videos(
        self,
        *,
        sort_field: Literal["created", "updated"] | None = None,
        sort_type: Literal["asc", "desc"] | None = None,
    ) -> list[OxoloListedVideo]:
        """``GET /videos``: ids and times of all videos, by default in order of creation; there is no paging."""
        return self._listed(sortField=sort_field, sortType=sort_type)[0]

    def _listed(self, **params: str | None) -> tuple[list[OxoloListedVideo], list[Any]]:
        answer = self.client.get_json("/videos", endpoint=_LIST, params=_given(params))
        items = self._results(list[Any], answer, _LIST)
        return readable(OxoloListedVideo, items, vendor=self.vendor, endpoint=_LIST)

    def delete_video(self, video_id: str) -> str:
        """``DELETE /videos/{id}/del``: remove a video for good; whether it works while one runs is not documented."""
        endpoint = "DELETE /videos/{id}/del"
        answer = self.client.call_json("DELETE", f"/videos/{id_in_path(video_id)}/del", endpoint=endpoint)
        return self._results(str, answer, endpoint)

    # ------------------------------------------------------------------ endpoints: media, catalogue, account

    def get_media_list(self, *, skip: int | None = None, take: int | None = None) -> Any:
        """``GET /assets/media``: the uploaded images, as the vendor gives them."""
        return self._get("/assets/media", "GET /assets/media", skip=skip, take=take)

    def get_media(self, media_id: str) -> Any:
        """``GET /assets/IMAGE/{id}``: one uploaded image, as the vendor gives it."""
        return self._get(f"/assets/IMAGE/{id_in_path(media_id)}", "GET /assets/IMAGE/{id}")

    def delete_media(self, media_id: str) -> Any:
        """``DELETE /assets/media/{id}``: remove an uploaded image."""
        endpoint = "DELETE /assets/media/{id}"
        answer = self.client.call_json("DELETE", f"/assets/media/{id_in_path(media_id)}", endpoint=endpoint)
        return None if answer is None else self._results(Any, answer, endpoint)

    def get_catalogue(
        self,
        *,
        filter: Literal["ACTOR", "VOICE", "TEMPLATE", "MUSIC"] | None = None,
        skip: int | None = None,
        take: int | None = None,
    ) -> dict[str, Any]:
        """``GET /catalogue``: actors, voices, templates and music, each by its id."""
        endpoint = "GET /catalogue"
        answer = self.client.get_json(
            "/catalogue", endpoint=endpoint, params=_given({"filter": filter, "skip": skip, "take": take})
        )
        return self._results(dict[str, Any], answer, endpoint)

    def get_catalogue_item(self, item_id: str) -> Any:
        """``GET /catalogue/{id}``: one actor, voice, template or piece of music."""
        return self._get(f"/catalogue/{id_in_path(item_id)}", "GET /catalogue/{id}")

    def get_credits(self) -> float:
        """``GET /account/credits``: how many credits are left; a video costs 5."""
        endpoint = "GET /account/credits"
        return self._results(float, self.client.get_json("/account/credits", endpoint=endpoint), endpoint)

    def get_plan(self) -> Any:
        """``GET /account/plan``: the plan of the account, as the vendor gives it."""
        return self._get("/account/plan", "GET /account/plan")

    def _get(self, path: str, endpoint: str, **params: Any) -> Any:
        answer = self.client.get_json(path, endpoint=endpoint, params=_given(params))
        return self._results(Any, answer, endpoint)

    def subscribe_webhook(
        self, *, event_type: Literal["videoUpdateStatus", "videoProgress", "userCredit", "all"], system_id: str
    ) -> OxoloWebhook:
        """
        ``POST /webhooks``: send events of the whole account to a system that Oxolo's support has registered.

        The vendor wants the API key in the body and repeats it in the answer; it is left out of what is returned.
        """
        endpoint = "POST /webhooks"
        body = {"eventType": event_type, "apiKey": self.secret(), "systemId": system_id}
        answer = self.client.call_json("POST", "/webhooks", endpoint=endpoint, json=body)
        results = dict(self._results(dict[str, Any], answer, endpoint, outcome_unknown=True))
        results.pop("apiKey", None)
        return self.client.parse(OxoloWebhook, results, endpoint=endpoint, outcome_unknown=True)


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


def _given(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}
