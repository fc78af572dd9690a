# SPDX-License-Identifier: Apache-2.0
"""The extras of a connection of Xvid MediaHub."""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import BeforeValidator

from airflow_video_providers.api.settings import ClientSettings, Seconds, Truth


def _scope(value: Any) -> str:
    rights = re.split(r"[,\s]+", value.strip()) if isinstance(value, str) else value
    if not isinstance(rights, list) or not all(isinstance(right, str) for right in rights):
        raise ValueError("a comma-separated list of rights")
    return ",".join(rights)


class XvidSettings(ClientSettings):
    """
    The extras of a connection of Xvid, beside those of every vendor.

    :param scope: comma-separated rights, or a list of them; empty (default): left out of the token request.
    :param token_lifetime: seconds for which a token is asked to be good; None: Xvid decides.
    :param autograph_tag: names the viewer when the link of a watermarked file is minted; empty (default): not sent.
    :param expert_mode: sent for such a link in place of a tag; false (default): not sent.
    """

    scope: Annotated[str, BeforeValidator(_scope)] = ""
    token_lifetime: Seconds | None = None
    autograph_tag: str = ""
    expert_mode: Truth = False
