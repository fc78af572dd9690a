# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_video_providers.exceptions import SubmissionKeyConflictError, VideoConfigurationError
from airflow_video_providers.hooks.colossyan import ColossyanHook
from airflow_video_providers.hooks.colossyan.hook import KEY_FIELD, TOKEN_FIELD
from airflow_video_providers.jobs import CallbackHint
from tests.support.hearing import BASE, hearing, status_of
from tests.support.local_api import Answer, LocalApi

URL = f"{BASE}/video-callbacks/colossyan_default"


def filled(request: dict[str, Any], key: str = "key-1") -> dict[str, Any]:
    hook = hearing(ColossyanHook)
    assert hook.callback_url(BASE, key) == URL
    return hook.callback_request(request, url=URL, key=key)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"videoCreative": {}}, "callback"),
        ({"templateJobId": "t", "dynamicVariables": {"a": "b"}}, "callbackUrl"),
    ],
)
def test_each_kind_of_job_has_its_own_field(request_: dict[str, Any], field: str) -> None:
    body = filled({**request_, "callbackPayload": {"mine": 1}})
    assert body[field] == URL
    assert {"callback", "callbackUrl"} & set(body) == {field}
    assert set(body["callbackPayload"]) == {"mine", KEY_FIELD, TOKEN_FIELD}
    assert "?" not in body[field]


def test_what_was_filled_is_submitted_as_it_is(local_api: LocalApi) -> None:
    hook = hearing(ColossyanHook)
    hook.connection.host = local_api.url
    local_api.on("POST", "/video-generation-jobs", Answer(json={"id": "j-1", "videoId": "v-1"}))
    body = filled({"videoCreative": {}})
    hook.submit_job(body, key="key-1")
    assert local_api.received[0].json() == body


def test_the_payload_comes_back_and_proves_the_key() -> None:
    hook, payload = hearing(ColossyanHook), filled({"videoCreative": {}})["callbackPayload"]
    document = {"url": "https://x.example/v.mp4", "status": "finished", "videoUrl": "x", "shareUrl": "y", **payload}
    body = json.dumps(document).encode()
    assert hook.verify_callback({}, body) == CallbackHint(None, "key-1", ())
    for changed in (
        {KEY_FIELD: "key-2"},
        {KEY_FIELD: None},
        {KEY_FIELD: ["key-1"]},
        {TOKEN_FIELD: "0" * 64},
        {TOKEN_FIELD: None},
        {TOKEN_FIELD: {"x": payload[TOKEN_FIELD]}},
        {TOKEN_FIELD: filled({"videoCreative": {}}, "key-2")["callbackPayload"][TOKEN_FIELD]},
    ):
        assert status_of(hook, {}, json.dumps({**document, **changed}).encode()) == 401
    assert status_of(hook, {}, b'"text"') == 400


def test_ids_in_the_links_are_candidates() -> None:
    first, second, *more = (f"{digit}50c585a-c55c-468e-ab71-e73a405af5a7" for digit in range(1, 7))
    document = {
        "url": f"https://files.example/{first}/{second}.mp4?signature={more[0]}#{more[1]}",
        "videoUrl": f"https://share.example/v/{first}",
        "shareUrl": f"https://share.example/x{second}/{more[2]}/{more[3]}/{more[0]}",
        **filled({"videoCreative": {}})["callbackPayload"],
    }
    hint = hearing(ColossyanHook).verify_callback({}, json.dumps(document).encode())
    assert hint == CallbackHint(None, "key-1", (first, second, more[2], more[3]))  # four, none of a query
    hint = hearing(ColossyanHook).verify_callback({}, json.dumps({**document, "url": 7, "shareUrl": None}).encode())
    assert hint.candidates == (first,)


def test_a_candidate_is_the_id_of_a_video_or_of_a_job(local_api: LocalApi) -> None:
    hook = hearing(ColossyanHook)
    hook.connection.host = local_api.url
    local_api.on("GET", "/generated-videos/video-1", Answer(json={"id": "video-1", "jobId": "job-1"}))
    local_api.on("GET", "/generated-videos/job-2", Answer(status=404, json={"message": "Generated video not found"}))
    local_api.on("GET", "/generated-videos/job-3", Answer(status=400, json={"message": "no id of a video"}))
    assert hook.job_id_of("job-3") == "job-3"
    assert hook.job_id_of("video-1") == "job-1"
    assert hook.job_id_of("job-2") == "job-2"


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        ({"videoCreative": {}, "callback": "https://mine.example"}, VideoConfigurationError),
        ({"videoCreative": {}, "callbackUrl": "https://mine.example"}, VideoConfigurationError),
        ({"videoCreative": {}, "callbackPayload": {TOKEN_FIELD: "x"}}, VideoConfigurationError),
        ({"videoCreative": {}, "callbackPayload": {KEY_FIELD: "mine"}}, SubmissionKeyConflictError),
        ({"videoCreative": {}, "callbackPayload": "text"}, SubmissionKeyConflictError),
        ({"templateJobId": "t", "dynamicVariables": {TOKEN_FIELD: "x"}}, VideoConfigurationError),
        ({"templateJobId": "t", "dynamicVariables": {"status": "x"}}, VideoConfigurationError),
    ],
)
def test_a_name_that_is_taken_is_an_error(request_: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        filled(request_)
