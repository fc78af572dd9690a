# SPDX-License-Identifier: Apache-2.0
"""
How fast the Videos page is with 5,000 renders: first cards in Chromium, and the API server's time for each request.

``python benchmarks/bench_videos_page.py [sqlite] [postgresql]``; both without an argument. It needs playwright,
Chromium and, for PostgreSQL, its programs. About 5 minutes on two cores.

The renders are rows as tasks leave them: 200 runs of 20 DAGs, each with 25 mapped renders of three tasks; the renders
of the newest run go on. The newest renders have stored videos, which the cards show frames of. The page is opened from
the nav of Airflow's UI and by its own address, scrolled and filtered; the times of the requests are those in the API
server's access log.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.live_airflow import Airflow, free_port, postgres

CHROMIUM = "/usr/bin/chromium"
DAGS, RUNS, MAPPED = 20, 200, 25
RENDERS = RUNS * MAPPED
WITH_FILE = 300
TIMES = 10
PATIENCE = 120_000
_LINE = re.compile(r"duration_us=(\d+) .*method=(\w+) path=(/videos/\S*) query='?(\S*?)'? status_code=(\d+)")


def main(arguments: list[str]) -> None:
    """Measure on each database that is named, or write the rows of one."""
    if arguments[:1] == ["--write"]:
        write_renders(Path(arguments[1]))
        return
    print(f"Videos page with {RENDERS:,} renders; {TIMES} times each\n")
    for database in arguments or ["sqlite", "postgresql"]:
        with contextlib.ExitStack() as stack:
            url = stack.enter_context(postgres()) if database == "postgresql" else None
            with airflow_with_renders(url) as airflow:
                measure(airflow, database)


# ---------------------------------------------------------------- rows


def write_renders(folder: Path) -> None:
    """Write what the tasks of all renders have recorded, and the newest videos."""
    from airflow.utils.session import create_session

    from airflow_video_providers.get_provider_info import read_vendors
    from airflow_video_providers.simulator.media import render_video
    from tests.support.recorded import Records

    film = folder / "film.mp4"
    render_video(film, "Spring catalogue", "a video of the benchmark")
    data, vendors = film.read_bytes(), [vendor["connection-type"] for vendor in read_vendors()]
    with create_session() as session:
        records = Records(session)
        for number in range(RENDERS):
            write_render(records, number, vendors[number % len(vendors)], folder, data)
            if number % 500 == 0:
                session.commit()


def write_render(records: Any, number: int, vendor: str, folder: Path, data: bytes) -> None:
    """Write one render; number 0 is the newest."""
    from airflow_video_providers.delivery.stores.base import ObjectAttributes
    from airflow_video_providers.delivery.stores.local import LocalStore
    from airflow_video_providers.jobs import JobCost, JobError, JobState
    from tests.support.recorded import recorded_file, recorded_job

    run, map_index, job_id = number // MAPPED, number % MAPPED, f"job-{number:05d}"
    dag_id, run_id, age = f"catalogue_{run % DAGS}", f"run_{run}", number * 30.0
    created = datetime.now(timezone.utc) - timedelta(seconds=age + 300)
    facts = {"vendor": vendor, "name": f"Film {number} of the spring catalogue", "created_at": created}
    place: dict[str, Any] = {"map_index": map_index, "age": age}
    if goes_on := run == 0:
        place["run_state"] = "running"
    queued = recorded_job(job_id, state=JobState.QUEUED, **facts)
    records.job(dag_id, run_id, "submit", queued, **place)
    records.xcom(dag_id, run_id, "submit", "return_value", job_id, **place)
    if goes_on:
        seen = recorded_job(job_id, state=JobState.RUNNING, progress=map_index / MAPPED, **facts)
    elif number % 20 == 7:
        error = JobError(code="E_SCENE", message="The scene has no text.")
        seen = recorded_job(job_id, state=JobState.FAILED, error=error, **facts)
    else:
        cost = JobCost(amount=0.5, unit="usd")
        seen = recorded_job(job_id, progress=1.0, cost=cost, finished_at=created + timedelta(seconds=240), **facts)
    records.job(dag_id, run_id, "wait", seen, **place)
    if seen.state is not JobState.SUCCEEDED:
        return
    records.xcom(dag_id, run_id, "wait", "return_value", job_id, **place)
    path = folder / "videos" / f"{job_id}.mp4"
    if number < WITH_FILE:
        named = {"videovendor": vendor, "videojobid": job_id, "videooutput": "video-0"}
        LocalStore().put(str(path).lstrip("/"), data, ObjectAttributes("video/mp4", named), replace=True)
    file = recorded_file(path.as_uri(), job_id, vendor=vendor, size=len(data))
    records.files(dag_id, run_id, "store", [file], **place)


# ---------------------------------------------------------------- Airflow


@contextlib.contextmanager
def airflow_with_renders(database: str | None) -> Iterator[Airflow]:
    """Run an API server over the rows; on SQLite unless the URL of another database is given."""
    home = Path(tempfile.mkdtemp(prefix="bench-videos-"))
    url = f"http://127.0.0.1:{free_port()}"
    env = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": url.rpartition(":")[2],
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database or f"sqlite:///{home}/airflow.db?timeout=60",
    }
    airflow = Airflow(home, env, url)
    try:
        subprocess.run([sys.executable, "-m", "airflow", "db", "migrate"], env=env, check=True, capture_output=True)
        subprocess.run([sys.executable, __file__, "--write", str(home)], env=env, check=True)
        airflow.start("api-server")
        airflow.wait_until_up()
        yield airflow
    finally:
        airflow.stop()
        shutil.rmtree(home, ignore_errors=True)


# ---------------------------------------------------------------- the page


def measure(airflow: Airflow, database: str) -> None:
    """Print the times of one Airflow."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        firsts: dict[str, list[float]] = defaultdict(list)
        for _ in range(TIMES):
            context = browser.new_context(viewport={"width": 1440, "height": 900})  # nothing is cached
            page = context.new_page()
            page.set_default_timeout(PATIENCE)
            firsts["from Airflow's nav"].append(open_from_nav(page, airflow.url))
            firsts["by its own address"].append(open_alone(page, airflow.url))
            context.close()
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE)
        open_from_nav(page, airflow.url)
        use(page, airflow.url)
        browser.close()
    print(f"| {database}: the first cards, opened | median | slowest |\n|---|---|---|")
    for name, seconds in firsts.items():
        print(f"| {name} | {statistics.median(seconds):.2f} s | {max(seconds):.2f} s |")
    print(f"\n| {database}: time of the API server | requests | median | slowest |\n|---|---|---|---|")
    for name, spent in sorted(read_log(airflow.home / "api-server.log").items()):
        print(f"| {name} | {len(spent)} | {statistics.median(spent):.0f} ms | {max(spent):.0f} ms |")
    print(flush=True)


def open_from_nav(page: Any, url: str) -> float:
    """Open the page by Airflow's nav; return the seconds from the click to the first card."""
    page.goto(url, wait_until="networkidle")
    link = page.get_by_role("link", name="Videos").first
    link.wait_for()
    frame = page.frame_locator("iframe[title=Videos]")
    return seconds_of(lambda: (link.click(), frame.locator(".card").first.wait_for()))


def open_alone(page: Any, url: str) -> float:
    """Open the page without Airflow's frame; return the seconds to the first card."""
    return seconds_of(
        lambda: (page.goto(f"{url}/videos/", wait_until="commit"), page.locator(".card").first.wait_for())
    )


def seconds_of(work: Callable[[], Any]) -> float:
    """Return how long some work takes."""
    start = time.monotonic()
    work()
    return time.monotonic() - start


def use(page: Any, url: str) -> None:
    """Scroll through 100 cards and more, and choose filters, as users do; wait for one refresh."""
    page.goto(f"{url}/videos/", wait_until="domcontentloaded")
    cards = page.locator(".card")
    while cards.count() < 100:
        page.mouse.wheel(0, 3000)
        page.wait_for_timeout(200)
    page.wait_for_timeout(10_000)  # the renders that go on are refreshed
    for name in ("failed", "running", "succeeded"):
        page.locator(f".chip.{name}").click()
        page.locator(f".chip.{name}[aria-pressed=true]").wait_for()
        cards.first.wait_for()
    page.locator(".chip").first.click()
    for choice in ("vendor", "dag_id"):
        page.locator(f"#{choice}").select_option(index=3)
        page.wait_for_timeout(1000)
        cards.first.wait_for()
    page.wait_for_timeout(3000)


def read_log(log: Path) -> dict[str, list[float]]:
    """Return the milliseconds of each kind of request to the page, from the API server's access log."""
    found: dict[str, list[float]] = defaultdict(list)
    for line in re.sub(r"\x1b\[[0-9;]*m", "", log.read_text("utf-8", "replace")).splitlines():
        if match := _LINE.search(line):
            spent, _, path, query, status = match.groups()
            found[kind_of(path, query, status)].append(int(spent) / 1000)
    return found


def kind_of(path: str, query: str, status: str) -> str:
    """Return what a request was for."""
    if "/api/files/" in path:
        return "a part of a stored video"
    if path.endswith("/api/counts"):
        return "counts for the filters"
    if not path.endswith("/api/renders"):
        return "a part of the page itself"
    chosen = [name for name in ("cursor", "state", "vendor", "dag_id") if f"{name}=" in query]
    return (
        f"renders, {'by ' + ' and '.join(chosen) if chosen else 'the newest'}{'' if status == '200' else ' ' + status}"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
