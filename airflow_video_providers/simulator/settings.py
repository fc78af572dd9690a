# SPDX-License-Identifier: Apache-2.0
"""The settings of the simulator, which all vendors have."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

DAY = 86400.0


class Settings(BaseModel):
    """
    The settings in force for one vendor; all times are seconds, and times of life start when a thing is made.

    A vendor with settings of its own extends this class in its module, and names it in its ``Vendor``.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)

    render_seconds: float = Field(10, ge=0)
    """Length of a render; a job keeps the length that was set when it was created."""
    list_lag_seconds: float = Field(0, ge=0)
    """A new job is left out of lists for so long; it can be read by its id at once."""
    link_seconds: float = Field(3600)
    """Life of a download link; 0 or less makes links that are expired from the start."""
    retention_seconds: float = Field(7 * DAY, ge=0)
    """The files of a finished job are removed after so long."""
    file_bytes: int | None = Field(None, ge=0, le=1 << 40)
    """Size of every MP4 file; None is the real, small one."""
    fail_titles_containing: str | None = "[fail]"
    """A job fails when its title (or name, url, user data) contains this."""
    requests_per_second: float | None = Field(None, gt=0)
    """More requests to the API than this are answered 429 in the vendor's form; None: no limit."""
    burst: int = Field(1, ge=1)
    """How many of them may come at once."""
    callback_attempts: int = Field(3, ge=1, le=100)
    """How often a callback is tried until the receiver answers 2xx."""
    callback_retry_seconds: float = Field(1, ge=0)
    """Pause between two attempts."""
    callback_timeout_seconds: float = Field(5, gt=0)
    """How long the receiver may take to answer."""
