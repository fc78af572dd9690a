# SPDX-License-Identifier: Apache-2.0
"""
One paid request on its way: what is recorded right before each send, and after each refusal.

| the vendor's responses so far | the record says |
|---|---|
| nothing was sent yet, or all sends were refused | ``refused``, from the last refusal to the next send |
| a send is under way, was accepted, or broke at an unknown point | ``intended`` |

The write before a send is a fence, too: Airflow refuses it to a try that it has replaced, and nothing is sent then.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowRuntimeError

from airflow_video_providers.exceptions import (
    SubmissionSupersededError,
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiUnreadableAnswerError,
    VideoProviderError,
)
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.jobs import VideoJob
from airflow_video_providers.submission.record import RecordStore, SubmissionRecord

if TYPE_CHECKING:
    from requests import PreparedRequest

log = logging.getLogger(__name__)


class Purchase:
    """
    Sends one paid request, and records its sends; lent to the client as its guard meanwhile.

    :param hook: of the connection to submit to.
    :param store: where the record is kept.
    :param record: what is about to be submitted.
    :param in_doubt: an earlier send of the same key may have been accepted: its time is kept, and a refusal settles the
        doubt only where it is the vendor's response to that send.
    """

    def __init__(
        self, hook: VideoHook, store: RecordStore, record: SubmissionRecord, *, in_doubt: bool = False
    ) -> None:
        self.record = record
        self._hook = hook
        self._store = store
        self._doubtful = in_doubt
        self._under_way = self._accepted = False

    def send(self, request: Mapping[str, Any]) -> VideoJob:
        """
        Have the hook submit the request, and return its job.

        :raises SubmissionSupersededError: Airflow has replaced this try by another one; nothing more was sent.
        :raises VideoApiError: the call failed; :attr:`in_doubt` tells whether a render may have been submitted all the
            same. That is so for every response that cannot be used, whatever is wrong with it.
        """
        self.record_intent()  # the guard does so before each send; but a hook may send by other means than the client
        try:
            with self._hook.client.guarded(self):
                return self._hook.submit_job(request, key=self.record.key)
        except VideoApiError as error:
            self.after_failure(error)
            raise
        except SubmissionSupersededError:
            raise
        except VideoProviderError as error:
            if self.in_doubt:
                raise self._unusable(error) from error
            self.record_refusal()
            raise
        except Exception as error:
            if isinstance(error, AirflowRuntimeError) or not self.in_doubt:
                raise
            raise self._unusable(error) from error

    @property
    def in_doubt(self) -> bool:
        """Whether a render may have been submitted."""
        return self._under_way or self._accepted or self._doubtful

    def record_intent(self) -> None:
        """
        Record that a request may be sent from now on.

        :raises SubmissionSupersededError: Airflow has replaced this try by another one.
        """
        now = datetime.now(timezone.utc)
        at = (self.record.intended_at, now) if self.in_doubt else (now, None)
        self._write(self.record.updated(state="intended", intended_at=at[0], sent_at=at[1]))

    def before_send(self, request: PreparedRequest) -> None:
        """Record that a request is about to be sent; raise as :meth:`record_intent` does."""
        self.record_intent()
        self._under_way = True

    def after_response(self, status: int) -> None:
        """Take note of the vendor's status: a request that was accepted is not made undone by a later refusal."""
        self._under_way = False
        self._accepted = self._accepted or 200 <= status < 300 or status == HTTPStatus.SEE_OTHER

    def after_failure(self, error: VideoApiError) -> None:
        """Record that nothing was submitted, if the error proves it."""
        self._under_way = False
        if error.outcome_unknown:
            self._doubtful = True
            if self.record.state == "refused":  # a hook that knows better than the status of the response
                self.record_intent()
        elif not self._accepted and (not self._doubtful or _answers_the_first_send(error)):
            self._doubtful = False
            self.record_refusal()

    def record_refusal(self) -> None:
        """Record that nothing was submitted; a record that cannot be written stays ``intended``, which is safe."""
        if self.record.state == "refused":
            return
        try:
            self._write(self.record.updated(state="refused"))
        except SubmissionSupersededError:
            raise
        except Exception as error:  # the vendor's refusal must not be lost behind it
            log.warning("The refusal of the request cannot be recorded; the next try will search for a job: %s", error)

    def _write(self, record: SubmissionRecord) -> None:
        self._store.write(record)
        self.record = record

    def _unusable(self, error: Exception) -> VideoApiUnreadableAnswerError:
        """Return the error for a request that was sent, and whose response cannot be used."""
        return VideoApiUnreadableAnswerError(
            f"the response cannot be used ({type(error).__name__}: {error})",
            vendor=self._hook.vendor,
            endpoint="the request that submits a job",
            outcome_unknown=True,
        )


def _answers_the_first_send(error: VideoApiError) -> bool:
    """
    Tell whether the refusal of a repeated key is the vendor's response to its first send.

    Of bad credentials, a rate limit or an outage the vendor's front may speak before the key is read; a conflict
    can mean that the key is known.
    """
    if error.status == HTTPStatus.PAYMENT_REQUIRED:
        return True
    return isinstance(error, VideoApiInvalidRequestError) and error.status not in (None, HTTPStatus.CONFLICT)
