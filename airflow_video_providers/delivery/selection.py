# SPDX-License-Identifier: Apache-2.0
"""Pick outputs of a job by kind, or by kind and label, and learn the formats that their vendor does not name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from airflow_video_providers.delivery.formats import KINDS
from airflow_video_providers.exceptions import VideoConfigurationError, VideoTransferError

if TYPE_CHECKING:
    from airflow_video_providers.jobs import VideoOutput


def check_outputs(outputs: Any) -> list[str]:
    """
    Return the wanted outputs as a list of ``kind``, ``kind:label``, or ``all``.

    :raises VideoConfigurationError: it holds something else.
    """
    wanted = [outputs] if isinstance(outputs, str) else list(outputs) if isinstance(outputs, Iterable) else []
    good = all(isinstance(item, str) and (item == "all" or item.partition(":")[0] in KINDS) for item in wanted)
    if not wanted or not good:
        raise VideoConfigurationError(
            f"outputs must be of {', '.join(KINDS)}, each also as kind:label, or all, not {outputs!r}"
        )
    return wanted


def select_outputs(offered: Sequence[VideoOutput], outputs: Any, *, whose: str) -> list[VideoOutput]:
    """
    Return the outputs that are wanted, in the order in which the job offers them.

    :param whose: names the job in the error.
    :raises VideoTransferError: the job does not offer one of them; the text says what it offers.
    """
    wanted = check_outputs(outputs)
    if not offered:
        raise VideoTransferError(f"{whose} offers no files")
    missing = [item for item in wanted if not any(_is_wanted(output, item) for output in offered)]
    if missing:
        names = sorted({_name(output) for output in offered})
        raise VideoTransferError(f"{whose} offers {', '.join(names)}, but no {' and no '.join(missing)}")
    return [output for output in offered if any(_is_wanted(output, item) for item in wanted)]


def _is_wanted(output: VideoOutput, item: str) -> bool:
    kind, colon, label = item.partition(":")
    return item == "all" or (output.kind == kind and (not colon or (output.label or "") == label))


def _name(output: VideoOutput) -> str:
    return output.kind if output.label is None else f"{output.kind}:{output.label}"
