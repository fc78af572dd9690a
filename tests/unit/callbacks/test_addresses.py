# SPDX-License-Identifier: Apache-2.0
"""Where callbacks go: the first address that is set, if the vendor can reach it; and what a request is filled with."""

from __future__ import annotations

import json

import pytest

from airflow_video_providers.callbacks.__main__ import main
from airflow_video_providers.callbacks.addresses import callback_base_url
from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.base import get_video_hook
from airflow_video_providers.submission.callback import CallbackPlan
from airflow_video_providers.submission.record import fingerprint_of
from tests.support.simulator import VENDORS
from tests.support.vendors import HOOKS

SECRET = "a secret of 24 characters"
KEY = "avp-" + "0" * 40
PUBLIC = "https://airflow.example.com"
TAKES = [name for name, hook in HOOKS.items() if hook.takes_callback]


@pytest.fixture
def hook_of(monkeypatch):
    def hook_of(vendor=TAKES[0], **extra):
        fields = {"conn_type": vendor, "password": "the key", "extra": extra}
        if "host" in extra:
            fields["host"] = extra.pop("host")
        monkeypatch.setenv("AIRFLOW_CONN_C", json.dumps(fields))
        return get_video_hook("c")

    for section in ("VIDEO_PROVIDERS__CALLBACK_BASE_URL", "API__BASE_URL"):
        monkeypatch.delenv(f"AIRFLOW__{section}", raising=False)
    return hook_of


def test_the_connection_wins_over_the_deployment_and_that_over_the_api(hook_of, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://api.example.com/af")
    assert callback_base_url(hook_of()) == "https://api.example.com/af"
    monkeypatch.setenv("AIRFLOW__VIDEO_PROVIDERS__CALLBACK_BASE_URL", "https://all.example.com")
    assert callback_base_url(hook_of()) == "https://all.example.com"
    assert callback_base_url(hook_of(callback_base_url=PUBLIC)) == PUBLIC


def test_without_an_address_nothing_is_sent(hook_of, monkeypatch):
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "")
    with pytest.raises(VideoConfigurationError, match="No address for callbacks is known"):
        callback_base_url(hook_of())


def test_an_address_that_the_vendor_cannot_reach_is_refused_unless_the_vendor_is_here_too(hook_of):
    local = {"callback_base_url": "http://localhost:8080"}
    with pytest.raises(VideoConfigurationError, match="cannot reach"):
        callback_base_url(hook_of(**local))
    assert callback_base_url(hook_of(host="http://127.0.0.1:8099/v1", **local)) == local["callback_base_url"]


@pytest.mark.parametrize("vendor", TAKES)
def test_a_request_is_filled_for_the_send_alone(vendor, hook_of):
    hook = hook_of(vendor, callback_secret=SECRET, callback_base_url=PUBLIC)
    request = VENDORS[vendor].request("text")
    before = json.dumps(request)
    filled = CallbackPlan(hook).fill(request, KEY)
    assert f"{PUBLIC}/video-callbacks/c" in json.dumps(filled)
    assert SECRET not in json.dumps(filled)
    assert json.dumps(request) == before
    assert fingerprint_of("c", request) != fingerprint_of("c", filled)


@pytest.mark.parametrize("vendor", TAKES)
def test_a_request_that_fills_the_field_already_is_refused(vendor, hook_of):
    plan = CallbackPlan(hook_of(vendor, callback_secret=SECRET, callback_base_url=PUBLIC))
    filled = plan.fill(VENDORS[vendor].request("text"), KEY)
    with pytest.raises(VideoConfigurationError, match="Nothing was sent"):
        plan.fill(filled, KEY)


def test_a_connection_without_a_secret_is_refused(hook_of):
    with pytest.raises(VideoConfigurationError, match="callback_secret"):
        CallbackPlan(hook_of(callback_base_url=PUBLIC)).fill(VENDORS[TAKES[0]].request("text"), KEY)


@pytest.mark.parametrize("vendor", [name for name, hook in HOOKS.items() if not hook.takes_callback])
def test_a_vendor_without_such_a_field_is_refused(vendor, hook_of):
    with pytest.raises(VideoConfigurationError, match="Nothing was sent"):
        CallbackPlan(hook_of(vendor, callback_secret=SECRET)).fill(VENDORS[vendor].request("text"), KEY)


@pytest.mark.parametrize("vendor", [name for name, hook in HOOKS.items() if hook.can_register_callback])
def test_the_command_registers_an_account_and_says_where_the_secret_goes(
    vendor, simulator, video_connections, monkeypatch, capsys
):
    fields = simulator.connection(vendor)
    fields["extra"] = {**fields.get("extra", {}), "callback_base_url": "http://127.0.0.1:1"}
    fields["extra"]["callback_secret"] = SECRET
    monkeypatch.setenv("AIRFLOW_CONN_C", json.dumps(fields))
    assert main(["register", "c"]) == 0
    said = capsys.readouterr().out
    assert "calls http://127.0.0.1:1/video-callbacks/c from now on" in said
    assert "callback_secret" in said or "needs nothing more" in said


def test_the_command_says_what_a_vendor_does_not_offer(hook_of, capsys):
    vendor = next(name for name, hook in HOOKS.items() if not hook.can_register_callback)
    hook_of(vendor, callback_secret=SECRET, callback_base_url=PUBLIC)
    assert main(["register", "c"]) == 1
    assert "documents no call" in capsys.readouterr().err
