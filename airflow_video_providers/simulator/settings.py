# SPDX-License-Identifier: Apache-2.0
"""What a user can set while the simulator runs, for all vendors or for one."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from airflow_video_providers.simulator.vendors import VENDORS, load_vendors

DAY = 86400.0


class Settings(BaseModel):
    """
    The settings in force for one vendor; all times are seconds, and times of life start when a thing is made.

    A vendor with settings of its own extends this class in its module, and names it in its ``Vendor``.
    """

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

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


S = TypeVar("S", bound=Settings)


class SettingsBook:
    """Settings for all vendors, and what single vendors override."""

    def __init__(self, **start: Any) -> None:
        self._start = start
        self.common: dict[str, Any] = {}
        self.vendors: dict[str, dict[str, Any]] = {}
        self._merged: dict[str, Settings] = {}
        self.reset()

    def reset(self) -> None:
        """Go back to the settings of the start."""
        self.replace(self._start, {})

    def replace(self, common: dict[str, Any], vendors: dict[str, dict[str, Any]]) -> None:
        """Take these settings; raises pydantic's ``ValidationError``, changing nothing, when one is wrong."""
        Settings(**common)
        merged = {
            name: vendor.settings(**{**common, **vendors.get(name, {})}) for name, vendor in load_vendors().items()
        }
        self.common, self.vendors, self._merged = dict(common), vendors, merged

    def patch(self, changes: dict[str, Any]) -> None:
        """Change some settings; a vendor's name holds an object of settings for that vendor alone."""
        common, vendors = dict(self.common), {name: dict(values) for name, values in self.vendors.items()}
        for name, value in changes.items():
            if name in VENDORS and isinstance(value, dict):
                vendors.setdefault(name, {}).update(value)
            else:
                common[name] = value
        self.replace(common, vendors)

    def of(self, vendor: str) -> Settings:
        """Return the settings in force for a vendor."""
        return self._merged[vendor]

    def own(self, vendor: str, kind: type[S]) -> S:
        """Return the same as the class in which the vendor's module declares its own settings."""
        settings = self._merged[vendor]
        assert isinstance(settings, kind)
        return settings

    def as_json(self) -> dict[str, Any]:
        """Return the settings for all vendors; by vendor, those that only it has and those that differ."""
        shown: dict[str, Any] = Settings(**self.common).model_dump(mode="json")
        for name, settings in self._merged.items():
            values = settings.model_dump(mode="json")
            if own := {key: value for key, value in values.items() if key not in shown or shown[key] != value}:
                shown[name] = own
        return shown
