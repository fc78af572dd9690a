# SPDX-License-Identifier: Apache-2.0
"""Length, digest and limit of a file."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from airflow_video_providers.delivery import file_check
from airflow_video_providers.delivery.file_check import FileCheck
from airflow_video_providers.exceptions import ContentCheckError
from airflow_video_providers.jobs import VideoOutput
from tests.support.media import mp4

BODY = mp4(5000)


def run(
    *, source_size: int | None = None, complete: bool = True, max_bytes: int | None = None, **output: object
) -> str:
    """Check BODY; return its SHA-256."""
    check = FileCheck(VideoOutput.model_validate({"kind": "video", **output}), max_bytes=max_bytes)
    check.expect(source_size)
    for start in range(0, len(BODY), 1000):
        view = memoryview(BODY)[start : start + 1000]
        check.inspect(view)
        check.hash(view)
    check.verify(complete=complete)
    return check.sha256.hexdigest()


def test_a_whole_file() -> None:
    md5 = hashlib.md5(BODY, usedforsecurity=False).hexdigest()
    digest = hashlib.sha256(BODY).hexdigest()
    assert run() == run(source_size=5000, size=5000, md5=md5.upper()) == run(complete=False) == digest


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"size": 4999}, "more than 4999 bytes came"),
        ({"size": 5001}, "5000 bytes came, the vendor says 5001"),
        ({"source_size": 5001}, "5000 bytes came, the source says 5001"),
        ({"md5": "0" * 32}, "the MD5 of the file is"),
        ({"max_bytes": 4999}, "whose length nobody says, has 5000 bytes or more; max_bytes allows 4999"),
        ({"max_bytes": 4999, "source_size": 5000}, "the file has 5000 bytes or more; max_bytes allows 4999"),
        ({"source_size": 10**18}, "the default of max_bytes, set it to allow more, is 107374182400"),
    ],
)
def test_what_is_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ContentCheckError, match=text):
        run(**arguments)


def test_a_file_whose_length_nobody_says_has_a_limit_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_check, "MOST_BYTES_UNSAID", 4000)
    with pytest.raises(ContentCheckError, match="whose length nobody says, has 5000 bytes or more; the default"):
        run()
    run(size=5000)
    run(source_size=5000)
    run(max_bytes=5000)
