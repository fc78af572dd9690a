# SPDX-License-Identifier: Apache-2.0
"""How a hook has a vendor call Airflow, and how it tells a genuine callback."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks import callbacks
from airflow_video_providers.hooks.connection import ConnectedHook
from airflow_video_providers.jobs import CallbackHint


class CallbackHook(ConnectedHook):
    """
    The callbacks' half of a :class:`~airflow_video_providers.hooks.base.VideoHook`.

    Nothing of it is needed: without it, waits poll.
    """

    signs_callbacks: ClassVar[bool] = False
    """Whether the vendor signs what it posts to the webhook of an account, so that its address needs no token."""
    callback_window: ClassVar[float | None] = None
    """
    How old, or how far ahead, a callback may be by the time that the vendor sends with it, in seconds.

    None: it sends no time, so that a callback that someone has heard can be sent again at any time.
    """
    takes_callback: ClassVar[bool]
    """Whether a request can name the address of its callback: :meth:`callback_request`."""
    can_register_callback: ClassVar[bool]
    """Whether :meth:`register_callback` registers the webhook of an account."""

    def callback_url(self, base_url: str, key: str | None = None) -> str:
        """
        Return the address for callbacks to this connection: ``{base_url}/video-callbacks/{conn_id}``.

        It is a credential where it has a query: never log it.

        :param base_url: the public address of Airflow's API server.
        :param key: the submission key of one job, which goes into the query with a token that is bound to it; None:
            the address of an account's webhook, whose token, needed where the vendor does not sign, is bound to the
            connection alone.
        :raises VideoConfigurationError: the base URL is none, or the connection has no ``callback_secret``.
        """
        token = None
        if key is not None or not self.signs_callbacks:
            token = callbacks.make_token(self.callback_secret(), conn_id=self.conn_id, key=key)
        return callbacks.make_address(base_url, conn_id=self.conn_id, key=key, token=token)

    def callback_secret(self) -> str:
        """
        Return the connection's extra ``callback_secret``.

        :raises VideoConfigurationError: it is not set.
        """
        secret = self.settings.callback_secret
        if secret is None:
            raise VideoConfigurationError(
                f"Connection {self.conn_id!r} has no callback secret: put a random text of 16 characters or more, or "
                "the secret of the vendor's webhook, into its extra 'callback_secret'."
            )
        return secret

    def callback_request(self, request: Mapping[str, Any], *, url: str, key: str) -> dict[str, Any]:
        """
        Return a new request whose callback goes to Airflow; the one given is left as it is.

        :param url: what :meth:`callback_url` returned for this key.
        :raises VideoConfigurationError: the vendor takes no callback in this request, or the request fills the field
            already. Nothing was sent.
        """
        how = " Register the webhook of the account instead." if self.can_register_callback else ""
        raise VideoConfigurationError(f"{self.hook_name} documents no callback of a single job.{how} Nothing was sent.")

    def register_callback(self, url: str) -> str | None:
        """
        Register an address as the webhook of the account; the vendor's API must offer it.

        :param url: what :meth:`callback_url` returned without a key.
        :return: the secret that the vendor signs with, for the connection's extra ``callback_secret``; None where it
            gives none.
        :raises VideoConfigurationError: the vendor documents no such call.
        """
        raise VideoConfigurationError(f"{self.hook_name} documents no call by which a webhook can be registered.")

    def verify_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackHint:
        """
        Check that a callback is genuine, and return what it names. It is a hint: poll the job before you act on it.

        Default, for vendors that do not sign: the token of the address, which a server hands in as the header
        ``X-Video-Callback-Token``, must be the one of this connection and of the key in ``X-Video-Callback-Key``; the
        job id is what :meth:`callback_job_id` reads.

        :param headers: of the request; their names are read in any case.
        :param body: as it came, byte for byte.
        :raises VideoCallbackRefusedError: it is forged, stale, too long or cannot be read; its ``status`` is that of
            the response.
        """
        callbacks.check_size(body)
        key, _ = callbacks.check_address_token(self.verifying_secret(), headers, conn_id=self.conn_id)
        document = callbacks.read_document(headers, body)
        return callbacks.make_hint(job_id=self.callback_job_id(document), key=key)

    def verifying_secret(self) -> str:
        """
        Return the connection's ``callback_secret``, to verify a callback with.

        :raises VideoCallbackRefusedError: it is not set, so that no callback is expected: 401.
        """
        secret = self.settings.callback_secret
        if secret is None:
            raise callbacks.forged()
        return secret

    def callback_job_id(self, document: Mapping[str, Any]) -> Any:
        """
        Return the id of the job that the body of a callback names, as it stands there.

        Default: None, the key alone tells the job. What is no text or number names no job.
        """
        return None

    def job_id_of(self, candidate: str) -> str:
        """
        Return the id of the job that an id of a callback's links stands for; it may be that of no job at all.

        Default: the candidate itself.

        :param candidate: one of :attr:`CallbackHint.candidates`.
        :raises VideoApiError: the vendor does not tell now.
        """
        return candidate

    def callback_event_id(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """
        Return the vendor's id of a verified event, the same in each repetition; None: the vendor gives none.

        It may stand outside of what is signed: drop repeats by it, prove nothing with it.
        """
        return None
