# SPDX-License-Identifier: Apache-2.0
"""What a hook makes of its Airflow connection: base URL, key, settings, one HTTP session, and the connection's test."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Mapping
from contextlib import closing
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

from airflow.sdk import BaseHook

from airflow_video_providers.api.errors import VendorError  # at runtime: the hints of a hook's methods are read
from airflow_video_providers.api.links import is_local
from airflow_video_providers.api.pacing import shared_pacer
from airflow_video_providers.api.settings import ClientSettings, header_text, read_settings
from airflow_video_providers.exceptions import (
    VideoApiNotFoundError,
    VideoApiUnavailableError,
    VideoApiUnreadableAnswerError,
    VideoConfigurationError,
    VideoProviderError,
)

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from requests.auth import AuthBase

    from airflow_video_providers.api.client import VideoApiClient
    from airflow_video_providers.exceptions import VideoApiError

log = logging.getLogger(__name__)

T = TypeVar("T")

_TEST_SECONDS = 10.0


class ConnectedHook(BaseHook):
    """
    The connection's half of a :class:`~airflow_video_providers.hooks.base.VideoHook`.

    The connection's ``password`` is the key, its ``host`` the base URL when it is not the vendor's (scheme and path
    included). The extras that every vendor has are those of
    :class:`~airflow_video_providers.api.settings.ClientSettings`.

    A hook opens its session at the first call and can be used from several threads.
    """

    conn_name_attr: ClassVar[str] = "conn_id"
    conn_type: ClassVar[str]
    hook_name: ClassVar[str]
    default_conn_name: ClassVar[str]
    """The connection of a hook that is made without one; default: ``<conn_type>_default``."""

    vendor: ClassVar[str]
    """How jobs, errors and logs name the vendor; default: its connection type."""
    default_base_url: ClassVar[str]
    settings_model: ClassVar[type[ClientSettings]] = ClientSettings
    """The extras of the vendor's connections; a vendor with extras of its own names a subclass."""
    requests_per_second: ClassVar[float | None] = None
    """
    How many requests a second the vendor documents for one account; None: not documented.

    All calls of an account in a process keep it together, those that poll for deferred tasks too.
    """
    burst: ClassVar[int] = 1
    """
    How many of them may be sent at once: at most ``burst`` in any ``burst / requests_per_second`` seconds.

    A limit of 30 requests in 10 seconds is ``requests_per_second = 3.0`` and ``burst = 30``.
    """

    rate_window: ClassVar[float | None] = None
    """
    Seconds of the fixed window in which the vendor counts requests; None: not documented.

    After a 429 that names no time to wait, a call waits this long: then another window has begun.
    """

    error_causes: ClassVar[Mapping[int, type[VideoApiError]]] = {}
    """What a status means for the vendor, where that is not the usual: e.g. 403 for a wrong key."""

    def __init__(self, conn_id: str | None = None, *, retry_deadline: float | None = None) -> None:
        super().__init__()
        self.conn_id = conn_id or self.default_conn_name
        self.retry_deadline = retry_deadline
        self._connection: Connection | None = None
        self._client: VideoApiClient | None = None
        self._closings = 0
        self._making_lock = threading.Lock()  # held while a client is made, which may ask Airflow
        self._client_lock = threading.Lock()  # held for an instant: the triggerer's event loop takes it too

    # ------------------------------------------------------------------ the connection

    @property
    def connection(self) -> Connection:
        """The Airflow connection, read once."""
        if self._connection is None:
            self._connection = self.get_connection(self.conn_id)
        return self._connection

    @connection.setter
    def connection(self, connection: Connection) -> None:
        # A trigger looks the connection up asynchronously and hands it in: a look-up from its threads would block.
        self._connection = connection

    @cached_property
    def extras(self) -> dict[str, Any]:
        """
        The connection's extras.

        :raises VideoConfigurationError: they are JSON, but no object.
        """
        extras: Any = self.connection.extra_dejson
        if not isinstance(extras, Mapping):
            raise VideoConfigurationError(f"The extras of connection {self.conn_id!r} must be a JSON object.")
        return dict(extras)

    @property
    def client(self) -> VideoApiClient:
        """The HTTP session of this connection, opened at the first call; one for all threads."""
        with self._making_lock:
            with self._client_lock:
                client, closings = self._client, self._closings
            if client is not None:
                return client
            client = self._make_paced_client()
            with self._client_lock:
                if closings == self._closings:
                    self._client = client
                    return client
        client.close()  # the hook was closed meanwhile: the call that wanted it closes its connection when it ends
        return client

    def _make_paced_client(self) -> VideoApiClient:
        client = self.make_client()
        client.rate_window = self.rate_window
        client.causes |= self.error_causes
        rate = self.request_rate()
        if rate is not None:
            client.pacer = shared_pacer(
                client.base_url,
                f"{self.connection.login}:{self.connection.password}",
                requests_per_second=rate,
                burst=self.burst,
            )
        if not is_local(client.base_url):
            for text in self.exposures():
                _warn_once(text)
        return client

    def request_rate(self) -> float | None:
        """
        Return how many requests a second this connection sends at most; None: as many as are asked for.

        Default: :attr:`requests_per_second`. A vendor whose rate depends on the connection overrides it.
        """
        return self.requests_per_second

    def get_conn(self) -> VideoApiClient:
        """Return the HTTP session of this connection."""
        return self.client

    def close(self) -> None:
        """
        Close the HTTP session, if one was opened; the next call opens another.

        It never waits for a session that a thread is opening: that thread may wait for the event loop which calls this.
        Such a session is closed as soon as it is there; a call under way ends, and then closes its connection.
        """
        with self._client_lock:
            self._closings += 1
            client, self._client = self._client, None
        if client is not None:
            client.close()

    @property
    def base_url(self) -> str:
        """The connection's host where it is set, else the vendor's own base URL."""
        connection = self.connection
        host = (connection.host or "").strip()
        if not host:
            return self.default_base_url
        if "://" not in host:
            raise VideoConfigurationError(
                f"The host of connection {self.conn_id!r} must be a full base URL with scheme and path, such as "
                f"{self.default_base_url}, not {host.rpartition('@')[2]!r}. Leave it empty to use the vendor's."
            )
        scheme, colon, rest = host.partition(":")
        return f"{scheme.lower()}{colon}{rest}"

    @property
    def key_addresses(self) -> list[str]:
        """The base URLs that the key is sent to."""
        return [self.base_url]

    def secret(self) -> str:
        """
        Return the connection's password without white space around it: the vendor's API key, token or client secret.

        :raises VideoConfigurationError: there is none, or it holds characters that cannot be sent.
        """
        what = f"The password of connection {self.conn_id!r}"
        secret = header_text(self.connection.password or "", what=what)
        if not secret:
            raise VideoConfigurationError(
                f"Connection {self.conn_id!r} has no password. Put the {self.hook_name} API key there."
            )
        return secret

    def make_auth(self) -> AuthBase:
        """Return what adds the credentials to a request."""
        raise NotImplementedError

    def make_client(self) -> VideoApiClient:
        """Build the HTTP session; a vendor with its own headers overrides this."""
        # Imported here, so that a DAG file does not pay for the import of requests.
        from airflow_video_providers.api.client import VideoApiClient

        return VideoApiClient(
            vendor=self.vendor,
            base_url=self.base_url,
            auth=self.make_auth(),
            settings=self.settings,
            secrets=[(self.connection.password or "").strip()],
            error_parser=self.parse_error,
        )

    def parse_error(self, body: Any) -> VendorError:
        """
        Return what the decoded body of an error response says; a vendor with a form of its own overrides this.

        Default: the forms in common use. The status decides the class of the error, unless ``cause`` is set.
        """
        from airflow_video_providers.api.errors import parse_error

        return parse_error(body)

    @overload
    def fetch(self, model: type[T], method: str, path: str, /, **options: Any) -> T: ...

    @overload
    def fetch(self, model: None, method: str, path: str, /, **options: Any) -> None: ...

    def fetch(self, model: type[T] | None, method: str, path: str, /, **options: Any) -> T | None:
        """
        Send one call to the vendor and return its response, validated as ``model``.

        ``hook.fetch(Job, "GET", "/jobs/{id}", id=job_id)`` sends ``GET <base URL>/jobs/<job_id>``. A GET is tried again
        on 429, 5xx and connection errors until the connection's ``retry_deadline``; any other method only where the
        call provably had no effect.

        :param model: a pydantic model, or any type that pydantic knows, e.g. ``list[Voice]`` or ``dict[str, Any]``;
            None: the response's content is not read, and None is returned.
        :param path: below the base URL, or a full URL; ``{name}`` is filled by the keyword of that name, as one segment
            of the path (``{name:path}``: with its slashes). With the method it names the call in messages.
        :param options: the ids of the path, and: ``params`` (the query; a parameter that is None is left out),
            ``json``, ``data``, ``files``, ``headers``, ``envelope`` (the field of the response that holds what
            ``model`` describes), ``repeatable`` (a second call does no harm), ``once`` (never tried again).
        :raises VideoApiError: the subclass is the cause; ``outcome_unknown``: the call may have had its effect.
        """
        return self.client.fetch(model, method, path, **options)

    @cached_property
    def settings(self) -> ClientSettings:
        """
        The connection's extras, checked, as the hook's ``settings_model``.

        :raises VideoConfigurationError: one of them cannot work; it is named.
        """
        settings = read_settings(self.settings_model, self.extras, conn_id=self.conn_id)
        if self.retry_deadline is None:
            return settings
        return settings.model_copy(update={"retry_deadline": self.retry_deadline})

    def exposures(self) -> list[str]:
        """Return what lets others read the key of this connection on its way, a sentence for each."""
        if any(url.lower().startswith("http:") for url in self.key_addresses):
            return [
                f"The key of connection {self.conn_id!r} is sent in clear text, since its address is http, not https."
            ]
        if self.settings.verify or self.settings.ca_bundle:
            return []
        return [
            f"Connection {self.conn_id!r} does not verify the vendor's certificate (extra verify=false): whoever "
            "stands between can read its key."
        ]

    # ------------------------------------------------------------------ its test

    def check_connection(self) -> str:
        """
        Make one call that is free of charge and needs the credentials; return what was seen, in a sentence.

        :raises VideoProviderError: the connection does not work; the text says what to change.
        """
        raise NotImplementedError

    def test_connection(self) -> tuple[bool, str]:
        """
        Do :meth:`check_connection` in a session of its own; return success, and what works or what to change.

        A user is waiting: no timeout is above 10 seconds here, and a vendor that is down is tried no longer. The text
        does not name the connection: Airflow tests a copy under a random id.
        """
        try:
            notes = self.exposures()
        except VideoProviderError as error:
            return False, self._without_id(str(error))
        good, text = self._test()
        return good, self._without_id(" ".join([text, *notes]))

    def _without_id(self, text: str) -> str:
        named = re.escape(repr(self.conn_id))
        text = re.sub(rf"\bConnection {named}", "This connection", text)
        return re.sub(rf"\b(?:the )?connection {named}|{named}", "this connection", text)

    def _test(self) -> tuple[bool, str]:
        try:
            settings = self.settings
            limits = {
                name: min(_TEST_SECONDS, getattr(settings, name))
                for name in ("connect_timeout", "read_timeout", "retry_deadline")
            }
            probe = type(self)(self.conn_id)
            probe.connection = self.connection
            probe.settings = settings.model_copy(update=limits)
            with closing(probe):
                _ = probe.client  # also where a vendor's free call goes to another host than the connection's
                return True, probe.check_connection()
        except (VideoApiUnavailableError, VideoApiUnreadableAnswerError, VideoApiNotFoundError) as error:
            advice = f"Check the connection's host (empty, or a base URL such as {self.default_base_url}) and proxy."
            return False, f"{error} {advice}"
        except VideoProviderError as error:
            return False, str(error)


@lru_cache(maxsize=256)
def _warn_once(text: str) -> None:
    log.warning("%s", text)
