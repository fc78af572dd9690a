# SPDX-License-Identifier: Apache-2.0
"""``python -m airflow_video_providers.callbacks register CONN_ID``: register the webhook of a vendor's account."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from airflow_video_providers.exceptions import VideoProviderError
from airflow_video_providers.hooks.base import VideoHook, get_video_hook

# Airflow looks into its database for a connection in such a process only, and in the environment in any other.
os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m airflow_video_providers.callbacks")
    commands = parser.add_subparsers(dest="command", required=True)
    register = commands.add_parser("register", help="register the API server as the webhook of the account")
    register.add_argument("conn_id", help="the Airflow connection of the account")
    register.add_argument("--base-url", help="public address of the API server (default: as callback=True finds it)")
    options = parser.parse_args(arguments)

    from airflow.sdk.exceptions import AirflowException

    try:
        print(register_webhook(get_video_hook(options.conn_id), options.base_url))
    except (VideoProviderError, AirflowException) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def register_webhook(hook: VideoHook, base_url: str | None) -> str:
    """
    Register the webhook; return what the user does next. The text holds the vendor's secret, which is shown once.

    :param base_url: public address of the API server; None: the connection's or the deployment's.
    :raises VideoProviderError: the vendor offers no such call, or refuses it; no address is known.
    """
    from airflow_video_providers.callbacks.addresses import callback_base_url

    if not hook.can_register_callback:
        hook.register_callback("")  # raises, in the hook's own words
    base = base_url or callback_base_url(hook)
    secret = hook.register_callback(hook.callback_url(base))
    lines = [f"{hook.hook_name} calls {hook.callback_url(base).partition('?')[0]} from now on."]
    if secret is None:
        lines.append(f"Connection {hook.conn_id!r} needs nothing more.")
    else:
        lines += [
            f"Put this secret into the extra 'callback_secret' of connection {hook.conn_id!r}; it is not shown again:",
            secret,
        ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
