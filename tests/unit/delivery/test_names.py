# SPDX-License-Identifier: Apache-2.0
"""Segments of a key from the texts of a vendor."""

from __future__ import annotations

import unicodedata

import pytest

from airflow_video_providers.delivery import names as module
from airflow_video_providers.delivery.names import safe_id, safe_name


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("Summer 2026", "Summer 2026"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("/absolute", "_absolute"),
        ("..", "file"),
        ("a\x00b\nc\x7f", "abc"),
        ("a\u202eb", "ab"),
        ("C:\\videos\\x", "C_videos_x"),
        ("what?*", "what_"),
        ("{job_id}", "_job_id_"),
        ("Über größe 影片", "Über größe 影片"),
        ("   ", "file"),
        (None, "file"),
        (".hidden", "hidden"),
        ("a\u2028b\ufffec\ufdd0d\U0001fffee", "abcde"),
        ("a\ud800b", "ab"),
        # Names of Windows devices, also with an extension and in any case; not words that begin so.
        ("CON", "_CON"),
        ("nul.take.2", "_nul.take.2"),
        ("Com1", "_Com1"),
        ("lpt³ .x", "_lpt³ .x"),
        ("console", "console"),
        ("com10", "com10"),
    ],
)
def test_names_are_made_safe(name: str | None, safe: str) -> None:
    assert safe_name(name) == safe


def test_long_names_are_cut_between_characters() -> None:
    name = safe_name("影" * 200)
    assert len(name.encode()) <= 150
    assert set(name) == {"影"}


def test_the_cost_of_a_name_does_not_grow_with_its_length(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def counted(form: str, text: str) -> str:
        seen.append(len(text))
        return normalize(form, text)  # type: ignore[arg-type]  # NFC

    normalize = unicodedata.normalize
    monkeypatch.setattr(module.unicodedata, "normalize", counted)
    assert safe_name("x" * 1_000_000) == "x" * 150
    assert safe_name("\u0301\u0316" * 500_000) != ""  # sorting marks is quadratic
    assert safe_id("x" * 1_000_000).startswith("x" * 150 + "-")
    assert max(seen) <= 1000


@pytest.mark.parametrize("same", ["j1", "547f3eede4b025bcbff38657", "a_b", "Über größe", "a-b.c"])
def test_an_id_that_is_safe_stays(same: str) -> None:
    assert safe_id(same) == same


def test_ids_stay_different() -> None:
    ids = [
        "a_b",
        "a/b",
        "a\\b",
        "a:b",
        "a_b ",
        "",
        "file",
        "CON",
        "_CON",
        "x" * 150,
        "x" * 151,
        "x" * 152,
        "a\x00",
        "a",
    ]
    ids += ["e\u0301", "\u00e9", "a\ud800", "a\udfff", ".."]
    assert len({safe_id(identifier) for identifier in ids}) == len(ids)
    assert safe_id("a/b") == "a_b-c14cddc033f6"
    assert all(len(safe_id(identifier).encode()) <= 163 for identifier in ids)
