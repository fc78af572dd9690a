# SPDX-License-Identifier: Apache-2.0
"""The simulator does not serve other sites' pages, takes bounded input, and answers odd requests without failing."""

from __future__ import annotations

import random
from urllib.parse import quote

import pytest
import requests

from tests.support.vendors import ONE


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "evil.example"},
        {"host": "127.0.0.1.evil.example:8099"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_other_sites_pages_reach_neither_control_nor_pages(simulator, headers):
    for method, path in (("POST", "/_simulator/reset"), ("GET", "/_simulator/jobs"), ("GET", "/")):
        answer = requests.request(method, simulator.url + path, headers=headers, timeout=20)
        assert answer.status_code == 403
    own = {"origin": simulator.url, "sec-fetch-site": "same-origin"}
    assert requests.post(f"{simulator.url}/_simulator/reset", headers=own, timeout=20).status_code == 200
    port = simulator.url.rpartition(":")[2]
    assert requests.get(f"{simulator.url}/", headers={"host": f"localhost:{port}"}, timeout=20).status_code == 200


LINK = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


@pytest.mark.parametrize("site", ["same-site", "cross-site"])
def test_a_link_of_another_page_leads_to_the_pages_and_to_no_control(client, simulator, site):
    # Airflow's UI has such links: it is the same host on another port.
    headers, page = {"sec-fetch-site": site}, f"{simulator.url}/renders/{client.vendor}/{client.create('Ada')}"
    followed = requests.get(page, headers=headers | LINK, timeout=20)
    assert followed.status_code == 200
    assert "<h1>Ada</h1>" in followed.text
    assert "frame-ancestors 'none'" in followed.headers["content-security-policy"]
    for other in ({"sec-fetch-dest": "iframe"}, {"sec-fetch-mode": "no-cors"}, {"host": "evil.example"}):
        assert requests.get(page, headers=headers | LINK | other, timeout=20).status_code == 403
    assert requests.get(f"{simulator.url}/_simulator/jobs", headers=headers | LINK, timeout=20).status_code == 403


def test_the_pages_show_renders_and_run_nothing(any_client, simulator):
    assert "No render" in requests.get(f"{simulator.url}/", timeout=20).text
    client, title = any_client, '<script>alert("x")</script>&'
    job_id = client.create(title)
    page = requests.get(f"{simulator.url}/", timeout=20)
    assert page.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "<script>" not in page.text
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&amp;" in page.text
    link = f"{simulator.url}/renders/{client.vendor}/{job_id}"
    assert link.removeprefix(simulator.url) in page.text
    assert "<video" not in requests.get(link, timeout=20).text
    simulator.move(job_id, finish=True)
    page = requests.get(link, timeout=20)
    assert "<video" in page.text
    assert "<script>" not in page.text
    assert requests.get(f"{simulator.url}/renders/{client.vendor}/nobody", timeout=20).status_code == 404


def test_a_body_without_end_is_refused(client, simulator):
    path = client.create_path
    answer = client.call("POST", path, data=b"[" * ((8 << 20) + 1), headers={**client.headers, "connection": "close"})
    assert answer.status_code == 413
    assert client.get(client.status_path.format(client.create()))


ODD = (
    "", "0", "-1", "1e999", "nan", "²", "٣", "9" * 30, "9" * 5000, "\x00",
    "a\udc80b".encode("utf-8", "surrogateescape"), "%", "../..", "💥", "true", "[]", "{}", "' OR 1=1", b"\xff\xfe",
    "x" * 3000,
)  # fmt: skip
NAMES = (
    "start", "limit", "sort", "direction", "expiry_time", "file_id", "redirect", "signature", "client_id", "skip",
    "take", "filter", "sortField", "breakdown", "from_date", "to_date", "object_key", "pipeline_id", "expires_at",
    "format", "expand", "user_data", "status", "inprogress", "autograph_tag", "job.id", "type",
)  # fmt: skip


def test_odd_queries_are_no_failures_of_the_server(client):
    chance = random.Random(client.vendor)
    job_id = client.create()
    paths = [*client.odd_paths, client.status_path.format(job_id)]
    for _ in range(100):
        chosen = [(chance.choice(NAMES), chance.choice(ODD)) for _ in range(chance.randint(1, 3))]
        query = "&".join(f"{name}={quote(value)}" for name, value in chosen)
        path = f"{chance.choice(paths)}?{query}"
        answer = client.call(chance.choice(("GET", "POST", "PUT", "DELETE")), path)
        assert answer.status_code < 500, (path, answer.text)
        answer = client.call("GET", chance.choice(paths), headers={**client.headers, "range": "bytes=²-"})
        assert answer.status_code < 500


@pytest.mark.parametrize("body", [b"[" * 200_000, b"\xff\xfe", b'"\\ud800"', b"nul", b"{", b"1e999", b"[1,2]", b"null"])
def test_odd_bodies_are_refused(client, body):
    headers = {**client.headers, "content-type": "application/json"}
    answer = client.call("POST", client.create_path, data=body, headers=headers)
    assert 400 <= answer.status_code < 500, answer.text


FAULT = f'{{{{"vendor": "{ONE}", "operation": "*", "status": {{}}}}}}'


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(("POST", "faults", FAULT.format(value)) for value in ("NaN", "1e999", "-Infinity", "9" * 5000, '"\\ud800"')),
        *(("POST", "faults", body) for body in ("[" * 200_000, "{", "null", '{"vendor": "none"}')),
        ("PATCH", "settings", '{"\\ud800": NaN}'),
        ("PATCH", "settings", "[" * 200_000),
        ("POST", "jobs/none", '{"progress": NaN}'),
    ],
)
def test_odd_bodies_of_the_control_api_are_refused(simulator, method, path, body):
    answer = requests.request(method, f"{simulator.url}/_simulator/{path}", data=body, timeout=30)
    assert 400 <= answer.status_code < 500, answer.text
    assert isinstance(answer.json()["detail"], str)


def test_a_title_of_any_characters_is_rendered(client, simulator):
    job_id = client.create("\ud800 \x00 ‮ title")
    simulator.move(job_id, finish=True)
    assert requests.get(client.video_url(job_id), timeout=30).content[4:8] == b"ftyp"
    assert requests.get(f"{simulator.url}/", timeout=20).status_code == 200
    assert requests.get(f"{simulator.url}/renders/{client.vendor}/{job_id}", timeout=20).status_code == 200
    assert client.delete(job_id).ok


@pytest.mark.parametrize("suffix", ["&x=1", "&signature=1", "&expires=99999999999", "#", ""])
def test_a_changed_link_is_refused(any_client, simulator, suffix):
    client = any_client
    job_id = client.create()
    simulator.move(job_id, finish=True)
    url = client.video_url(job_id)
    assert requests.get(url + suffix, timeout=30).status_code == (403 if suffix.startswith("&") else 200)
    for odd in ("²", "9" * 30, "-1", ""):
        changed = url.replace("expires=", f"expires={quote(odd)}")
        assert requests.get(changed, timeout=30).status_code == 403 or odd == ""


@pytest.mark.parametrize("header", ["authorization", "api-key"])
def test_no_link_takes_any_vendors_key(client, simulator, header):
    job_id = client.create()
    simulator.move(job_id, finish=True)
    assert requests.get(client.video_url(job_id), headers={header: "simulator"}, timeout=30).status_code == 403


def test_a_limit_of_requests_is_kept_on_demand(client, simulator):
    path = client.status_path.format(client.create())
    simulator.settings(requests_per_second=0.01, burst=3)
    answers = [client.call("GET", path).status_code for _ in range(5)]
    assert answers == [200, 200, 200, 429, 429]
    refused = client.call("GET", path)
    assert 90 <= int(refused.headers["retry-after"]) <= 100
    assert "Too many requests" in refused.text
    assert simulator.counts(client.vendor)["limited"] == 3
    simulator.reset()
    assert client.call("GET", path).status_code != 429
