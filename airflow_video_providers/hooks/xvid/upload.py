# SPDX-License-Identifier: Apache-2.0
"""Source media into Xvid's store, in the four steps of the manual's pages ``api/files/uploads``."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING, Any, BinaryIO

from airflow_video_providers.api.errors import LONGEST_MESSAGE
from airflow_video_providers.exceptions import DestinationError, VideoConfigurationError
from airflow_video_providers.hooks.uploads import post_form
from airflow_video_providers.text.redaction import clean_reason

if TYPE_CHECKING:
    from airflow_video_providers.api.client import VideoApiClient
    from airflow_video_providers.api.errors import Redact
    from airflow_video_providers.hooks.xvid.endpoints import XvidEndpoints
    from airflow_video_providers.hooks.xvid.schemas import Upload

log = logging.getLogger(__name__)

UPLOADING = "UPLOADING"
PENDING = frozenset({UPLOADING, "COMPLETING", "QUEUED", "PROCESSING"})
FAILED = frozenset({"FAILURE", "FAILED", "ERROR", "CANCELLED", "CANCELED", "ABORTED", "EXPIRED"})
_FORM_ENDPOINT = "POST form_post_url"
_POLL_SECONDS = (0.5, 5.0)


def as_wait(seconds: Any) -> float:
    """
    Return the option ``wait_seconds``, which a rendered template gives as a number or as its text.

    :raises VideoConfigurationError: it is no number of seconds, 0 or more.
    """
    try:
        wait = float(seconds)
    except (TypeError, ValueError, OverflowError):
        wait = math.nan
    if not 0 <= wait < math.inf:
        raise VideoConfigurationError(f"wait_seconds must be a number of seconds, 0 or more, not {seconds!r}")
    return wait


def upload_file(
    hook: XvidEndpoints,
    storage: VideoApiClient,
    stream: BinaryIO,
    *,
    name: str,
    size: int,
    media_type: str | None,
    pipeline_id: str,
    expires_at: int | None,
    wait_seconds: float,
    done_status: str | None,
) -> str:
    """
    Send a stream to Xvid and return the name by which a job reads it.

    :param storage: a client without credentials: the form goes to the store, and its policy is signed.
    """
    upload = hook.create_upload(name, pipeline_id=pipeline_id, expires_at=expires_at)
    form_url, form_fields = upload.form_post_url, upload.form_post_params
    if not form_url or form_fields is None:
        raise DestinationError(f"xvid: upload {upload.id} came without a form to post the file to")
    # The file comes last: a store reads no field behind it.
    post_form(
        storage,
        form_url,
        stream=stream,
        name=name.rsplit("/", 1)[-1],
        size=size,
        media_type=media_type,
        fields=form_fields,
        endpoint=_FORM_ENDPOINT,
    )
    _wait(hook, hook.complete_upload(upload.id), wait_seconds=wait_seconds, done_status=done_status)
    return upload.object_key or name


def _wait(hook: XvidEndpoints, upload: Upload, *, wait_seconds: float, done_status: str | None) -> None:
    deadline = time.monotonic() + wait_seconds
    pause, longest_pause = _POLL_SECONDS
    while not _is_done(upload, done_status, hook.client.redact):
        if time.monotonic() >= deadline:
            if upload.status == UPLOADING and done_status is None:
                # Store and API took the file and the word that it is whole, and the name of the last status is unknown.
                log.warning("xvid: upload %s was taken, but Xvid still says %s", upload.id, upload.status)
                return
            raise DestinationError(
                f"xvid: upload {upload.id} is still {upload.status} after {wait_seconds:g} s; Xvid removes an "
                "unused upload by itself"
            )
        time.sleep(pause)
        pause = min(pause * 2, longest_pause)
        upload = hook.read_upload(upload.id)


def _is_done(upload: Upload, done_status: str | None, redact: Redact) -> bool:
    """Tell whether the store has the file: the manual names no final status, so any that is not known counts."""
    status = upload.status
    if upload.error_code or upload.error_msg or status in FAILED:
        reason = upload.error_msg or upload.error_code or "no reason given"
        raise DestinationError(f"xvid: upload {upload.id} ended as {status}: {redact(reason, longest=LONGEST_MESSAGE)}")
    if done_status is not None:
        return status == done_status
    if status in PENDING:
        return False
    log.info("xvid: upload %s ended as %s", clean_reason(upload.id, longest=100), clean_reason(status, longest=100))
    return True
