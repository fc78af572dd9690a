# SPDX-License-Identifier: Apache-2.0
"""A hook of Xvid on scripted answers."""

from __future__ import annotations

import pytest

from airflow_video_providers.hooks.xvid import XvidHook
from tests.support.scripted_api import Answer, ScriptedApi
from tests.support.xvid_answers import connect


@pytest.fixture
def api(scripted_api: ScriptedApi) -> ScriptedApi:
    scripted_api.on("POST", "/v1/oauth2/token/", Answer({"access_token": "tok", "expires_in": "3600"}))
    return scripted_api


@pytest.fixture
def hook(api: ScriptedApi, monkeypatch: pytest.MonkeyPatch) -> XvidHook:
    return connect(api, monkeypatch)
