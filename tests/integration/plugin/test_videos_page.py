# SPDX-License-Identifier: Apache-2.0
"""The Videos page's app within Airflow's own API server: what it lists, which files it serves, and to whom."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_video_providers.delivery.stores.base import ObjectAttributes
from airflow_video_providers.delivery.stores.local import LocalStore
from airflow_video_providers.jobs import JobCost, JobError, JobState
from tests.support.media import mp4
from tests.support.recorded import Records, recorded_file, recorded_job

pytestmark = pytest.mark.airflow


@pytest.fixture(scope="module")
def api(airflow_db: None) -> Iterator[object]:
    """Airflow's API server in this process, with users of the simple auth manager."""
    from airflow.api_fastapi.app import create_app
    from fastapi.testclient import TestClient

    with TestClient(create_app(apps="core"), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture
def login(api, monkeypatch: pytest.MonkeyPatch):
    """Return a function that gives the headers of a user; ``sees`` are the DAGs of a user who may not see all."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    limits: dict[str, set[str]] = {}
    usual = SimpleAuthManager.is_authorized_dag

    def is_authorized_dag(self, *, method, user, access_entity=None, details=None):
        dag_id = details.id if details else None
        if dag_id is not None and user.username in limits and dag_id not in limits[user.username]:
            return False
        return usual(self, method=method, user=user, access_entity=access_entity, details=details)

    monkeypatch.setattr(SimpleAuthManager, "is_authorized_dag", is_authorized_dag)
    monkeypatch.setattr(
        SimpleAuthManager,
        "filter_authorized_dag_ids",
        lambda self, *, dag_ids, user, method="GET", team_name=None: {
            dag_id for dag_id in dag_ids if user.username not in limits or dag_id in limits[user.username]
        },
    )

    def headers(name: str = "ada", role: str | None = "VIEWER", sees: set[str] | None = None) -> dict[str, str]:
        if sees is not None:
            limits[name] = sees
        token = get_auth_manager().generate_jwt(SimpleAuthManagerUser(username=name, role=role))
        return {"Authorization": f"Bearer {token}"}

    return headers


def store(path: Path, data: bytes, job_id: str, *, vendor: str = "acme", kind: str = "video") -> str:
    """Store a file as a delivery does, with its name in the metadata; return its URI."""
    metadata = {"videovendor": vendor, "videojobid": job_id, "videooutput": f"{kind}-0"}
    LocalStore().put(str(path).lstrip("/"), data, ObjectAttributes("video/mp4", metadata), replace=True)
    return path.as_uri()


# ---------------------------------------------------------------- the page


def test_the_page_is_static_and_runs_no_script_but_its_own(api):
    page = api.get("/videos/")
    assert page.status_code == 200
    policy = page.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "<script type=" in page.text
    assert "onclick" not in page.text
    for name in ("app.js", "card.js", "dom.js", "player.js", "thumbnail.js"):
        part = api.get(f"/videos/{name}")
        assert part.headers["content-type"].startswith("text/javascript"), name
        for unsafe in ("innerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert unsafe not in part.text, name
    assert api.get("/videos/style.css").headers["content-type"].startswith("text/css")
    assert api.get("/videos/app.py").status_code == 404
    assert api.get("/videos/..%2fapp.py").status_code == 404


def test_the_page_is_in_the_nav_and_below_the_base_url(api, login):
    plugins = api.get("/api/v2/plugins", headers=login("root", "ADMIN")).json()["plugins"]
    (mine,) = [plugin for plugin in plugins if plugin["name"] == "video_providers"]
    (view,) = [view for view in mine["external_views"] if view["name"] == "Videos"]
    assert (view["destination"], view["url_route"], view["href"]) == ("nav", "videos", "videos/")


# ---------------------------------------------------------------- the list


def listed(api, headers, **query):
    response = api.get("/videos/api/renders", params=query, headers=headers)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_render_is_shown_once_as_its_last_task_saw_it_with_its_file(api, login, records: Records):
    records.job("films", "r1", "submit", recorded_job("j1", state=JobState.QUEUED), age=60)
    cost = JobCost(amount=0.5, unit="usd")
    seen = recorded_job("j1", name="Ada", progress=1.0, cost=cost, page_url="https://acme.example/j1?token=x")
    records.job("films", "r1", "wait", seen, age=10)
    records.files("films", "r1", "store", [recorded_file("s3://b/j1.mp4", "j1")])
    records.files("films", "r1", "other", [recorded_file("s3://b/j2.mp4", "j2")])
    records.session.commit()
    (render,) = listed(api, login())["renders"]
    assert (render["task_id"], render["state"], render["name"], render["live"]) == ("wait", "succeeded", "Ada", False)
    assert render["cost"] == {"amount": 0.5, "unit": "usd"}
    assert render["page_url"] == "https://acme.example/j1"
    (file,) = render["files"]
    assert (file["task_id"], file["uri"], file["size"]) == ("store", "s3://b/j1.mp4", 1000)


def test_pages_lead_through_all_renders_once_and_in_order(api, login, records: Records):
    for number in range(25):
        records.job("films", f"r{number % 3}", "submit", recorded_job(f"j{number}"), map_index=number, age=number // 4)
    records.session.commit()
    seen, cursor = [], None
    while True:
        page = listed(api, login(), limit=7, **({"cursor": cursor} if cursor else {}))
        seen += [render["job_id"] for render in page["renders"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 25
    assert [int(job_id[1:]) // 4 for job_id in seen] == sorted(number // 4 for number in range(25))
    assert api.get("/videos/api/renders", params={"cursor": "Zm9v"}, headers=login()).status_code == 400


TIME = "2026-01-01T00:00:00+00:00"


@pytest.mark.parametrize(
    "place",
    [
        "[" * 1400,
        '["0001-01-01T00:00:00+14:00", 1, "t", -1]',
        f'["{TIME}", Infinity, "t", -1]',
        f'["{TIME}", {"9" * 30}, "t", -1]',
        f'["{TIME}", 1, "t", {2**40}]',
        f'["{TIME}", 1, "\\u0000", -1]',
        f'["{TIME}", 1, "\\ud800", -1]',
    ],
)
def test_an_odd_cursor_is_refused(api, login, place: str):
    cursor = base64.urlsafe_b64encode(place.encode()).decode()
    assert api.get("/videos/api/renders", params={"cursor": cursor}, headers=login()).status_code == 400


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("renders", {"vendor": "\x00"}),
        ("counts", {"run_id": "a\x00"}),
        ("files/films", {"run_id": "\x00", "task_id": "t", "uri": "s3://b/k"}),
        ("files/films", {"run_id": "r", "task_id": "t", "uri": "s3://b/k", "map_index": 2**70}),
    ],
)
def test_an_odd_query_is_refused(api, login, path: str, query: dict[str, Any]):
    assert api.get(f"/videos/api/{path}", params=query, headers=login()).status_code == 422


def test_filters_and_counts(api, login, records: Records):
    failed = recorded_job("j2", vendor="other", state=JobState.FAILED, error=JobError(code="E1", message="no"))
    records.job("films", "r1", "a", recorded_job("j1"))
    records.job("films", "r2", "a", failed)
    records.job("spots", "r1", "a", recorded_job("j3"))
    records.session.commit()

    def ids(**query):
        return {render["job_id"] for render in listed(api, login(), **query)["renders"]}

    assert ids(state="failed") == {"j2"} == ids(vendor="other")
    assert ids(dag_id="spots") == {"j3"}
    assert ids(dag_id="films", run_id="r1") == {"j1"}
    assert ids(vendor="acme", state="failed") == set()
    counts = api.get("/videos/api/counts", headers=login()).json()
    assert counts == {
        "state": {"succeeded": 2, "failed": 1},
        "vendor": {"acme": 2, "other": 1},
        "dag_id": {"films": 2, "spots": 1},
    }


def test_what_others_push_under_the_same_keys_is_left_out(api, login, records: Records):
    for number, value in enumerate(["text", ["list"], {"job_id": "x"}, {"job_id": 5, "vendor": []}, None, 7]):
        records.xcom("films", "r1", f"t{number}", "video_job", value)
    records.xcom("films", "r1", "stranger", "manifest", "s3://b/m.jsonl", operator="PythonOperator")
    records.job("films", "r1", "good", recorded_job("j1"))
    records.session.commit()
    assert [render["task_id"] for render in listed(api, login())["renders"]] == ["good"]


def test_a_bulk_task_is_one_card_with_its_counts(api, login, records: Records):
    records.xcom("films", "r1", "bulk", "manifest", "s3://b/m.jsonl", operator="RenderVideosOperator", map_index=0)
    records.xcom("films", "r1", "bulk", "manifest", "s3://b/n.jsonl", operator="RenderVideosOperator", map_index=1)
    records.xcom("films", "r1", "bulk", "return_value", {"requested": 9, "succeeded": 8}, map_index=1)
    records.session.commit()
    by_index = {render["map_index"]: render for render in listed(api, login())["renders"]}
    assert by_index[0]["manifest"] == "s3://b/m.jsonl"
    assert by_index[0]["summary"] is None
    assert (by_index[1]["summary"], by_index[1]["state"]) == ({"requested": 9, "succeeded": 8}, "succeeded")


# ---------------------------------------------------------------- who sees what


def test_a_user_sees_only_the_dags_that_airflow_lets_them_see(api, login, records: Records, tmp_path):
    uri = store(tmp_path / "j1.mp4", mp4(50_000), "j1")
    records.job("secret", "r1", "wait", recorded_job("j1"))
    records.files("secret", "r1", "store", [recorded_file(uri, "j1")])
    records.job("open", "r1", "wait", recorded_job("j2"))
    records.session.commit()
    ada, bob = login("ada"), login("bob", sees={"open"})
    query = {"run_id": "r1", "task_id": "store", "uri": uri}
    assert {render["dag_id"] for render in listed(api, ada)["renders"]} == {"secret", "open"}
    assert {render["dag_id"] for render in listed(api, bob)["renders"]} == {"open"}
    assert api.get("/videos/api/counts", headers=bob).json()["dag_id"] == {"open": 1}
    assert api.get("/videos/api/renders", params={"dag_id": "secret"}, headers=bob).status_code == 403
    assert api.get("/videos/api/files/secret", params=query, headers=ada).status_code == 200
    assert api.get("/videos/api/files/secret", params=query, headers=bob).status_code == 403
    # Another DAG's name does not lead to it either.
    assert api.get("/videos/api/files/open", params=query, headers=bob).status_code == 404
    assert api.get("/videos/api/files/open", params={**query, "dag_id": "secret"}, headers=bob).status_code == 404


@pytest.mark.parametrize("path", ["renders", "counts", "files/films?run_id=r&task_id=t&uri=u"])
def test_nothing_is_told_without_a_session(api, path):
    assert api.get(f"/videos/api/{path}").status_code == 401
    assert api.get(f"/videos/api/{path}", headers={"Authorization": "Bearer wrong"}).status_code == 403


def test_a_user_without_any_role_sees_nothing(api, login):
    assert api.get("/videos/api/renders", headers=login("nobody", role=None)).status_code == 403


# ---------------------------------------------------------------- files


@pytest.fixture
def film(api, login, records: Records, tmp_path):
    """A stored file, and a function that asks for it."""
    data = mp4(50_000)
    uri = store(tmp_path / "j1.mp4", data, "j1")
    records.files("films", "r1", "store", [recorded_file(uri, "j1", size=len(data))])
    records.session.commit()

    def get(uri=uri, method="GET", headers=None, **query):
        query = {"run_id": "r1", "task_id": "store", "uri": uri, **query}
        return api.request(method, "/videos/api/files/films", params=query, headers={**login(), **(headers or {})})

    get.data, get.path = data, tmp_path / "j1.mp4"
    return get


def test_a_file_is_served_whole_and_in_ranges(film):
    data = film.data
    whole = film()
    assert (whole.status_code, whole.content) == (200, data)
    assert whole.headers["content-type"] == "video/mp4"
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-disposition"] == "inline"
    assert "sandbox" in whole.headers["content-security-policy"]
    for header, wanted in {
        "bytes=0-0": data[:1],
        "bytes=5-": data[5:],
        "bytes=5-9": data[5:10],
        "bytes=-7": data[-7:],
        f"bytes=0-{len(data) * 2}": data,
    }.items():
        part = film(headers={"Range": header})
        assert (part.status_code, part.content) == (206, wanted), header
        assert part.headers["content-range"].endswith(f"/{len(data)}")
    outside = film(headers={"Range": f"bytes={len(data)}-"})
    assert (outside.status_code, outside.headers["content-range"]) == (416, f"bytes */{len(data)}")
    for odd in ("bytes=9-5", "bytes=0-1,3-4", "chars=0-1", "bytes=-", "bytes=a-b"):
        assert film(headers={"Range": odd}).status_code == 200, odd
    head = film(method="HEAD")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(data)))
    etag = whole.headers["etag"]
    assert film(headers={"If-None-Match": etag}).status_code == 304
    assert film(headers={"If-Range": etag, "Range": "bytes=0-0"}).status_code == 206
    assert film(headers={"If-Range": '"old"', "Range": "bytes=0-0"}).status_code == 200
    assert film(download=True).headers["content-disposition"] == 'attachment; filename="j1.mp4"'


def test_nothing_is_served_that_the_task_has_not_recorded(film, tmp_path):
    other = store(tmp_path / "j2.mp4", film.data, "j2")
    for uri in (other, tmp_path.as_uri(), "file:///etc/passwd", film.path.as_uri() + "/", "", str(film.path)):
        assert film(uri).status_code == 404, uri
    assert film(task_id="other").status_code == 404
    assert film(run_id="r2").status_code == 404
    assert film(map_index=0).status_code == 404


def forged(records: Records, uri: str, job_id: str = "j9", **more) -> None:
    """Write what a user with the right to edit XComs could write."""
    rendered = more.pop("rendered", None)
    records.files("films", "r1", "forged", [recorded_file(uri, job_id, **more)], rendered=rendered)
    records.session.commit()


def test_a_forged_xcom_opens_no_other_file(film, records: Records, tmp_path):
    secret = tmp_path / "secret.mp4"
    secret.write_bytes(film.data)  # a media file, but not one that was delivered
    forged(records, secret.as_uri())
    refused = film(secret.as_uri(), task_id="forged")
    assert (refused.status_code, refused.json()["detail"]) == (
        404,
        "The object is not the one that the task has stored.",
    )


def test_a_file_of_another_job_is_not_served_under_a_forged_name(film, records: Records):
    forged(records, film.path.as_uri())
    assert film(task_id="forged").status_code == 404


def test_no_text_is_served_even_from_the_destination(film, records: Records, tmp_path):
    text = tmp_path / "videos" / "passwd"
    text.parent.mkdir()
    text.write_text("root:x:0:0:root:/root:/bin/bash\n" * 50)
    forged(records, text.as_uri(), rendered={"destination": f"{tmp_path.as_uri()}/videos/{{job_id}}.{{ext}}"})
    assert "no file of the kind" in film(text.as_uri(), task_id="forged").json()["detail"]


def test_a_store_without_metadata_is_served_from_the_tasks_destination_alone(film, records: Records, tmp_path):
    plain = tmp_path / "videos" / "j9.mp4"
    plain.parent.mkdir()
    plain.write_bytes(film.data)
    destination = f"{tmp_path.as_uri()}/videos/{{job_id}}.{{ext}}"
    forged(records, plain.as_uri(), rendered={"destination": destination})
    assert film(plain.as_uri(), task_id="forged").status_code == 200


def test_a_missing_file_and_an_unknown_store_end_in_words(film, records: Records):
    film.path.unlink()
    gone = film()
    assert gone.status_code == 404
    assert "cannot be read" in gone.json()["detail"]
    forged(records, "ftp://host/j9.mp4")
    assert "no store" in film("ftp://host/j9.mp4", task_id="forged").json()["detail"]


def test_a_pipe_or_a_folder_is_not_read(film, records: Records, tmp_path):
    pipe = tmp_path / "videos" / "pipe"
    pipe.parent.mkdir()
    os.mkfifo(pipe)
    forged(records, pipe.as_uri(), rendered={"destination": f"{tmp_path.as_uri()}/videos/{{job_id}}"})
    assert film(pipe.as_uri(), task_id="forged").status_code == 404
