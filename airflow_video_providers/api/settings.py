# SPDX-License-Identifier: Apache-2.0
"""What a user wrote into a connection, checked before anything is sent: a fault is one sentence without secrets."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from airflow_video_providers.exceptions import VideoConfigurationError

Settings = TypeVar("Settings", bound="ClientSettings")

_LONGEST = 7 * 86400.0
_SHORTEST_SECRET = 16
_TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
_BUNDLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # requests' own; one that is not there is an error
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def header_text(value: Any, *, what: str) -> str:
    """
    Return a value as it can be sent in a header: without the white space around it, such as the end of a line.

    :param what: names the value in the error, which does not show it.
    :raises VideoConfigurationError: it holds control characters, or some that a header cannot carry.
    """
    try:
        return _for_header(str(value))
    except ValueError as error:
        raise VideoConfigurationError(
            f"{what} must be {error}: it holds characters that cannot be sent (line breaks, control characters, or "
            "letters outside Latin-1). Was it copied or mounted whole?"
        ) from None


def _for_header(value: str) -> str:
    text = value.strip()
    if any(ord(char) < 32 or 127 <= ord(char) < 160 or ord(char) > 255 for char in text):
        raise ValueError("a text that a header can carry")
    return text


def _seconds(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not 0 < number <= _LONGEST:  # also of nan
        raise ValueError("a number of seconds above 0, and a week at most")
    return number


def _truth(value: Any) -> bool:
    truth = value if isinstance(value, bool) else _TRUTHS.get(str(value).strip().lower())
    if truth is None:
        raise ValueError("true or false")
    return truth


def _path(value: Any) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("the path of a file")
    return value


def _proxy(value: Any) -> str:
    try:
        parts = urlsplit(value)
        good = isinstance(value, str) and bool(parts.scheme and parts.hostname) and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        good = False
    if not good:
        raise ValueError("a full URL such as http://proxy.example.com:3128")
    return str(value)


def _secret(value: Any) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if len(text) < _SHORTEST_SECRET or not text.isprintable():
        raise ValueError(f"a secret of {_SHORTEST_SECRET} characters or more, in one line")
    return text


def _address(value: Any) -> str:
    text = value.strip().rstrip("/") if isinstance(value, str) else ""
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or any(mark in text for mark in "?#@") or any(ord(char) <= 32 or ord(char) > 126 for char in text):
        raise ValueError("a full URL such as https://airflow.example.com, without user, query or fragment")
    return text


Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A number of seconds above 0, and a week at most; also as a text."""

Truth = Annotated[bool, BeforeValidator(_truth)]
"""true or false; also as a text, or 1 and 0."""

HeaderText = Annotated[str, BeforeValidator(str), AfterValidator(_for_header)]
"""A text that is sent in a header, without the white space around it."""


class ClientSettings(BaseModel):
    """
    How a connection talks to its vendor: the connection's extras of the same names.

    A vendor with extras of its own subclasses this and names the class in its hook's ``settings_model``. An extra that
    is null or empty has its default; extras that no field names are ignored.

    :param connect_timeout: seconds to wait for the connection (default 10).
    :param read_timeout: seconds to wait for each part of a response (default 60); the whole response of a call, and
        the headers of a download, may take three times as long.
    :param retry_deadline: seconds over which a repeatable call is tried again in all (default 120).
    :param proxy: URL of a proxy for http and https; None: the environment's.
    :param verify: whether TLS certificates are verified (default true).
    :param ca_bundle: path of a CA bundle, a file or a folder; None: ``REQUESTS_CA_BUNDLE`` or ``CURL_CA_BUNDLE`` of the
        environment, else ``SSL_CERT_FILE`` and ``SSL_CERT_DIR`` as Python honours them, else certifi's.
    :param allow_private_links: whether a link of the vendor may lead into a private network (default false).
    :param callback_secret: what proves the callbacks of this connection; None: none is believed.
    :param callback_base_url: the public address of Airflow's API server, which callbacks are sent to.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    connect_timeout: Seconds = 10.0
    read_timeout: Seconds = 60.0
    retry_deadline: Seconds = 120.0
    proxy: Annotated[str, BeforeValidator(_proxy)] | None = Field(default=None, repr=False)  # its password is in it
    verify: Truth = True
    ca_bundle: Annotated[str, BeforeValidator(_path)] | None = None
    allow_private_links: Truth = False
    callback_secret: Annotated[str, BeforeValidator(_secret)] | None = Field(default=None, repr=False)
    callback_base_url: Annotated[str, BeforeValidator(_address)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _leave_out_what_is_empty(cls, data: Any) -> Any:
        return {name: value for name, value in data.items() if value is not None and value != ""}

    def for_request(self, url: str) -> dict[str, Any]:
        """
        Return what ``requests`` needs to know to fetch this URL: ``timeout``, ``verify`` and ``proxies``.

        :raises VideoConfigurationError: the CA bundle does not exist.
        """
        return {
            "timeout": (self.connect_timeout, self.read_timeout),
            "verify": self._verified_by(https=url.lower().startswith("https:")),
            "proxies": {"http": self.proxy, "https": self.proxy} if self.proxy else _find_proxies(url),
        }

    def _verified_by(self, *, https: bool) -> bool | str:
        if not https or not (self.verify or self.ca_bundle):
            return self.verify
        named = {"extra 'ca_bundle'": self.ca_bundle, **{name: os.environ.get(name) for name in _BUNDLES}}
        for name, path in named.items():
            if path:
                if not os.path.exists(path):
                    raise VideoConfigurationError(
                        f"The CA bundle {path!r} does not exist on this machine. Correct the connection's extra "
                        f"'ca_bundle', or {', '.join(_BUNDLES)} in the environment (it comes from {name})."
                    )
                return path
        return True


def _find_proxies(url: str) -> dict[str, str]:
    """Return the environment's proxies for a URL; read once for each host, unless the variables change."""
    parts = urlsplit(url)
    values = tuple(os.environ.get(name) for name in (*_PROXIES, *map(str.upper, _PROXIES)))
    return dict(_read_proxies(f"{parts.scheme}://{parts.netloc}", values))


@lru_cache(maxsize=64)
def _read_proxies(url: str, values: tuple[str | None, ...]) -> dict[str, str]:
    from requests.utils import get_environ_proxies  # not at DAG parse time

    return get_environ_proxies(url)


def check_base_url(url: str, vendor: str) -> None:
    """
    Refuse what is no full base URL, without showing credentials in it.

    :raises VideoConfigurationError: scheme, host or port are missing or wrong, or it holds credentials.
    """
    shown = f"***@{url.rpartition('@')[2]}" if "@" in url else url
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise VideoConfigurationError(
            f"{vendor}: the host of the connection must be a full base URL such as https://api.example.com/v1, "
            f"not {shown!r}"
        )
    if parts.username is not None or parts.password is not None:
        raise VideoConfigurationError(
            f"{vendor}: the host of the connection must not hold a user name or a password ({shown!r}); they have "
            "fields of their own"
        )


def read_settings(model: type[Settings], extras: Mapping[str, Any], *, conn_id: str) -> Settings:
    """
    Read a connection's extras as ``model``.

    :raises VideoConfigurationError: an extra cannot work; the first one is named, its value is not shown.
    """
    try:
        return model.model_validate(extras)
    except ValidationError as error:
        found = error.errors(include_input=False, include_url=False)[0]
        reason = found.get("ctx", {}).get("error") or f"different ({found['msg']})"
        name = found["loc"][0] if found["loc"] else "all"
        raise VideoConfigurationError(f"Extra {name!r} of connection {conn_id!r} must be {reason}.") from None
