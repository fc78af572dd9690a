# SPDX-License-Identifier: Apache-2.0
"""Who may ask Xvid MediaHub for what: scopes of tokens, and signed URLs."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import time
from typing import TYPE_CHECKING

from fastapi import Request

from airflow_video_providers.simulator.vendor import KEY, RefusedError

if TYPE_CHECKING:
    from airflow_video_providers.simulator.world import World

CLIENT_ID, CLIENT_SECRET = KEY, "c2ltdWxhdG9y"
SCOPES = {
    "me", "mediahub", "mediahub_read", "mediahub_write", "mediahub_submit_jobs", "mediahub_download_files", "autograph"
}  # fmt: skip
NO_SCOPE = "0x0000006"


class Authority:
    """Who may ask for what: the holder of a living token with a scope for it, or the signer of the URL."""

    def __init__(self, world: World) -> None:
        self.world = world

    def __call__(self, request: Request) -> None:
        """Refuse a request that proves no right to what it asks for."""
        path = request.url.path.partition("/v1")[2].rstrip("/")
        if path == "/oauth2/token":
            return
        if "signature" in request.query_params:
            self._check_signature(request)
            return
        scheme, _, name = request.headers.get("authorization", "").partition(" ")
        token = self.world.find_token(name) if scheme.lower() == "bearer" else None
        if token is None:
            raise RefusedError(403, "Invalid access token", "0x0000003")
        self._check_scope(set(token["scopes"]), request.method, path, dict(request.query_params))

    @staticmethod
    def _check_scope(held: set[str], method: str, path: str, query: dict[str, str]) -> None:
        """Refuse a call for which no scope was granted; a token that was asked for without scopes may do all."""
        if not held:
            return
        if "mediahub" in held:
            held |= {"mediahub_read", "mediahub_write"}
        if (method, path) == ("POST", "/jobs"):
            enough = {"mediahub_write", "mediahub_submit_jobs"}
        elif path == "/files/downloads":
            enough = {"mediahub_read", "mediahub_download_files"}
        else:
            enough = {"mediahub_read"} if method == "GET" else {"mediahub_write"}
        if not held & enough:
            raise RefusedError(403, f"Insufficient scope: needs {' or '.join(sorted(enough))}", NO_SCOPE)
        if "autograph_tag" in query and "autograph" not in held:
            raise RefusedError(403, "Insufficient scope: needs autograph", NO_SCOPE)

    @staticmethod
    def _check_signature(request: Request) -> None:
        # Signed are path and query, beginning at /v1/, up to the signature itself.
        query = request.url.query.split("&signature=")[0]
        path = request.scope["raw_path"].decode()
        signed = f"/v1/{path.partition('/v1/')[2]}?{query}"
        digest = hmac.new(base64.b64decode(CLIENT_SECRET), signed.encode(), hashlib.sha256).hexdigest()
        good = hmac.compare_digest(digest.encode(), request.query_params["signature"].encode("utf-8", "replace"))
        if not good or request.query_params.get("client_id") != CLIENT_ID:
            raise RefusedError(403, "Invalid signature", "0x0000003")
        expiry = request.query_params.get("expiry_time", "")
        if re.fullmatch(r"[0-9]{10,15}", expiry) and int(expiry) <= time.time():
            raise RefusedError(403, "The signed URL has expired", "0x0000003")
