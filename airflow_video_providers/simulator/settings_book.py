# SPDX-License-Identifier: Apache-2.0
"""What a user has set while the simulator runs, for all vendors or for one."""

from __future__ import annotations

from typing import Any, TypeVar

from airflow_video_providers.simulator.settings import Settings
from airflow_video_providers.simulator.vendors import VENDORS, load_vendors

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
