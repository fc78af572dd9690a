# SPDX-License-Identifier: Apache-2.0
"""What a user can set while the simulator runs, for all vendors or for one."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from airflow_video_providers.simulator.vendors import VENDORS

DAY = 86400.0


class WebhookSystem(BaseModel):
    """A receiver that Oxolo's support would register by hand: where events go, and the token in their header."""

    model_config = ConfigDict(extra="forbid")

    webhookUrl: str
    method: Literal["GET", "POST"] = "POST"
    header: str = "authorization"
    token: str = ""


class Settings(BaseModel):
    """The settings in force for one vendor; all times are seconds, and times of life start when a thing is made."""

    model_config = ConfigDict(extra="forbid")

    render_seconds: float = Field(10, ge=0)
    """Length of a render; a job keeps the length that was set when it was created."""
    list_lag_seconds: float = Field(0, ge=0)
    """A new job is left out of lists for so long; it can be read by its id at once."""
    link_seconds: float = Field(3600)
    """Life of a download link; 0 or less makes links that are expired from the start."""
    token_seconds: float = Field(7200)
    """Life of an Xvid access token, unless the token request asks for another."""
    retention_seconds: float = Field(7 * DAY, ge=0)
    """The files of a finished job are removed after so long."""
    file_bytes: int | None = Field(None, ge=0)
    """Size of every video file; None is the real, small MP4."""
    fail_titles_containing: str | None = "[fail]"
    """A job fails when its title (or name, url, user data) contains this."""
    token_expires_in_text: bool = True
    """Xvid: ``expires_in`` of a token is text, as in the vendor's wiki, or a number, as its client reads it."""
    upload_final_status: str = "COMPLETED"
    """Xvid: the status of a finished upload, whose name is not documented."""
    options: dict[str, Any] = Field(default_factory=dict)
    """What only one vendor has; its module says which names it reads, and their defaults."""
    credits: int = 100_000
    """Oxolo: the account's credits before the first video; each video costs 5."""
    webhook_systems: dict[str, WebhookSystem] = Field(default_factory=dict)
    """Oxolo: receivers registered "by support", by their system id."""


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
        merged = {vendor: Settings(**{**common, **vendors.get(vendor, {})}) for vendor in VENDORS}
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
        """The settings in force for a vendor."""
        return self._merged[vendor]

    def as_json(self) -> dict[str, Any]:
        """All settings in force for all vendors, and the overrides of single vendors."""
        defaults = Settings(**self.common).model_dump(mode="json")
        return {**defaults, **{name: values for name, values in self.vendors.items() if values}}
