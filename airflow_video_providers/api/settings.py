# SPDX-License-Identifier: Apache-2.0
"""What a person wrote into a connection, checked before anything is sent: a fault is one sentence without secrets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from airflow_video_providers.exceptions import VideoConfigurationError

if TYPE_CHECKING:
    from airflow_video_providers.api.client import ClientSettings

_LONGEST = 7 * 86400.0


def header_text(value: Any, *, what: str) -> str:
    """
    Return a value as it can be sent in a header: without the white space around it, such as the end of a line.

    :param what: names the value in the error, which does not show it.
    :raises VideoConfigurationError: it holds control characters, or some that a header cannot carry.
    """
    text = str(value).strip()
    if any(ord(char) < 32 or 127 <= ord(char) < 160 or ord(char) > 255 for char in text):
        raise VideoConfigurationError(
            f"{what} holds characters that cannot be sent: line breaks, control characters, or letters outside "
            "Latin-1. Was it copied or mounted whole?"
        )
    return text


def seconds(extras: Mapping[str, Any], name: str, default: float, *, conn_id: str) -> float:
    """
    Return an extra that is a number of seconds.

    :raises VideoConfigurationError: it is no number above 0, or beyond a week.
    """
    value = extras.get(name)
    if value is None or value == "":
        return default
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number <= _LONGEST:  # also of nan
        raise VideoConfigurationError(
            f"Extra {name!r} of connection {conn_id!r} must be a number of seconds above 0, and a week at most, not "
            f"{value!r}."
        )
    return number


def client_settings(extras: Mapping[str, Any], *, conn_id: str, retry_deadline: float | None) -> ClientSettings:
    """
    Read timeouts, proxy and TLS.

    :param retry_deadline: goes before the connection's own.
    :raises VideoConfigurationError: one of them cannot work.
    """
    # Imported here, so that a DAG file does not pay for the import of requests.
    from airflow_video_providers.api.client import ClientSettings

    default = ClientSettings()
    if retry_deadline is None:
        retry_deadline = seconds(extras, "retry_deadline", default.retry_deadline, conn_id=conn_id)
    bundle = extras.get("ca_bundle") or None
    if not isinstance(bundle, (str, type(None))):
        raise VideoConfigurationError(f"Extra 'ca_bundle' of connection {conn_id!r} must be the path of a file.")
    return ClientSettings(
        connect_timeout=seconds(extras, "connect_timeout", default.connect_timeout, conn_id=conn_id),
        read_timeout=seconds(extras, "read_timeout", default.read_timeout, conn_id=conn_id),
        retry_deadline=retry_deadline,
        proxy=_proxy(extras.get("proxy") or None, conn_id=conn_id),
        verify=bundle or _as_bool(extras.get("verify"), name="verify", default=True),
    )


def _proxy(value: Any, *, conn_id: str) -> str | None:
    if value is None:
        return None
    try:
        parts = urlsplit(value)
        good = isinstance(value, str) and bool(parts.scheme and parts.hostname) and parts.port != 0
    except (ValueError, AttributeError, TypeError):
        good = False
    if not good:  # not shown: it may hold a password
        raise VideoConfigurationError(
            f"Extra 'proxy' of connection {conn_id!r} must be a full URL such as http://proxy.example.com:3128."
        )
    return str(value)


def _as_bool(value: Any, *, name: str, default: bool) -> bool:
    if value is None or value == "":
        return default
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text in ("true", "1", "yes"):
        return True
    if text in ("false", "0", "no"):
        return False
    raise VideoConfigurationError(f"Extra {name!r} must be true or false, not {value!r}.")
