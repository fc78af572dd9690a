# SPDX-License-Identifier: Apache-2.0
"""The trigger of an ``AssetWatcher``: an asset event for each video of an account that ends, whoever made it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Hashable, Sequence
from datetime import datetime, timedelta, timezone
from typing import Any

from airflow.triggers.base import BaseEventTrigger, TriggerEvent

from airflow_video_providers.exceptions import VideoConfigurationError
from airflow_video_providers.hooks.base import VideoHook, aget_video_hook
from airflow_video_providers.jobs import JobState
from airflow_video_providers.text.redaction import redact
from airflow_video_providers.waiting.schedule import pause_after_failure

log = logging.getLogger(__name__)

SHORTEST_POLL_INTERVAL = 10.0
"""Seconds; a list shows many videos, and is not asked for more often."""
MOST_PAUSE = 900.0
"""How long the vendor is left alone at the most after failures in a row, in seconds."""
DEFAULT_STATES = (JobState.SUCCEEDED.value,)

_STATE_KEY = "video_providers.announced"
_MARGIN = 3600.0  # of the clocks, and of a vendor that lists a video late
_ENDS = {state.value for state in JobState if state.is_terminal}


class FinishedVideosTrigger(BaseEventTrigger):
    """
    Fire an event for each video of an account that has ended: also one that somebody made in the vendor's own app.

    It is for an :class:`~airflow.sdk.AssetWatcher`, where the vendor cannot call Airflow. All such triggers of a
    connection and interval in a triggerer share one poll of the vendor's list. The payload of an event stands in the
    extra of the asset event under ``payload``, and is the extra of a callback's event: ``conn_id``, ``vendor``,
    ``job_id``, ``state``, ``name``, and ``duration`` of the render in seconds; None where the vendor does not say.

    A video that has ended before the first poll is not announced. What was announced is kept in the state of the asset,
    so that a restart of the triggerer leaves nothing out; what was announced in the last interval before it is
    announced once more. Where one and the same trigger watches several assets, Airflow offers no single place for it:
    then what ended while the triggerer was away is left out.

    The vendor's failures are logged and waited out, for at most 15 minutes at a time; they never end the trigger.

    :param conn_id: the Airflow connection; its vendor must list the jobs of an account (``hook.can_watch``).
    :param poll_interval: seconds between two polls, at least 10 (default 60).
    :param states: which ends to announce: ``succeeded``, ``failed``, ``cancelled`` (default: ``succeeded`` alone).
    :param lookback: for how many seconds after it was created a video is watched (default: a day). One that takes
        longer is not announced.
    :raises ValueError: an argument cannot work.
    """

    def __init__(
        self,
        *,
        conn_id: str,
        poll_interval: float = 60.0,
        states: Sequence[str] = DEFAULT_STATES,
        lookback: float = 86400.0,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # untyped in Airflow
        if not SHORTEST_POLL_INTERVAL <= poll_interval <= 86400:
            raise ValueError(
                f"poll_interval must be between {SHORTEST_POLL_INTERVAL:.0f} seconds and a day, not {poll_interval!r}"
            )
        if not poll_interval <= lookback <= 30 * 86400:
            raise ValueError(f"lookback must be between poll_interval and 30 days, not {lookback!r}")
        if not states or not _ENDS.issuperset(states):
            raise ValueError(f"states must be some of {', '.join(sorted(_ENDS))}, not {list(states)!r}")
        self.conn_id = conn_id
        self.poll_interval = float(poll_interval)
        self.states = tuple(states)
        self.lookback = float(lookback)

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return what the triggerer rebuilds the trigger from."""
        return (
            f"{type(self).__module__}.{type(self).__name__}",
            {
                "conn_id": self.conn_id,
                "poll_interval": self.poll_interval,
                "states": list(self.states),
                "lookback": self.lookback,
            },
        )

    def shared_stream_key(self) -> Hashable:
        """Return what the triggers of one poll have in common."""
        return ("video_providers.finished_videos", self.conn_id, self.poll_interval, self.lookback)

    @classmethod
    async def open_shared_stream(cls, kwargs: dict[str, Any]) -> AsyncIterator[list[dict[str, Any]]]:
        """Poll the vendor's list; yield, each time, a payload for every video that has ended within the lookback."""
        trigger = cls(**kwargs)
        failures, hook = 0, None
        try:
            while True:
                try:
                    if hook is None:
                        hook = await _watching_hook(trigger.conn_id)
                    ended = await asyncio.to_thread(_ended, hook, trigger.conn_id, trigger.lookback)
                except Exception as error:
                    failures += 1
                    pause = pause_after_failure(failures, error, poll_interval=MOST_PAUSE, seed=trigger.conn_id)
                    log.warning(
                        "The videos of connection %s cannot be listed (%s); trying again in %.0f s",
                        trigger.conn_id,
                        redact(str(error), longest=500),
                        pause,
                    )
                    if hook is not None:
                        hook.close()
                        hook = None  # the connection may be corrected meanwhile
                else:
                    failures, pause = 0, trigger.poll_interval
                    yield ended
                await asyncio.sleep(pause)
        finally:
            if hook is not None:
                hook.close()

    async def filter_shared_stream(self, shared_stream: AsyncIterator[Any]) -> AsyncIterator[TriggerEvent]:
        """Yield an event for each video that has ended since the poll before, and note it in the asset's state."""
        kept = await self._read_announced()
        announced, noted = dict(kept or {}), kept
        async for ended in shared_stream:
            # What was announced at the poll before has been stored since; noted at once, a crash would lose it.
            if noted is not None and announced != noted:
                noted = dict(announced)
                await self._write_announced(noted)
            now = time.time()
            for payload in ended:
                if payload["state"] in self.states and payload["job_id"] not in announced:
                    announced[payload["job_id"]] = now
                    if noted is not None:
                        yield TriggerEvent(payload)
            # One that is older than this is on the list no more.
            announced = {job_id: at for job_id, at in announced.items() if now - at < self.lookback + _MARGIN}
            if noted is None:
                noted = dict(announced)
                await self._write_announced(noted)

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Do the same with a poll of its own."""
        async for event in self.filter_shared_stream(self.open_shared_stream(self.serialize()[1])):
            yield event

    async def _read_announced(self) -> dict[str, float] | None:
        """Return when each video was announced; None: nothing was noted yet."""
        if self.asset_state_store is None:
            return None
        try:
            kept = await self.asset_state_store.aget(self._state_key)
        except ValueError:
            log.warning("A trigger that watches several assets forgets at a restart what it has announced.")
            self.asset_state_store = None
            return None
        if not isinstance(kept, dict):
            return None
        return {job_id: float(at) for job_id, at in kept.items() if isinstance(at, (int, float))}

    async def _write_announced(self, announced: dict[str, float]) -> None:
        if self.asset_state_store is not None:
            await self.asset_state_store.aset(self._state_key, dict(announced))

    @property
    def _state_key(self) -> str:
        # A watcher of other states of the same asset keeps its own.
        return f"{_STATE_KEY}.{self.conn_id}.{'-'.join(sorted(self.states))}"


async def _watching_hook(conn_id: str) -> VideoHook:
    hook = await aget_video_hook(conn_id)
    if not hook.can_watch:
        raise VideoConfigurationError(
            f"{hook.hook_name} documents no list of the jobs of an account: they cannot be watched. Use callbacks."
        )
    hook.retry_deadline = 0.001  # this trigger tries again by itself, and sleeps in the event loop
    return hook


def _ended(hook: VideoHook, conn_id: str, lookback: float) -> list[dict[str, Any]]:
    since = datetime.now(timezone.utc) - timedelta(seconds=lookback)
    jobs = {job.job_id: job for job in hook.get_recent_jobs(since=since) if job.state.is_terminal}
    ordered = sorted(jobs.values(), key=lambda job: (job.finished_at or job.created_at or since, job.job_id))
    return [job.to_asset_event(conn_id) for job in ordered]
