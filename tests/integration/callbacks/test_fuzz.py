# SPDX-License-Identifier: Apache-2.0
"""Requests that prove nothing change nothing, whatever they look like; ``make bench-callbacks`` sends 100,000."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from tests.support.callback_fuzz import KINDS
from tests.support.callback_server import run_fuzz

pytestmark = pytest.mark.airflow


def test_two_thousand_bad_requests_have_no_effect(airflow_db, monkeypatch):
    seen, effects, wrong = asyncio.run(run_fuzz(monkeypatch.setenv, count=2000, seed=7))
    assert (effects, wrong) == ([], [])
    assert set(Counter(kind for kind, _ in seen)) == set(KINDS)
