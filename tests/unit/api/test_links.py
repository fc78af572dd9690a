# SPDX-License-Identifier: Apache-2.0
"""Where a link of a vendor may lead, judged by the address that is connected to."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

from airflow_video_providers.api.client import VideoApiClient
from airflow_video_providers.api.links import LinkPolicy, is_local
from airflow_video_providers.api.session import prepare_session
from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.exceptions import SourceError, SourceLinkRefusedError
from tests.support.local_api import Answer, LocalApi
from tests.support.raw_server import RawServer, http_response

PUBLIC_API = "https://1.1.1.1/v1"
PRIVATE_API = "http://10.1.2.3/v1"

PRIVATE = [
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "0.0.0.0",
    "::1",
    "::",
    "fd00::1",
    "::ffff:10.0.0.1",
    "64:ff9b::a00:1",
    "2002:a00:1::",
    "224.0.0.1",
    "ff02::1",
    "192.0.0.8",
    "198.18.0.1",
    "255.255.255.255",
    "::127.0.0.1",
    "::ffff:0:127.0.0.1",
    "64:ff9b:1::a00:1",
    "fec0::1",
    "5f00::1",
    "2001:0:7f00:1::",
]
LINK_LOCAL = [
    "169.254.169.254",
    "fe80::1",
    "fe80::1%eth0",
    "::ffff:169.254.169.254",
    "fd00:ec2::254",
    "100.100.100.200",
    "192.0.0.192",
    "168.63.129.16",
]
SIGNED = "/up/%7Ea%2fb//c;v=1?sig=a%7E%2B|[x]{y}&%63=1"
PUBLIC = ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]


def refuses(policy: LinkPolicy, address: str) -> bool:
    try:
        policy.check_address(address, host="files.example")
    except SourceLinkRefusedError:
        return True
    return False


@pytest.fixture
def session() -> Iterator[requests.Session]:
    """A session of a public vendor's links."""
    with requests.Session() as session:
        prepare_session(session, hosts=1, connections=1, links=LinkPolicy(PUBLIC_API))
        yield session


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """The look-ups of ``*.example`` names; each answer is an address, the last one for ever."""
    looked_up: list[tuple[str, str]] = []
    answers = ["127.0.0.1"]
    real = socket.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *args: Any, **kwargs: Any) -> Any:
        if not str(host).endswith(".example"):
            return real(host, port, *args, **kwargs)
        address = answers.pop(0) if len(answers) > 1 else answers[0]
        looked_up.append((host, address))
        return real(address, port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    getaddrinfo.answers = answers  # type: ignore[attr-defined]
    return looked_up


class TestAddresses:
    def test_the_error_names_the_host_and_what_to_do(self) -> None:
        with pytest.raises(SourceLinkRefusedError, match=r"files\.example.*10\.0\.0\.1.*allow_private_links"):
            LinkPolicy(PUBLIC_API).check_address("10.0.0.1", host="files.example")

    @pytest.mark.parametrize("address", PRIVATE + LINK_LOCAL)
    def test_a_public_vendor_leads_to_no_private_address(self, address: str) -> None:
        assert refuses(LinkPolicy(PUBLIC_API), address)
        assert not refuses(LinkPolicy(PUBLIC_API, allow_private=True), address)

    @pytest.mark.parametrize("address", PUBLIC)
    @pytest.mark.parametrize("api", [PUBLIC_API, PRIVATE_API])
    def test_anybody_leads_to_a_public_one(self, api: str, address: str) -> None:
        assert not refuses(LinkPolicy(api), address)

    @pytest.mark.parametrize("address", PRIVATE)
    def test_an_api_in_the_private_network_leads_there(self, address: str) -> None:
        assert not refuses(LinkPolicy(PRIVATE_API), address)

    @pytest.mark.parametrize("address", LINK_LOCAL)
    def test_but_not_to_the_metadata_of_the_cloud(self, address: str) -> None:
        assert refuses(LinkPolicy(PRIVATE_API), address)

    def test_an_api_that_cannot_be_resolved_is_public(self) -> None:
        assert refuses(LinkPolicy("https://api.invalid"), "10.0.0.1")


class TestForm:
    @pytest.mark.parametrize(
        "link",
        [
            "",
            " https://files.example/v",
            "https://files.example/v\n",
            "https://files.example/\x00",
            "https://files.example/\u202e",
            "https://files.example/\ud800",
            "https://[files/v",
            "https://files.example:bad/v",
            "https:///v",
            "//files.example/v",
            "/etc/passwd",
            "file:///etc/passwd",
            "ftp://files.example/v",
            "javascript:alert(1)",
            "https://files.example/" + "x" * 20_000,
        ],
    )
    def test_what_is_no_link(self, link: str) -> None:
        with pytest.raises(SourceError):
            LinkPolicy(PUBLIC_API, allow_private=True).check(link)

    @pytest.mark.parametrize(
        "host",
        ["127.0.0.1", "127.1", "0x7f.1", "2130706433", "017700000001", "[::1]", "[::ffff:127.0.0.1]", "localhost",
         "localhost.", "a.LOCALHOST", "127.0.0.1.", "0x7f.1.", "[::127.0.0.1]", "[fec0::1]"],
    )  # fmt: skip
    def test_a_private_address_is_known_without_a_look_up(self, host: str) -> None:
        with pytest.raises(SourceLinkRefusedError):
            LinkPolicy(PUBLIC_API).check(f"http://{host}/v?sig=feed")

    def test_no_error_shows_the_link(self) -> None:
        with pytest.raises(SourceLinkRefusedError) as caught:
            LinkPolicy(PUBLIC_API).check("http://feed:feed@127.0.0.1/feed?sig=feed")
        assert "feed" not in str(caught.value)

    @pytest.mark.parametrize("link", ["https://files.example/v?a=b#c", "http://8.8.8.8:8080/v", "https://ä.example/v"])
    def test_any_other_link_is_looked_up_first(self, link: str) -> None:
        LinkPolicy(PUBLIC_API).check(link)


class TestConnection:
    def test_the_address_that_is_connected_to_counts(
        self, session: requests.Session, local_api: LocalApi, resolver: list[tuple[str, str]]
    ) -> None:
        port = urlsplit(local_api.url).port
        with pytest.raises(SourceLinkRefusedError, match=r"files\.example.*127\.0\.0\.1"):
            session.get(f"http://files.example:{port}/v")
        assert local_api.connections == 0
        assert resolver == [("files.example", "127.0.0.1")]

    def test_a_name_is_resolved_once(
        self, local_api: LocalApi, resolver: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        socket.getaddrinfo.answers[:] = ["127.0.0.1", "169.254.169.254"]  # type: ignore[attr-defined]
        port = urlsplit(local_api.url).port
        local_api.on("GET", "/v", Answer(body=b"video"))
        with requests.Session() as session:
            prepare_session(session, hosts=1, connections=1, links=LinkPolicy(PRIVATE_API))
            assert session.get(f"http://files.example:{port}/v").content == b"video"
        assert local_api.received[0].headers["host"] == f"files.example:{port}"
        assert resolver == [("files.example", "127.0.0.1")]

    def test_the_next_address_is_tried(
        self, local_api: LocalApi, monkeypatch: pytest.MonkeyPatch, dead_url: str
    ) -> None:
        port, real = urlsplit(local_api.url).port, socket.getaddrinfo

        def both(host: Any, *args: Any, **kwargs: Any) -> Any:
            if host == "files.example":
                return real("127.0.0.9", *args, **kwargs) + real("127.0.0.1", *args, **kwargs)
            return real(host, *args, **kwargs)

        monkeypatch.setattr(socket, "getaddrinfo", both)
        local_api.on("GET", "/v", Answer(body=b"video"))
        with requests.Session() as session:
            prepare_session(session, hosts=1, connections=1, links=LinkPolicy(PRIVATE_API))
            assert session.get(f"http://files.example:{port}/v").content == b"video"

    def test_a_name_without_an_address_is_a_failed_connection(self, session: requests.Session) -> None:
        with pytest.raises(requests.ConnectionError):
            session.get("http://files.invalid/v")

    def test_what_a_proxy_resolves_is_its_matter_but_an_address_is_refused(
        self, session: requests.Session, local_api: LocalApi
    ) -> None:
        local_api.otherwise = Answer(body=b"video")
        proxies = {"http": local_api.url}
        assert session.get("http://files.example/v?sig=1", proxies=proxies).content == b"video"
        with pytest.raises(SourceLinkRefusedError):
            session.get("http://10.0.0.1/v", proxies=proxies)
        assert local_api.count() == 1

    @pytest.mark.parametrize("host", ["metadata.google.internal", "printer", "db.svc", "files.local."])
    def test_a_name_of_a_private_network_is_refused_before_a_proxy_resolves_it(
        self, session: requests.Session, local_api: LocalApi, host: str
    ) -> None:
        local_api.otherwise = Answer(body=b"video")
        proxies = {"http": local_api.url}
        with pytest.raises(SourceLinkRefusedError, match="a name of a private network"):
            session.get(f"http://{host}/v", proxies=proxies)
        assert local_api.count() == 0
        for policy in (LinkPolicy("http://vendor.internal/v1"), LinkPolicy(PUBLIC_API, allow_private=True)):
            prepare_session(session, hosts=1, connections=1, links=policy)
            assert session.get(f"http://{host}/v", proxies=proxies).content == b"video"


class TestClient:
    def make(self, base_url: str, **settings: Any) -> VideoApiClient:
        return VideoApiClient(
            vendor="acme", base_url=base_url, settings=ClientSettings(retry_deadline=0.01, **settings)
        )

    def test_a_call_elsewhere_is_a_link(self, local_api: LocalApi) -> None:
        local_api.on("POST", "/upload", Answer(json={}))
        with pytest.raises(SourceLinkRefusedError):
            self.make(PUBLIC_API).call("POST", f"{local_api.url}/upload", endpoint="POST upload")
        assert local_api.connections == 0
        allowed = self.make(PUBLIC_API, allow_private_links=True)
        allowed.call("POST", f"{local_api.url}/upload", endpoint="POST upload")
        assert local_api.count() == 1

    def test_the_api_itself_may_be_anywhere(self, local_api: LocalApi, other_api: LocalApi) -> None:
        other_api.on("POST", "/upload", Answer(json={}))
        client = self.make(local_api.url)
        local_api.on("GET", "/jobs", Answer(json=[]))
        assert client.get_json("/jobs", endpoint="GET /jobs") == []
        client.call("POST", f"{other_api.url}/upload", endpoint="POST upload")
        assert other_api.count() == 1


@pytest.mark.parametrize(
    ("url", "local"),
    [
        ("http://127.0.0.1:8099/acme", True),
        ("http://simulator:8099", True),
        ("http://vendor.svc.internal", True),
        ("http://printer.local.", True),
        ("http://[fd00::1]/", True),
        ("http://api.example.com", False),
        ("http://8.8.8.8", False),
        ("http://vendor.invalid", False),
    ],
)
def test_a_host_is_local_by_its_name(url: str, local: bool) -> None:
    assert is_local(url) is local


@pytest.mark.parametrize("method", ["PUT", "POST", "GET"])
def test_a_signed_link_is_called_byte_for_byte(raw_server: RawServer, method: str) -> None:
    """The signature of an upload's link may cover its very text; a URL of the API itself is encoded as ever."""
    raw_server.respond = lambda connection, request: connection.send(http_response(b"{}")) or True
    port = raw_server.url.rpartition(":")[2]
    client = VideoApiClient(vendor="acme", base_url=f"http://localhost:{port}")
    client.call(method, f"{raw_server.url}{SIGNED}", endpoint="upload", data=b"")
    client.call(method, f"{client.base_url}/%7Ea", endpoint="own")
    lines = [request.split(b"\r\n")[0].decode() for request in raw_server.requests]
    assert lines == [f"{method} {SIGNED} HTTP/1.1", f"{method} /~a HTTP/1.1"]
