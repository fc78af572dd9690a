# SPDX-License-Identifier: Apache-2.0
"""What the conformance suite needs from a fake server of a vendor."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


class VendorControl(Protocol):
    """
    Controls a fake server of one vendor, which behaves as the vendor's API does.

    The server checks the credentials and gives jobs back as the vendor documents it. Faults of the network are none of
    its business: the suite puts a :class:`~airflow_video_providers.testing.tap.Tap` between hook and server.
    """

    def connection(self) -> dict[str, Any]:
        """
        Return the fields of an Airflow connection to the server: ``host`` (``http://``), ``password``, and so on.

        ``extra`` is an object. Wherever the server's origin occurs in a value, the suite replaces it by its tap's.
        """
        ...

    def request(self, text: str) -> dict[str, Any]:
        """Return a request that the server accepts, with ``text`` (letters, digits, ``-``) in a title or the like."""
        ...

    def job_ids(self) -> list[str]:
        """Return the ids of all jobs that were ever created, oldest first: each one is a render paid for."""
        ...

    def finish(self, job_id: str) -> None:
        """End a running job well: its files are there from now on."""
        ...

    def fail(self, job_id: str) -> None:
        """End a running job with a failure."""
        ...

    def forget(self, job_id: str) -> None:
        """Remove a job with its files, as if the user had deleted it or the vendor's retention time were over."""
        ...


@runtime_checkable
class WebhookControl(VendorControl, Protocol):
    """A control object whose server also posts to the webhook of an account; without it those tests are skipped."""

    def register_webhook(self, url: str) -> str | None:
        """
        Register an address for the webhooks of the account, as a user does it on the vendor's page.

        Return the secret that they are signed with; None where the vendor does not sign.
        """
        ...
