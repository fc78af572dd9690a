# SPDX-License-Identifier: Apache-2.0
"""
fal's webhooks: named by each request, signed with Ed25519.

fal signs for all of its users with the same keys: the signature proves that fal speaks, not that it speaks of a request
of ours. So the address carries a token too, into which the endpoint is bound, since the webhook does not name it.
"""

from __future__ import annotations

import hashlib
import threading
import time
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_video_providers.hooks import callbacks
from airflow_video_providers.hooks.fal.endpoints import FalEndpoints
from airflow_video_providers.hooks.fal.names import make_job_id, split_request
from airflow_video_providers.jobs import CallbackHint
from airflow_video_providers.text.redaction import is_clean

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from airflow_video_providers.api.settings import ClientSettings

KEYS_PATH = "/.well-known/jwks.json"
KEYS_LIFE = 24 * 3600.0
"""For how long fal allows its keys to be kept, in seconds."""
KEYS_PAUSE = 300.0
"""For how long the keys are not asked for again where none of them fits, in seconds."""

_MOST_KEYS = 16
_FETCHING = {"connect_timeout": 2.0, "read_timeout": 2.0, "retry_deadline": 4.0}  # fal waits for 15 seconds in all


class FalWebhooks(FalEndpoints, abstract=True):
    """The webhooks of :class:`FalHook`."""

    callback_window = callbacks.CLOCK_WINDOW

    def callback_request(self, request: Mapping[str, Any], *, url: str, key: str) -> dict[str, Any]:
        """
        Return the request with ``fal_webhook``, which goes into the query of the call and not into the model's input.

        :raises VideoConfigurationError: ``endpoint`` is missing or wrong, or the request fills ``fal_webhook`` already.
        """
        endpoint, _ = split_request(request)
        token = callbacks.make_token(self.callback_secret(), conn_id=self.conn_id, key=key, context=endpoint)
        url = callbacks.with_token(url, key=key, token=token)
        return callbacks.fill_field(request, "fal_webhook", url, vendor=self.hook_name)

    def verify_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackHint:
        """
        Check the token of the address and ``X-Fal-Webhook-Signature``: Ed25519 over request, user, time and body.

        The time must be at most 300 seconds from now. fal's public keys are read from its JWKS and kept for 24 hours;
        where none of them fits they are read again, at most once in five minutes.

        :raises VideoCallbackRefusedError: it is forged, stale, of another connection or key, or cannot be read.
        :raises VideoApiError: fal's keys cannot be read now. Respond with 503, so that fal comes again.
        """
        callbacks.check_size(body)
        key, endpoint = callbacks.check_address_token(self.verifying_secret(), headers, conn_id=self.conn_id)
        names = ("X-Fal-Webhook-Request-Id", "X-Fal-Webhook-User-Id", "X-Fal-Webhook-Timestamp")
        parts = [callbacks.read_header(headers, name) or "" for name in names]
        signature = _unhexed(callbacks.read_header(headers, "X-Fal-Webhook-Signature") or "")
        if signature is None or not all(part and is_clean(part) for part in parts):
            raise callbacks.forged()
        callbacks.check_time(parts[2])
        message = "\n".join([*parts, hashlib.sha256(body).hexdigest()]).encode(errors="replace")
        if not _KEYS.verify(self.settings.storage_url, self.settings, signature, message):
            raise callbacks.forged()
        request_id = callbacks.make_hint(job_id=callbacks.read_document(headers, body).get("request_id")).job_id
        job_id = make_job_id(endpoint, request_id) if endpoint and request_id else None
        return CallbackHint(job_id=job_id, key=key)

    def callback_event_id(self, headers: Mapping[str, str], body: bytes) -> str | None:
        """Return ``X-Fal-Webhook-Request-Id``, which is signed: a request has one webhook, that may come again."""
        return callbacks.read_header(headers, "X-Fal-Webhook-Request-Id")


class _PublicKeys:
    """fal's public keys by their address, kept for all hooks of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, list[Ed25519PublicKey]]] = {}

    def verify(self, url: str, settings: ClientSettings, signature: bytes, message: bytes) -> bool:
        """Tell whether one of the keys has signed the message."""
        with self._lock:
            read_at, keys = self._kept.get(url, (None, []))
        age = None if read_at is None else time.monotonic() - read_at
        if age is not None and age < KEYS_LIFE and any(_has_signed(key, signature, message) for key in keys):
            return True
        if age is not None and age < KEYS_PAUSE:
            return False
        keys = _fetch_keys(url, settings)
        with self._lock:
            self._kept[url] = (time.monotonic(), keys)
        return any(_has_signed(key, signature, message) for key in keys)


_KEYS = _PublicKeys()


def _fetch_keys(url: str, settings: ClientSettings) -> list[Ed25519PublicKey]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from airflow_video_providers.api.client import VideoApiClient

    quick = {name: min(seconds, getattr(settings, name)) for name, seconds in _FETCHING.items()}
    # Without credentials: the keys are public.
    client = VideoApiClient(vendor="fal", base_url=url, settings=settings.model_copy(update=quick))
    try:
        listed = client.fetch(list[Any], "GET", KEYS_PATH, envelope="keys")
    finally:
        client.close()
    keys = []
    for entry in listed[:_MOST_KEYS]:
        if isinstance(entry, Mapping) and (entry.get("kty"), entry.get("crv")) == ("OKP", "Ed25519"):
            try:
                text = str(entry.get("x"))
                keys.append(Ed25519PublicKey.from_public_bytes(urlsafe_b64decode(text + "=" * (-len(text) % 4))))
            except ValueError:
                continue  # one that cannot be read does not void the others
    return keys


def _has_signed(key: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    from cryptography.exceptions import InvalidSignature

    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _unhexed(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
