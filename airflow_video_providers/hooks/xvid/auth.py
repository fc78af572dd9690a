# SPDX-License-Identifier: Apache-2.0
"""Xvid's OAuth 2.0 token: fetched when first needed, renewed before it expires and once when it is refused."""

from __future__ import annotations

import threading
import time
from http import HTTPStatus
from typing import Any

import requests
from requests.auth import AuthBase

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.exceptions import (
    VideoApiAuthenticationError,
    VideoApiError,
    VideoApiInvalidRequestError,
    VideoApiPermissionError,
)
from airflow_video_providers.hooks.xvid.schemas import Token

TOKEN_ENDPOINT = "POST /oauth2/token/"
_SCHEME = "Bearer "
_LEAD_SECONDS = 30.0


class XvidTokenAuth(AuthBase):
    """
    Adds the access token to a request; one object serves all threads of a connection.

    The token is renewed 30 seconds before it expires (at half of its life, where that is shorter), and once for a
    request whose response is 401 or 403: Xvid says 403 for a token that it no longer knows. A lifetime that is not told
    counts as unlimited. However many threads find the token unusable, one of them renews it, and where that fails, the
    others that waited fail with the same error.

    :param client: sends the token request; without credentials of its own. Each token joins its ``secrets``.
    :param client_id: of the application at Xvid.
    :param client_secret: as Xvid shows it (base64).
    :param scope: comma-separated, e.g. ``mediahub,mediahub_download_files``; None leaves it out.
    :param lifetime: seconds for which a token is asked to be good; None leaves it to Xvid.
    """

    def __init__(
        self,
        client: VideoApiClient,
        *,
        client_id: str,
        client_secret: str,
        scope: str | None = None,
        lifetime: int | None = None,
    ) -> None:
        self._client = client
        self._fields = {
            "grant_type": "client_credential",  # in the singular: Xvid's own spelling
            "client_id": client_id,
            "client_secret": client_secret,
            **({"scope": scope} if scope else {}),
            **({"expires_in": str(lifetime)} if lifetime else {}),
        }
        self._lock = threading.Lock()
        self._token: str | None = None
        self._renew_at: float | None = None
        self._renewals = 0
        self._failure: VideoApiError | None = None

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the token, and see to it that a refusal renews it once."""
        request.headers["Authorization"] = _SCHEME + self.token()
        request.register_hook("response", self._repeat_with_fresh_token)
        return request

    def token(self, *, refused: str | None = None) -> str:
        """
        Return a usable token, renewed where needed.

        :param refused: a token that the vendor did not accept; a newer one is returned without another renewal.
        :raises VideoApiAuthenticationError: the client id or secret is wrong.
        :raises VideoApiError: no token could be had; nothing was sent beyond the request for it.
        """
        if (token := self._usable(refused)) is not None:
            return token
        renewals = self._renewals
        with self._lock:
            if (token := self._usable(refused)) is not None:
                return token
            if self._failure is not None and self._renewals != renewals:
                raise self._failure  # another thread tried while this one waited
            try:
                answer = self._request_token()
            except VideoApiError as error:
                self._failure = error
                raise
            finally:
                self._renewals += 1  # counted at its end: who came in the meantime waited for this one
            self._failure = None
            self._renew_at = _renew_at(answer.expires_in)
            self._token = answer.access_token
            return answer.access_token

    def _usable(self, refused: str | None) -> str | None:
        token, renew_at = self._token, self._renew_at
        if token is None or token == refused or (renew_at is not None and time.monotonic() >= renew_at):
            return None
        return token

    def _repeat_with_fresh_token(self, response: requests.Response, **kwargs: Any) -> requests.Response:
        if response.status_code not in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            return response
        fresh = self.token(refused=response.request.headers["Authorization"].removeprefix(_SCHEME))
        response.close()  # its content is not read: it may be of any size
        request = response.request.copy()
        request.headers["Authorization"] = _SCHEME + fresh
        # Sent below the session, where no hook runs: a second refusal is final.
        answer: requests.Response = response.connection.send(request, **kwargs)
        answer.history.append(response)
        answer.request = request
        return answer

    def _request_token(self) -> Token:
        try:
            data = self._client.call_json(
                "POST",
                "/oauth2/token/",
                endpoint=TOKEN_ENDPOINT,
                data=self._fields,
                repeatable=True,
                with_secrets=True,
            )
            answer = self._client.parse(Token, data, endpoint=TOKEN_ENDPOINT)
        except (VideoApiInvalidRequestError, VideoApiPermissionError) as error:
            raise VideoApiAuthenticationError(
                error.message, vendor=error.vendor, endpoint=error.endpoint, status=error.status, code=error.code
            ) from None
        except VideoApiError as error:
            error.outcome_unknown = False  # the call that needed the token was not sent
            raise
        self._client.secrets.append(answer.access_token)
        return answer


def _renew_at(expires_in: float | None) -> float | None:
    if expires_in is None or expires_in <= 0:
        return None
    return time.monotonic() + expires_in - min(_LEAD_SECONDS, expires_in / 2)
