# SPDX-License-Identifier: Apache-2.0
"""What the address for callbacks answers, and what it leaves in Airflow's database."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace

import pytest
from airflow.models.variable import Variable
from airflow.utils.session import create_session
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError

from airflow_video_providers.callbacks import app as receiving
from airflow_video_providers.callbacks import keeper, store
from airflow_video_providers.callbacks.inbox import NEWS_PREFIX, digest_of, doubt_name, read_news
from airflow_video_providers.hooks.base import VideoHook
from airflow_video_providers.hooks.callbacks import KEY_HEADER, LONGEST_CALLBACK, TOKEN_HEADER
from airflow_video_providers.jobs import CallbackHint
from tests.support.callback_server import CONN_ID, KEY, SECRET, UNSIGNED, make_caller

pytestmark = pytest.mark.airflow


@pytest.fixture
def calls(airflow_db, monkeypatch):
    """Run a coroutine that is given a caller of a fresh app."""
    with create_session() as session:
        session.execute(delete(Variable))
    kept()  # the first query of a process makes Airflow read its models

    def run(scene):
        async def play():
            caller = make_caller(monkeypatch)
            async with caller.client:
                return await scene(caller)

        return asyncio.run(play())

    return run


def kept():
    """Return the variables that there are."""
    with create_session() as session:
        return {each.key: json.loads(each.val) for each in session.scalars(select(Variable))}


def naming(monkeypatch, job_id, key=None):
    """Let genuine callbacks name this job."""
    genuine = VideoHook.verify_callback

    def verify(self, headers, body):
        return CallbackHint(job_id=job_id, key=genuine(self, headers, body).key or key)

    monkeypatch.setattr(VideoHook, "verify_callback", verify)


def test_a_genuine_callback_is_stored_when_it_is_answered(calls, monkeypatch):
    naming(monkeypatch, "job 7")
    assert calls(lambda caller: caller.post()) == 200
    news = [read_news(name) for name in kept()]
    wanted = {digest_of(CONN_ID, job_id="job 7"), digest_of(CONN_ID, key=KEY)}
    assert {each.digest for each in news} == wanted
    assert all(time.time() - 16 < each.at <= time.time() for each in news)
    assert SECRET not in json.dumps(kept())


def test_repeats_within_a_quarter_minute_are_one_more_at_most(calls, monkeypatch):
    monkeypatch.setattr(receiving.time, "time", lambda: 1_800_000_000.0)

    async def scene(caller):
        return [await caller.post() for _ in range(5)] + await asyncio.gather(*(caller.post() for _ in range(5)))

    assert calls(scene) == [200] * 10
    # The first may have been seen before the second came: that is news of the next quarter minute.
    assert sorted(read_news(name).at for name in kept()) == [1_800_000_000.0, 1_800_000_015.0]


def test_callbacks_of_one_batch_are_kept_once_also_over_the_end_of_a_quarter_minute(calls):
    first = store.Received(CONN_ID, UNSIGNED, None, KEY, 1_800_000_014.0)
    store.keep([first])
    store.keep([first, replace(first, at=1_800_000_016.0), replace(first, at=1_800_000_017.0)])
    assert sorted(read_news(name).at for name in kept()) == [1_800_000_000.0, 1_800_000_015.0, 1_800_000_030.0]


def test_two_servers_keep_the_same_callback_at_once(calls):
    received = store.Received(CONN_ID, UNSIGNED, "1", KEY, 1_800_000_000.0)
    barrier, failed = threading.Barrier(4), []

    def keep():
        barrier.wait()
        try:
            store.keep([received])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=keep) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(kept()) == 4  # of the job and the key, in this quarter minute and in the next


def doubt(conn_id=CONN_ID, **more):
    with create_session() as session:
        session.add(Variable(doubt_name(KEY), json.dumps({"conn_id": conn_id, **more})))


def test_a_submission_in_doubt_is_told_its_job(calls, monkeypatch):
    naming(monkeypatch, "job 7")
    calls(lambda caller: asyncio.sleep(0))
    doubt()
    assert calls_again(calls)
    assert kept()[doubt_name(KEY)]["job_id"] == "job 7"


def calls_again(calls):
    async def scene(caller):
        return await caller.post() == 200

    # The fixture's clean-up has been done; a second app stands for a server that was started again.
    return calls(scene)


def test_a_callback_that_names_no_job_says_that_one_was_made(calls):
    calls(lambda caller: asyncio.sleep(0))
    doubt()
    assert calls_again(calls)
    told = kept()[doubt_name(KEY)]
    assert (told["job_id"], told["received"] > 0) == (None, True)


def test_ids_in_the_links_of_a_callback_are_kept_for_the_submission_in_doubt(calls, monkeypatch):
    calls(lambda caller: asyncio.sleep(0))
    doubt()
    genuine = VideoHook.verify_callback

    def naming_candidates(self, headers, body):
        return CallbackHint(key=genuine(self, headers, body).key, candidates=candidates)

    monkeypatch.setattr(VideoHook, "verify_callback", naming_candidates)
    candidates = ("id 1", "id 2")
    assert calls_again(calls)
    assert kept()[doubt_name(KEY)]["candidates"] == ["id 1", "id 2"]
    candidates = ()
    assert calls_again(calls)
    assert kept()[doubt_name(KEY)]["candidates"] == ["id 1", "id 2"], "a callback without ids takes none away"


@pytest.mark.parametrize("of", [{"conn_id": "another"}, {"job_id": "job 1"}])
def test_a_doubt_of_another_connection_or_one_that_is_answered_stays_as_it_is(calls, monkeypatch, of):
    naming(monkeypatch, "job 7")
    doubt(**of)
    before = kept()[doubt_name(KEY)]
    assert calls_again(calls)
    assert kept()[doubt_name(KEY)] == before


def test_a_key_that_nobody_is_in_doubt_about_gets_no_entry(calls, monkeypatch):
    naming(monkeypatch, "job 7")
    assert calls_again(calls)
    assert all(name.startswith(NEWS_PREFIX) for name in kept())


BAD = {
    "no token": ({"url": f"http://a/video-callbacks/{CONN_ID}"}, 401),
    "the token of another key": ({"swap_key": True}, 401),
    "an unknown connection": ({"url": "http://a/video-callbacks/nobody"}, 404),
    "no connection": ({"url": "http://a/video-callbacks/"}, 404),
    "a connection id that is too long": ({"url": f"http://a/video-callbacks/{'x' * 251}"}, 404),
    "too long": ({"body": b" " * (LONGEST_CALLBACK + 1)}, 413),
    "no JSON": ({"body": b"{"}, 400),
    "no object": ({"body": b"[]"}, 400),
    "nested too deeply": ({"body": b"[" * 200_000}, 400),
    "another content type": ({"headers": {"Content-Type": "text/xml"}}, 415),
    "the key twice": ({"twice": True}, 400),
}


@pytest.mark.parametrize("what", BAD)
def test_a_bad_callback_gets_one_clear_status_and_leaves_nothing(calls, what):
    options, status = BAD[what]

    async def scene(caller):
        left = dict(options)
        url = left.pop("url", None) or caller.hook.callback_url("http://a", KEY)
        if left.pop("swap_key", False):
            url = url.replace(KEY, KEY[:-1] + "0")
        if left.pop("twice", False):
            url += f"&key={KEY}"
        return await caller.post(left.pop("body", None), url=url, **left)

    assert calls(scene) == status
    assert kept() == {}


def test_headers_from_outside_do_not_stand_for_the_address(calls):
    async def scene(caller):
        good = caller.hook.callback_url("http://a", KEY)
        token = good.partition("token=")[2]
        headers = {KEY_HEADER: KEY, TOKEN_HEADER: token, "Content-Type": "application/json"}
        return await caller.post(url=good.partition("?")[0], headers=headers)

    assert calls(scene) == 401


def test_another_method_is_refused(calls):
    async def scene(caller):
        return (await caller.client.get(f"/{CONN_ID}")).status_code

    assert calls(scene) == 405


def test_a_vendor_that_asks_whether_somebody_is_there_gets_an_answer_that_tells_nothing(calls):
    async def scene(caller):
        return [await caller.client.options(path) for path in (f"/{CONN_ID}", "/nobody")]

    known, unknown = calls(scene)
    assert (known.status_code, known.content, known.headers["allow"]) == (204, b"", "OPTIONS, POST")
    assert (unknown.status_code, unknown.content, dict(unknown.headers)) == (204, b"", dict(known.headers))


def test_a_connection_without_a_secret_takes_none(calls, monkeypatch):
    async def scene(caller):
        url = caller.hook.callback_url("http://a", KEY)
        monkeypatch.setenv(
            f"AIRFLOW_CONN_{CONN_ID.upper()}", json.dumps({"conn_type": UNSIGNED, "password": "the key"})
        )
        return await caller.post(url=url)

    assert calls(scene) == 404


def test_many_refused_callbacks_are_limited_in_number_and_log_and_a_genuine_one_still_counts(calls, caplog):
    async def scene(caller):
        bad = [await caller.post(url=f"http://a/video-callbacks/{CONN_ID}") for _ in range(receiving.MOST_REFUSED + 5)]
        return bad, await caller.post()

    bad, good = calls(scene)
    assert (set(bad[: receiving.MOST_REFUSED]), set(bad[receiving.MOST_REFUSED :]), good) == ({401}, {429}, 200)
    lines = [record for record in caplog.records if "was refused" in record.getMessage()]
    assert len(lines) == receiving.MOST_LOGGED


def test_many_unknown_connections_are_not_looked_up(calls, monkeypatch):
    asked = []
    from airflow_video_providers.callbacks import connections

    find = connections.find_hook
    monkeypatch.setattr(connections, "find_hook", lambda conn_id: asked.append(conn_id) or find(conn_id))

    async def scene(caller):
        first = await caller.post()
        bad = [await caller.post(url=f"http://a/video-callbacks/nobody{number}") for number in range(200)]
        return first, bad[-1], await caller.post()

    assert calls(scene) == (200, 429, 200)
    assert len(asked) == connections.MOST_UNKNOWN + 1


def test_a_connection_that_took_callbacks_is_looked_up_again_whatever_others_ask(calls, monkeypatch):
    from airflow_video_providers.callbacks import connections

    monkeypatch.setattr(connections, "KEPT_SECONDS", 0.0)

    async def scene(caller):
        first = await caller.post()
        bad = [await caller.post(url=f"http://a/video-callbacks/nobody{number}") for number in range(200)]
        return first, bad[-1], await caller.post()

    assert calls(scene) == (200, 429, 200)


def test_a_database_that_is_away_makes_the_vendor_come_again(calls, monkeypatch):
    def away(*_):
        raise OperationalError("INSERT", {}, Exception("the server closed the connection"))

    keep = store.keep
    monkeypatch.setattr(store, "keep", away)
    assert calls(lambda caller: caller.post()) == 503
    assert kept() == {}
    monkeypatch.setattr(store, "keep", keep)
    assert calls(lambda caller: caller.post()) == 200
    assert len(kept()) == 1


def test_a_connection_that_the_database_does_not_tell_of_is_not_taken_for_none(calls, monkeypatch):
    def away():
        raise OperationalError("SELECT", {}, Exception("the server closed the connection"))

    monkeypatch.setattr("airflow_video_providers.callbacks.connections.check_database", away)
    assert calls(lambda caller: caller.post(url="http://a/video-callbacks/nobody")) == 503


def test_a_verification_that_takes_too_long_makes_the_vendor_come_again(calls, monkeypatch):
    release = threading.Event()
    monkeypatch.setattr(receiving, "RESPONSE_SECONDS", 0.2)
    monkeypatch.setattr(VideoHook, "verify_callback", lambda self, headers, body: release.wait(20))
    try:
        assert calls(lambda caller: caller.post()) == 503
    finally:
        release.set()


def test_old_news_are_removed_and_doubts_stay(calls):
    store.keep([store.Received(CONN_ID, UNSIGNED, str(at), None, at) for at in (1000.0, 2000.0)])
    doubt()
    store.forget_old_news(2100.0)
    assert [read_news(name).digest for name in kept() if name.startswith(NEWS_PREFIX)] == [
        digest_of(CONN_ID, job_id="2000.0")
    ]
    assert doubt_name(KEY) in kept()


def test_the_news_of_the_last_callback_are_removed_though_no_other_one_comes(calls, monkeypatch):
    monkeypatch.setattr(keeper, "TIDY_SECONDS", 0.05)
    monkeypatch.setattr(receiving, "NEWS_SECONDS", 0.2)
    monkeypatch.setattr(receiving, "QUARTER_MINUTE", 0.0)
    monkeypatch.setattr(store, "oldest_news", lambda now: f"{NEWS_PREFIX}9")

    async def scene(caller):
        assert await caller.post() == 200
        stored = kept()
        end = time.monotonic() + 20
        while kept() and time.monotonic() < end:
            await asyncio.sleep(0.05)
        return len(stored)

    assert calls(scene) == 1
    assert not kept()
