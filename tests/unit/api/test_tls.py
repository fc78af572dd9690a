# SPDX-License-Identifier: Apache-2.0
"""Which certificates a server's is checked against: for calls and files alike, by a real handshake."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import certifi
import pytest
from cryptography import x509

from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.source.http import HttpSource
from airflow_video_providers.delivery.source.signals import BrokenError
from airflow_video_providers.exceptions import VideoApiUnavailableError, VideoConfigurationError
from tests.support.local_api import Answer, LocalApi
from tests.unit.api.test_client import make_client

OF_REQUESTS = ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
OF_PYTHON = ["SSL_CERT_FILE", "SSL_CERT_DIR"]


@pytest.fixture(autouse=True)
def places(tls_api: LocalApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Leave the environment without bundles; return a file and a folder with the server's certificate, and others."""
    for name in (*OF_REQUESTS, *OF_PYTHON):
        monkeypatch.delenv(name, raising=False)
    tls_api.otherwise = Answer(json=[])
    pem = tmp_path / "cert.pem"
    subject = x509.load_pem_x509_certificate(pem.read_bytes()).subject.public_bytes()
    digest = hashlib.sha1(subject[2:], usedforsecurity=False).digest()  # without the SEQUENCE around it
    for name in ("empty", "hashed"):
        (tmp_path / name).mkdir()
    (tmp_path / "hashed" / f"{int.from_bytes(digest[:4], 'little'):08x}.0").write_bytes(pem.read_bytes())
    return {
        "file": str(pem),
        "folder": str(tmp_path / "hashed"),
        "other file": certifi.where(),
        "other folder": str(tmp_path / "empty"),
        "missing": str(tmp_path / "missing"),
    }


def set_bundles(monkeypatch: pytest.MonkeyPatch, places: dict[str, str], variables: dict[str, str]) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, os.pathsep.join(places[place] for place in value.split(":")))


def check_accepted(api: LocalApi) -> None:
    client = make_client(api.url)
    for _ in range(3):
        assert client.get_json("/jobs", endpoint="GET /jobs") == []
    assert api.connections == 1, "the connection is used again"
    client.close()
    source = HttpSource(ClientSettings())
    answer = source.get(f"{api.url}/file")
    assert answer.size == len(b"[]")
    answer.close()
    source.close()


def check_refused(api: LocalApi) -> None:
    with pytest.raises(VideoApiUnavailableError, match=r"could not connect.*certificate") as caught:
        make_client(api.url, retry_deadline=0.01).call_json("POST", "/jobs", endpoint="POST /jobs", json={})
    assert not caught.value.outcome_unknown
    with pytest.raises(BrokenError, match="certificate"):
        HttpSource(ClientSettings()).get(f"{api.url}/file")
    assert api.received == []


@pytest.mark.parametrize(
    "variables",
    [
        {"REQUESTS_CA_BUNDLE": "file"},
        {"REQUESTS_CA_BUNDLE": "folder"},
        {"CURL_CA_BUNDLE": "file"},
        {"CURL_CA_BUNDLE": "folder"},
        {"REQUESTS_CA_BUNDLE": "file", "CURL_CA_BUNDLE": "other file", "SSL_CERT_FILE": "other file"},
        {"SSL_CERT_FILE": "file"},
        {"SSL_CERT_DIR": "folder"},
        {"SSL_CERT_DIR": "other folder:folder"},
        {"SSL_CERT_DIR": "missing:folder"},
        {"SSL_CERT_FILE": "other file", "SSL_CERT_DIR": "folder"},
        {"SSL_CERT_FILE": "file", "SSL_CERT_DIR": "other folder"},
        {"SSL_CERT_FILE": "missing", "SSL_CERT_DIR": "other folder:folder"},
    ],
    ids=str,
)
def test_the_environment_makes_a_certificate_known(
    tls_api: LocalApi, places: dict[str, str], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    set_bundles(monkeypatch, places, variables)
    check_accepted(tls_api)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"REQUESTS_CA_BUNDLE": "other file", "CURL_CA_BUNDLE": "file", "SSL_CERT_FILE": "file"},
        {"CURL_CA_BUNDLE": "other file", "SSL_CERT_FILE": "file", "SSL_CERT_DIR": "folder"},
        {"SSL_CERT_FILE": "other file"},
        {"SSL_CERT_FILE": "other file", "SSL_CERT_DIR": "other folder:missing"},
    ],
    ids=str,
)
def test_an_unknown_certificate_is_refused_before_anything_is_sent(
    tls_api: LocalApi,
    places: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    naps: list[float],
    variables: dict[str, str],
) -> None:
    set_bundles(monkeypatch, places, variables)
    check_refused(tls_api)


@pytest.mark.parametrize("name", OF_PYTHON)
def test_certifis_count_where_those_of_python_name_nothing_that_is_there(
    tls_api: LocalApi, places: dict[str, str], monkeypatch: pytest.MonkeyPatch, naps: list[float], name: str
) -> None:
    monkeypatch.setattr("requests.adapters.DEFAULT_CA_BUNDLE_PATH", places["file"])  # what certifi names
    monkeypatch.setenv(name, places["missing"])
    check_accepted(tls_api)
    tls_api.received.clear()
    monkeypatch.setenv("SSL_CERT_DIR", places["other folder"])
    check_refused(tls_api)


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_bundle_of_the_connection_comes_before_the_environments(
    tls_api: LocalApi, places: dict[str, str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    for name in (*OF_REQUESTS, *OF_PYTHON):
        monkeypatch.setenv(name, places["other file"])
    assert make_client(tls_api.url, ca_bundle=places[place]).get_json("/jobs", endpoint="GET /jobs") == []


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("variables", [{}, {"SSL_CERT_FILE": "other file", "SSL_CERT_DIR": "other folder"}], ids=str)
def test_verification_can_be_turned_off(
    tls_api: LocalApi, places: dict[str, str], monkeypatch: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    set_bundles(monkeypatch, places, variables)
    assert make_client(tls_api.url, verify=False).get_json("/jobs", endpoint="GET /jobs") == []


@pytest.mark.parametrize("name", OF_REQUESTS)
def test_a_bundle_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "/not/there.pem")
    with pytest.raises(VideoConfigurationError, match=rf"/not/there\.pem.*comes from {name}"):
        ClientSettings().for_request("https://api.example")
    assert ClientSettings().for_request("http://api.example")["verify"] is True
