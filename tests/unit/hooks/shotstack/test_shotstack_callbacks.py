# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json

import pytest

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.shotstack import ShotstackHook
from airflow_video_providers.jobs import CallbackHint
from tests.support.hearing import BASE, headers_of, hearing


@pytest.mark.parametrize(
    ("document", "job_id"),
    [
        ({"type": "edit", "action": "render", "id": "r-1", "status": "done"}, "r-1"),
        ({"type": "serve", "action": "copy", "id": "asset-1", "render": "r-1"}, "r-1"),
        ({"type": "serve", "id": "asset-1"}, None),
    ],
)
def test_a_render_and_its_hosted_files_name_the_render(document: dict[str, str], job_id: str | None) -> None:
    hook = hearing(ShotstackHook)
    headers = headers_of(hook.callback_url(BASE, "key-1"))
    assert hook.verify_callback(headers, json.dumps(document).encode()) == CallbackHint(job_id, "key-1")


def test_a_template_takes_no_address() -> None:
    hook = hearing(ShotstackHook)
    with pytest.raises(VideoConfigurationError, match="no 'callback' beside the 'id' of a template"):
        hook.callback_request({"id": "t-1", "merge": []}, url=f"{BASE}/x", key="key-1")
