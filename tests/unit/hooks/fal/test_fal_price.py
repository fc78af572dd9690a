# SPDX-License-Identifier: Apache-2.0
"""What a request will cost, by the price that the platform API tells before."""

from __future__ import annotations

import json

import pytest

from airflow_video_providers.exceptions import VideoApiUnavailableError
from airflow_video_providers.hooks.fal import FalHook
from airflow_video_providers.jobs import JobCost
from tests.support.local_api import Answer, LocalApi

ENDPOINT = "fal-ai/veo3.1"
PRICING = "/platform/models/pricing"


@pytest.fixture
def hook(local_api: LocalApi, monkeypatch: pytest.MonkeyPatch) -> FalHook:
    extra = {"platform_url": f"{local_api.url}/platform", "retry_deadline": 0.1}
    uri = {"conn_type": "fal", "host": f"{local_api.url}/queue", "password": "a-key-of-fal", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_FAL_PRICED", json.dumps(uri))
    return FalHook("fal_priced")


def tell(local_api: LocalApi, price: float, unit: str, endpoint: str = ENDPOINT) -> None:
    told = {"endpoint_id": endpoint, "unit_price": price, "unit": unit, "currency": "USD"}
    local_api.on("GET", PRICING, Answer(json={"prices": [told], "has_more": False}))


@pytest.mark.parametrize(
    ("unit", "body", "amount"),
    [
        ("seconds", {"duration": "8s"}, 3.2),
        ("seconds", {"duration": "5"}, 2.0),
        ("second", {"duration": 5}, 2.0),
        ("video_second", {"duration": "5"}, 2.0),
        ("videos", {}, 0.4),
    ],
)
def test_the_price_is_that_of_the_units_that_are_asked_for(
    hook: FalHook, local_api: LocalApi, unit: str, body: dict[str, object], amount: float
) -> None:
    tell(local_api, 0.4, unit)
    assert hook.estimate_cost({"endpoint": ENDPOINT, "prompt": "A", **body}) == JobCost(amount=amount, unit="usd")
    assert local_api.received[0].query == {"endpoint_id": [ENDPOINT]}
    assert [call.method for call in local_api.received] == ["GET"]


@pytest.mark.parametrize(
    ("unit", "body"),
    [
        ("seconds", {}),
        ("seconds", {"duration": "auto"}),
        ("seconds", {"duration": -5}),
        ("seconds", {"duration": "nan"}),
        ("megapixels", {"duration": 5}),
    ],
)
def test_units_that_the_request_does_not_tell_are_not_guessed(
    hook: FalHook, local_api: LocalApi, unit: str, body: dict[str, object]
) -> None:
    tell(local_api, 0.4, unit)
    assert hook.estimate_cost({"endpoint": ENDPOINT, **body}) is None


def test_the_price_of_another_model_is_none(hook: FalHook, local_api: LocalApi) -> None:
    tell(local_api, 0.4, "videos", endpoint="fal-ai/veo3")
    assert hook.estimate_cost({"endpoint": ENDPOINT}) is None


def test_a_vendor_that_does_not_answer_is_an_error_and_no_price(hook: FalHook, local_api: LocalApi) -> None:
    local_api.on("GET", PRICING, Answer(status=503))
    with pytest.raises(VideoApiUnavailableError):
        hook.estimate_cost({"endpoint": ENDPOINT})
