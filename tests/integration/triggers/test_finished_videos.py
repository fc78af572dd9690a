# SPDX-License-Identifier: Apache-2.0
"""The trigger of an asset watcher, with Airflow's own shared streams, on the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from airflow.sdk import Asset, AssetWatcher
from airflow.serialization.encoders import encode_trigger
from airflow.triggers.base import TriggerEvent
from airflow.triggers.shared_stream import SharedStreamManager

from airflow_video_providers.hooks.base import get_video_hook
from airflow_video_providers.triggers import finished_videos
from airflow_video_providers.triggers.finished_videos import FinishedVideosTrigger
from tests.support.simulator import VENDORS, Simulator
from tests.support.vendors import HOOKS, vendors_that

WATCHED = vendors_that(can_watch=True)
ONE = WATCHED[0]
CONN_ID = f"{ONE}_default"


class AssetState:
    """Stands for Airflow's API server, which keeps the state of an asset; several assets have no single place."""

    def __init__(self, assets: int = 1) -> None:
        self.kept: dict[str, str] = {}
        self.assets = assets

    async def aget(self, key: str, default: Any = None) -> Any:
        if self.assets != 1:
            raise ValueError("several")
        return json.loads(self.kept[key]) if key in self.kept else default

    async def aset(self, key: str, value: Any) -> None:
        self.kept[key] = json.dumps(value)


@pytest.fixture(autouse=True)
def short_intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finished_videos, "SHORTEST_POLL_INTERVAL", 0.1)


@pytest.fixture
def airflow(video_connections: Simulator) -> Simulator:
    video_connections.settings(render_seconds=600)
    return video_connections


def make_job(vendor: str, text: str) -> str:
    """Submit a job as somebody does who is not this Airflow."""
    return get_video_hook(f"{vendor}_default").submit_job(VENDORS[vendor].request(text)).job_id


def make_trigger(state: AssetState | None = None, **arguments: Any) -> FinishedVideosTrigger:
    made = FinishedVideosTrigger(**{"conn_id": CONN_ID, "poll_interval": 0.2, **arguments})
    path, kwargs = made.serialize()
    assert path.endswith("finished_videos.FinishedVideosTrigger")
    trigger = FinishedVideosTrigger(**json.loads(json.dumps(kwargs)))
    trigger.asset_state_store = state or AssetState()  # type: ignore[assignment]
    return trigger


class Triggerer:
    """Runs triggers as Airflow's triggerer does: those with the same key share a stream."""

    def __init__(self) -> None:
        self.events: dict[int, list[dict[str, Any]]] = {}
        self.streams = SharedStreamManager()
        self.tasks: list[asyncio.Task[None]] = []

    def start(self, trigger: FinishedVideosTrigger) -> list[dict[str, Any]]:
        number = len(self.tasks)
        self.events[number] = []
        stream = self.streams.subscribe(trigger_id=number, trigger=trigger, key=trigger.shared_stream_key())
        self.tasks.append(asyncio.create_task(self._run(number, trigger.filter_shared_stream(stream))))
        return self.events[number]

    async def _run(self, number: int, events: AsyncIterator[TriggerEvent]) -> None:
        async for event in events:
            self.events[number].append(event.payload)

    async def stop(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.streams.stop_all()


@contextlib.asynccontextmanager
async def triggerer() -> AsyncIterator[Triggerer]:
    running = Triggerer()
    try:
        yield running
    finally:
        await running.stop()


async def until(check: Callable[[], bool]) -> None:
    for _ in range(600):
        if check():
            return
        await asyncio.sleep(0.05)
    raise AssertionError("it did not happen within 30 seconds")


async def polls(simulator: Simulator, vendor: str, more: int) -> None:
    """Wait for some more polls of the list."""
    before = simulator.counts(vendor)["lists"]
    await until(lambda: simulator.counts(vendor)["lists"] >= before + more)


@pytest.mark.parametrize("vendor", WATCHED)
def test_a_video_that_somebody_made_is_announced_once(airflow: Simulator, vendor: str) -> None:
    async def run() -> None:
        old = make_job(vendor, "Old")
        airflow.move(old, finish=True)
        async with triggerer() as running:
            events = running.start(make_trigger(conn_id=f"{vendor}_default"))
            await polls(airflow, vendor, 2)
            good, bad, _ = (make_job(vendor, text) for text in ("Good", "Bad", "Running"))
            airflow.move(good, finish=True)
            airflow.move(bad, fail="no")
            await until(lambda: bool(events))
            await polls(airflow, vendor, 3)
            (event,) = events
        assert (event["conn_id"], event["vendor"]) == (f"{vendor}_default", vendor)
        assert (event["job_id"], event["state"]) == (good, "succeeded")
        json.dumps(event, allow_nan=False)

    asyncio.run(run())


def test_triggers_of_one_connection_share_one_poll(airflow: Simulator) -> None:
    async def run() -> None:
        async with triggerer() as running:
            all_events = [running.start(make_trigger(states=[state])) for state in ("succeeded", "failed", "succeeded")]
            await polls(airflow, ONE, 2)
            before = airflow.counts(ONE)
            good, bad = make_job(ONE, "Good"), make_job(ONE, "Bad")
            airflow.move(good, finish=True)
            airflow.move(bad, fail="no")
            await until(lambda: all(all_events))
            after = airflow.counts(ONE)
            assert len(running.streams._groups) == 1
        assert [[event["job_id"] for event in events] for events in all_events] == [[good], [bad], [good]]
        assert after["polls"] == before["polls"], "no job is polled by its id"

    asyncio.run(run())


def test_a_restart_leaves_nothing_out_and_announces_nothing_old(airflow: Simulator) -> None:
    state = AssetState()

    async def run(expected: list[str], *, more_polls: int) -> list[str]:
        async with triggerer() as running:
            events = running.start(make_trigger(state))
            await until(lambda: len(events) >= len(expected))
            await polls(airflow, ONE, more_polls)
            return [event["job_id"] for event in events]

    first, second = make_job(ONE, "First"), make_job(ONE, "Second")
    assert asyncio.run(run([], more_polls=2)) == []
    airflow.move(first, finish=True)
    assert asyncio.run(run([first], more_polls=3)) == [first]
    airflow.move(second, finish=True)
    assert asyncio.run(run([second], more_polls=3)) == [second]
    assert asyncio.run(run([], more_polls=3)) == []


def test_what_was_announced_is_noted_a_poll_later_so_that_a_crash_loses_nothing(airflow: Simulator) -> None:
    state = AssetState()
    trigger = make_trigger(state)
    ended = {"job_id": "job-1", "state": "succeeded"}
    noted = []

    async def stream() -> AsyncIterator[list[dict[str, Any]]]:
        for snapshot in ([], [ended], [ended], [], [ended]):
            noted.append("job-1" in str(state.kept))
            yield snapshot

    async def run() -> list[Any]:
        return [event.payload async for event in trigger.filter_shared_stream(stream())]

    assert asyncio.run(run()) == [ended], "it is announced once, although a list has left it out"
    assert noted == [False, False, False, True, True]


def test_several_assets_have_no_place_for_notes(airflow: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with triggerer() as running:
            events = running.start(make_trigger(AssetState(assets=2)))
            await polls(airflow, ONE, 2)
            airflow.move(make_job(ONE, "Good"), finish=True)
            await until(lambda: bool(events))

    asyncio.run(run())
    assert "several assets" in caplog.text


def test_the_vendors_failures_are_waited_out(
    airflow: Simulator, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finished_videos, "pause_after_failure", lambda failures, error, **_: 0.1 * failures)

    async def run() -> None:
        airflow.fault(ONE, "list", status=503, times=2)
        async with triggerer() as running:
            events = running.start(make_trigger())
            await polls(airflow, ONE, 4)
            airflow.move(make_job(ONE, "Good"), finish=True)
            await until(lambda: bool(events))

    asyncio.run(run())
    assert caplog.text.count("cannot be listed") == 2


def test_a_vendor_without_a_list_is_named_in_the_log(airflow: Simulator, caplog: pytest.LogCaptureFixture) -> None:
    other = next(name for name in HOOKS if name not in WATCHED)

    async def run() -> None:
        async with triggerer() as running:
            running.start(make_trigger(conn_id=f"{other}_default"))
            await until(lambda: "Use callbacks" in caplog.text)

    asyncio.run(run())


def test_without_a_triggerer_that_shares_it_polls_by_itself(airflow: Simulator) -> None:
    async def run() -> Any:
        events = make_trigger().run()
        first = asyncio.ensure_future(anext(events))
        await polls(airflow, ONE, 2)
        airflow.move(make_job(ONE, "Good"), finish=True)
        event = await asyncio.wait_for(first, 30)
        await events.aclose()  # type: ignore[attr-defined]
        return event

    assert asyncio.run(run()).payload["state"] == "succeeded"


def test_an_event_says_which_video_has_ended_and_how(airflow: Simulator) -> None:
    job_id = make_job(ONE, "Same")
    airflow.move(job_id, finish=True)
    job = get_video_hook(CONN_ID).get_job(job_id)
    event = job.to_asset_event(CONN_ID)
    told = (event["conn_id"], event["vendor"], event["job_id"], event["state"], event["name"])
    assert told == (CONN_ID, job.vendor, job_id, "succeeded", job.name)
    both = job.created_at is not None and job.finished_at is not None
    assert (event["duration"] is not None) == both


def test_airflow_takes_it_as_a_watcher() -> None:
    trigger = FinishedVideosTrigger(conn_id=CONN_ID)
    asset = Asset(
        name="videos", uri=f"video://{ONE}/{CONN_ID}", watchers=[AssetWatcher(name="videos", trigger=trigger)]
    )
    assert asset.uri == f"video://{ONE}/{CONN_ID}"
    assert encode_trigger(trigger)["kwargs"]["conn_id"] == CONN_ID
    same = FinishedVideosTrigger(conn_id=CONN_ID)
    assert FinishedVideosTrigger.hash(*trigger.serialize()) == FinishedVideosTrigger.hash(*same.serialize())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"poll_interval": 0.01}, "poll_interval"),
        ({"poll_interval": 90_000}, "poll_interval"),
        ({"lookback": 1, "poll_interval": 60}, "lookback"),
        ({"states": []}, "states"),
        ({"states": ["running"]}, "states"),
        ({"states": "succeeded"}, "states"),
    ],
)
def test_an_argument_that_cannot_work_is_an_error(arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        FinishedVideosTrigger(conn_id=CONN_ID, **arguments)
