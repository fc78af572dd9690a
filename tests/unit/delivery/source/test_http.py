# SPDX-License-Identifier: Apache-2.0
"""Whatever a link or a redirect says, a download fails by a named error or a signal."""

from __future__ import annotations

import random

from airflow_video_providers.api.settings import ClientSettings
from airflow_video_providers.delivery.source.http import HttpSource
from airflow_video_providers.delivery.source.signals import BrokenError
from airflow_video_providers.delivery.source.urls import FileUrl, follow
from airflow_video_providers.exceptions import SourceError
from tests.support.ports import free_port

SEEDS = [
    "https://cdn.example/a/b.mp4?X-Amz-Signature=abc%2Fdef&e=1",
    "http://user:pass@[2001:db8::1]:8443/v#x",
    "//cdn.example/v", "/v", "s3://bucket/v", "https://xn--bcher-kva.example/", "https://\u2100.example/\u00e9",
    "https:///", "",
]  # fmt: skip
ODD = [
    "\0",
    "\r\n",
    " ",
    "\\",
    "%",
    "%zz",
    "@",
    ":",
    "/",
    "?",
    "#",
    "[",
    "]",
    "\ud800",
    "\u202e",
    "\u2100",
    ":99999",
    ".",
]


def mutated(random_: random.Random) -> str:
    """Return a link with up to six changes."""
    link = random_.choice(SEEDS)
    for _ in range(random_.randrange(7)):
        at = random_.randrange(len(link) + 1)
        if random_.random() < 0.3:
            link = link[:at] + link[at + random_.randrange(4) :]
        else:
            link = link[:at] + random_.choice(ODD) * random_.choice((1, 1, 1, 300)) + link[at:]
    return link


def test_links_of_every_sort() -> None:
    """Through a proxy that nobody serves: no name is looked up, and each good link ends in a refused connection."""
    source = HttpSource(ClientSettings(connect_timeout=1, proxy=f"http://127.0.0.1:{free_port()}"))
    random_ = random.Random(11)
    texts: list[str] = []
    outcomes: dict[type[Exception], int] = {SourceError: 0, BrokenError: 0}
    for _ in range(3000):
        try:
            source.get(mutated(random_)).close()
        except (SourceError, BrokenError) as error:
            outcomes[BrokenError if isinstance(error, BrokenError) else SourceError] += 1
            texts.append(str(error))
    source.close()
    assert len(texts) == 3000
    assert "Signature" not in "".join(texts)
    assert min(outcomes.values()) > 300


def test_redirects_of_every_sort() -> None:
    random_ = random.Random(12)
    followed = 0
    for _ in range(5000):
        location = mutated(random_).encode("utf-8", "replace").decode("latin-1")
        try:
            target = follow(FileUrl("https", "a.example", "/v"), location)
        except SourceError:
            continue
        followed += 1
        assert target.scheme == "https"
        assert target.target.isascii()
        assert target.target.startswith("/")
        assert not any(ord(character) <= 32 for character in target.target)
    assert followed > 500
