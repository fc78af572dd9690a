# SPDX-License-Identifier: Apache-2.0
"""The page of an object in the web console of its cloud."""

from __future__ import annotations

import json

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from airflow_video_providers.delivery.destination import parse_location
from airflow_video_providers.delivery.stores.azure.store import AzureStore
from airflow_video_providers.delivery.stores.gcs.store import GcsStore
from airflow_video_providers.delivery.stores.registry import open_store
from airflow_video_providers.delivery.stores.s3.store import console_url as s3_console_url

ACCOUNT = "/subscriptions/s-1/resourceGroups/media/providers/Microsoft.Storage/storageAccounts/ours"


@pytest.mark.parametrize(
    ("endpoint", "region", "url"),
    [
        (
            "https://s3.eu-west-1.amazonaws.com",
            "eu-west-1",
            "https://console.aws.amazon.com/s3/object/b?region=eu-west-1&prefix=a%20b/%C3%A9%26%23.mp4",
        ),
        (
            "https://s3.amazonaws.com",
            None,
            "https://console.aws.amazon.com/s3/object/b?prefix=a%20b/%C3%A9%26%23.mp4",
        ),
        (
            "https://s3.cn-north-1.amazonaws.com.cn",
            "cn-north-1",
            "https://console.amazonaws.cn/s3/object/b?region=cn-north-1&prefix=a%20b/%C3%A9%26%23.mp4",
        ),
        (
            "https://s3.us-gov-west-1.amazonaws.com",
            "us-gov-west-1",
            "https://console.amazonaws-us-gov.com/s3/object/b?region=us-gov-west-1&prefix=a%20b/%C3%A9%26%23.mp4",
        ),
        ("https://minio.example.com", "us-east-1", None),
        ("https://s3.amazonaws.com.example.com", "us-east-1", None),
        ("http://127.0.0.1:9000", "us-east-1", None),
    ],
)
def test_s3(endpoint: str, region: str | None, url: str | None) -> None:
    assert s3_console_url(endpoint, region, "b", "a b/é&#.mp4") == url


def test_s3_by_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    connection = {"conn_type": "aws", "login": "k", "password": "s", "extra": {"region_name": "eu-west-1"}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_TEST", json.dumps(connection))
    location = parse_location("s3://aws_test@bucket/v.mp4")
    url = "https://console.aws.amazon.com/s3/object/bucket?region=eu-west-1&prefix=v.mp4"
    assert open_store(location).console_url(location.key) == url


@pytest.mark.parametrize("emulated", [True, False])
def test_google_cloud(emulated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_GOOGLE_CLOUD_DEFAULT", "google-cloud-platform://")
    store = GcsStore("bucket", None)
    client = storage.Client(
        project="p",
        credentials=AnonymousCredentials(),
        client_options={"api_endpoint": "http://127.0.0.1:1"} if emulated else None,
    )
    store.__dict__["_bucket"] = client.bucket("bucket")
    url = "https://console.cloud.google.com/storage/browser/_details/bucket/a%20b/%C3%A9%26%23.mp4"
    assert store.console_url("a b/é&#.mp4") == (None if emulated else url)


@pytest.mark.parametrize("known", [True, False])
def test_azure_needs_the_resource_id_of_the_account(known: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"resource_id": ACCOUNT} if known else {}
    monkeypatch.setenv("AIRFLOW_CONN_WASB_TEST", json.dumps({"conn_type": "wasb", "login": "ours", "extra": extra}))
    url = (
        "https://portal.azure.com/#view/Microsoft_Azure_Storage/BlobPropertiesBladeV2/storageAccountId/"
        "%2Fsubscriptions%2Fs-1%2FresourceGroups%2Fmedia%2Fproviders%2FMicrosoft.Storage%2FstorageAccounts%2Fours"
        "/path/videos%2Fa%20b%26%23.mp4"
    )
    assert AzureStore("videos", "wasb_test").console_url("a b&#.mp4") == (url if known else None)
