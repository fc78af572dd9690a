# SPDX-License-Identifier: Apache-2.0
"""
One greeting by hand: the same video as ``dags/heygen_greeting.py``, with Airflow's own HTTP operators.

It is written as a careful user would: the key stays in a connection, the sensor frees its worker and knows a failed
render. The operators offer nothing for the rest: a job that a lost response leaves behind, a link that expires, a file
that is no video.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import requests
from airflow.providers.amazon.aws.transfers.http_to_s3 import HttpToS3Operator
from airflow.providers.http.operators.http import HttpOperator
from airflow.providers.http.sensors.http import HttpSensor
from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException

HEADERS = {"X-Api-Key": "{{ conn.video_api.password }}", "Content-Type": "application/json"}
VIDEO = "v3/videos/{{ ti.xcom_pull('submit') }}"


def read_id(response: requests.Response) -> str:
    return str(response.json()["data"]["video_id"])


def is_done(response: requests.Response) -> bool:
    video = response.json()["data"]
    if video["status"] == "failed":
        raise AirflowFailException(f"the render failed: {video['failure_message']}")
    return bool(video["status"] == "completed")


def read_link(response: requests.Response) -> str:
    url: Any = urlsplit(response.json()["data"]["video_url"])
    return f"{url.path}?{url.query}"


with DAG("by_hand", params={"avatar_id": "avatar-1", "voice_id": "voice-1", "name": "Ada"}):
    submit = HttpOperator(
        task_id="submit",
        http_conn_id="video_api",
        endpoint="v3/videos",
        headers=HEADERS,
        data=json.dumps(
            {
                "type": "avatar",
                "avatar_id": "{{ params.avatar_id }}",
                "voice_id": "{{ params.voice_id }}",
                "script": "Hello {{ params.name }}, good to have you here!",
                "title": "Greeting for {{ params.name }}",
            }
        ),
        response_filter=read_id,
    )
    wait = HttpSensor(
        task_id="wait",
        http_conn_id="video_api",
        endpoint=VIDEO,
        headers=HEADERS,
        response_check=is_done,
        mode="reschedule",
        poke_interval=30,
    )
    link = HttpOperator(
        task_id="link",
        http_conn_id="video_api",
        method="GET",
        endpoint=VIDEO,
        headers=HEADERS,
        response_filter=read_link,
    )
    store = HttpToS3Operator(
        task_id="store",
        http_conn_id="video_files",
        endpoint="{{ ti.xcom_pull('link') }}",
        s3_bucket="videos",
        s3_key="heygen/{{ ti.xcom_pull('submit') }}.mp4",
        aws_conn_id="my_aws",
        replace=True,
    )
    submit >> wait >> link >> store
