# SPDX-License-Identifier: Apache-2.0
"""
A new user's way in a real browser: add a connection, test it, trigger a DAG, watch it, open the links, play the video.

A second user, who may not see that DAG, finds none of it. Airflow is the real one, with the simple auth
manager, limited for the second user by ``limited_auth_manager``; the vendor is the simulator. Run by
``make test-ui``: it takes some minutes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest

import airflow_video_providers
from scripts.local_run import LocalRun, control, free_port, standalone_environment, wait_for_url
from tests.support.vendors import HOOKS

pytestmark = [pytest.mark.ui, pytest.mark.timeout(1500)]

CHROMIUM = Path("/usr/bin/chromium")
DAG = "my_first_video"
PARTS = ("api-server", "scheduler --skip-serve-logs", "dag-processor", "triggerer --skip-serve-logs")
PATIENCE = 180_000  # milliseconds, of a machine that does much else
PAGE = Path(airflow_video_providers.__file__).parent / "plugin" / "videos" / "static" / "index.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is not installed: apt-get install chromium")
    with playwright.sync_playwright() as started:
        launched = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRun]:
    """The processes of this test, all stopped at its end."""
    local = LocalRun("ui-test", tmp_path_factory.mktemp("ui"))
    yield local
    local.stop_started()


@pytest.fixture(scope="module")
def simulator(run: LocalRun) -> str:
    """The simulator's address."""
    return run.start_simulator(render_seconds=12)


@pytest.fixture(scope="module")
def vendor(simulator: str) -> dict[str, Any]:
    """A vendor with a page for each video, and what its connection and a request of it are."""
    for conn_id, connection in control(simulator, "connections").items():
        name = connection["conn_type"]
        os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"] = json.dumps(connection)
        try:
            hook = HOOKS[name](conn_id)
            job = hook.submit_job(control(simulator, "examples?text=Ada")[name], key="look")
            if (job.page_url or hook.get_job(job.job_id).page_url) and not connection.get("extra"):
                return {"name": name, "label": hook.hook_name, **connection}
        finally:
            del os.environ[f"AIRFLOW_CONN_{conn_id.upper()}"]
    raise AssertionError("no vendor of the simulator has a page for a video")


@pytest.fixture(scope="module")
def airflow(run: LocalRun, simulator: str, vendor: dict[str, Any]) -> str:
    """Airflow's address; its DAG is the one that the empty Videos page shows."""
    dags, videos = run.work / "dags", run.work / "videos"
    for folder in (dags, videos):
        folder.mkdir()
    code = unescape(re.search(r"<pre><code>(.*?)</code></pre>", PAGE.read_text(), re.DOTALL)[1])
    request = control(simulator, "examples?text=Ada")[vendor["name"]]
    code = code.replace("{...}", repr(request)).replace("s3://my_aws@my-bucket/videos", videos.as_uri())
    (dags / "first.py").write_text(code)
    (dags / "other.py").write_text("from airflow.sdk import DAG\n\ndag = DAG('other')\n")
    port = free_port()
    env = standalone_environment(run.work, port, dags) | {
        "PYTHONPATH": str(Path(__file__).parent),
        "AIRFLOW__CORE__AUTH_MANAGER": "limited_auth_manager.LimitedAuthManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": "ada:admin,bob:viewer",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(run.work / "passwords.json"),
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "LIMITED_USERS": json.dumps({"bob": ["other"]}),
    }
    (run.work / "passwords.json").write_text(json.dumps({"ada": "ada", "bob": "bob"}))
    run.make_database(env)
    # Not `airflow standalone`, which has an auth manager of its own.
    server, *_ = [run.airflow(part.split(), env, run.work / f"{part.split()[0]}.log") for part in PARTS]
    address = f"http://127.0.0.1:{port}"
    token = wait_for_url(f"{address}/auth/token", server, json={"username": "ada", "password": "ada"}, seconds=600)
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    wait_for_url(f"{address}/api/v2/dags/{DAG}", server, headers=headers, seconds=300)
    return address


@contextlib.contextmanager
def signed_in(browser: Any, airflow: str, name: str, folder: Path) -> Iterator[Any]:
    """Give the page of a user who has signed in by the form; if the test fails, its picture is in ``folder``."""
    page = browser.new_context(viewport={"width": 1440, "height": 1000}).new_page()
    page.set_default_timeout(PATIENCE)
    try:
        page.goto(airflow, wait_until="domcontentloaded")
        page.locator("input[name=username]").fill(name)
        page.locator("input[name=password]").fill(name)
        page.locator("button[type=submit]").click()
        page.wait_for_url(re.compile(rf"^{re.escape(airflow)}/?$"))
        yield page
    except BaseException:
        picture = folder / f"failed-{name}.png"
        page.screenshot(path=picture)
        print(f"what {name} saw: {page.url} {picture}")
        raise
    finally:
        page.context.close()


def test_from_a_connection_to_the_video_and_who_sees_it(
    browser: Any, airflow: str, vendor: dict[str, Any], run: LocalRun
) -> None:
    with signed_in(browser, airflow, "ada", run.work) as page:
        file = make_first_video(page, airflow, vendor)
    with signed_in(browser, airflow, "bob", run.work) as page:
        refuse(page, airflow, file)


def make_first_video(page: Any, airflow: str, vendor: dict[str, Any]) -> str:
    """Go the whole way of a new user; return the address of the file that was played."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    videos = open_videos(page)
    videos.get_by_text("No renders yet").wait_for()

    add_connection(page, airflow, vendor)
    run_dag(page, airflow)

    videos = open_videos(page)
    videos.locator(".progress-text").first.wait_for()
    card = videos.locator(".card")
    videos.locator(".card[data-state=succeeded] .play").wait_for()  # it refreshes by itself
    assert card.count() == 1
    assert vendor["name"] in card.inner_text()

    open_links(page, card)
    videos = open_videos(page)
    videos.locator(".play").click()
    video = videos.locator("dialog video")
    page.wait_for_timeout(500)
    video.evaluate("film => new Promise(resolve => film.currentTime > 0.3 ? resolve() : "
                   "film.addEventListener('timeupdate', () => film.currentTime > 0.3 && resolve()))")  # fmt: skip
    assert video.evaluate("film => film.duration") > 1
    file = str(video.evaluate("film => film.src"))
    assert page.request.get(file).headers["content-type"] == "video/mp4"
    assert errors == []
    return file


def open_videos(page: Any) -> Any:
    """Open the Videos page from the nav, and return its frame."""
    page.get_by_role("link", name="Videos").first.click()
    frame = page.frame_locator("iframe[title=Videos]")
    frame.locator(".card, #empty:not([hidden])").first.wait_for()
    return frame


def add_connection(page: Any, airflow: str, vendor: dict[str, Any]) -> None:
    """Fill in the form by hand, save it, and test the connection by its icon."""
    page.goto(f"{airflow}/connections", wait_until="domcontentloaded")
    page.get_by_role("button", name="Add Connection").click()
    form = page.get_by_role("dialog")
    form.locator("input[name=connection_id]").fill("my_vendor")
    form.get_by_role("combobox").first.click()
    page.keyboard.type(vendor["label"])
    page.get_by_role("option", name=vendor["label"], exact=True).click()
    for field in ("host", "login", "password"):
        if vendor.get(field):
            form.locator(f"input[name={field}]").fill(vendor[field])
    assert form.locator("input[name=port]").count() == 0
    form.get_by_role("button", name=re.compile("^Save")).click()
    form.wait_for(state="hidden")
    row = page.get_by_role("row").filter(has_text="my_vendor")
    row.get_by_role("button", name=re.compile("test", re.IGNORECASE)).click()
    page.get_by_text("Test Connection Successful").wait_for()


def run_dag(page: Any, airflow: str) -> None:
    """Trigger the DAG by its button."""
    page.goto(f"{airflow}/dags/{DAG}", wait_until="domcontentloaded")
    page.get_by_role("button", name=re.compile("Trigger")).first.click()
    page.get_by_role("dialog").get_by_role("button", name=re.compile("^Trigger")).last.click()
    page.get_by_role("dialog").wait_for(state="hidden")


def open_links(page: Any, card: Any) -> None:
    """Open each link of a card: two within Airflow, the third at the vendor, in a tab of its own."""
    with page.context.expect_page() as opened:
        card.locator(".links a.outer").click()
    opened.value.wait_for_load_state("domcontentloaded")
    assert "Ada" in opened.value.locator("h1").inner_text()
    opened.value.close()
    for number, place in enumerate((rf"/dags/{DAG}/runs/[^/]+$", rf"/dags/{DAG}/runs/[^/]+/tasks/\w+")):
        links = open_videos(page).locator(".card .links a:not(.outer)")
        links.nth(number).click()
        page.wait_for_url(re.compile(place))


def refuse(page: Any, airflow: str, file: str) -> None:
    """Check that a user who may not see the DAG finds neither its card nor its file."""
    videos = open_videos(page)
    videos.get_by_text("No renders yet").wait_for()
    assert videos.locator(".card").count() == 0
    assert page.request.get(file).status == 403
    assert page.request.get(f"{airflow}/videos/api/renders?dag_id={DAG}").status == 403
    listed = page.request.get(f"{airflow}/api/v2/dags").json()["dags"]
    assert [dag["dag_id"] for dag in listed] == ["other"]
