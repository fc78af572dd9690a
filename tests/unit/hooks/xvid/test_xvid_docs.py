# SPDX-License-Identifier: Apache-2.0
"""What docs/vendors/xvid.md tells people to type is what the hook understands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.xvid import XvidHook
from airflow_video_providers.hooks.xvid.endpoints import XvidEndpoints

PAGE = (Path(__file__).parents[4] / "docs/vendors/xvid.md").read_text()
EXAMPLES = re.findall(r"^AIRFLOW_CONN_\w+='(.*)'$", PAGE, re.MULTILINE)
RIGHTS = "mediahub_read,mediahub_write"


@pytest.mark.parametrize(
    ("example", "login", "password", "host", "scope"),
    [
        (0, "CLIENT_ID", "CLIENT_SECRET", "https://api.xvid.com/v1", RIGHTS),
        (1, "CLIENT_ID", "c2VjcmV0/w==", "https://api.xvid.com/v1", RIGHTS),
        (2, "simulator", "c2ltdWxhdG9y", "http://127.0.0.1:8765/xvid/v1", None),
    ],
)
def test_the_connection_examples(
    monkeypatch: pytest.MonkeyPatch, example: int, login: str, password: str, host: str, scope: str | None
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_XVID_DEFAULT", EXAMPLES[example])
    hook = XvidHook()
    assert (hook.connection.login, hook.secret(), hook.base_url) == (login, password, host)
    assert hook.extras.get("scope") == scope


def test_the_table_of_methods_is_complete() -> None:
    table = PAGE[PAGE.index("## Methods") : PAGE.index("## What is not verified")]
    documented = set(re.findall(r"`(\w+)\(", table))
    methods = {name for name, value in vars(XvidEndpoints).items() if callable(value) and not name.startswith("_")}
    assert documented == methods - {name for name in dir(VideoHook) if not name.startswith("_")}
