"""`python -m helpers.example_upstream.demo COMMAND...`: run a command against the example upstream.

The command gets the base URLs of the example sites by its environment; it ends with us and we with it.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from helpers.example_upstream.server import ExampleUpstream

SITES = ("neuromorpho", "hippocampome", "modeldb")


def environment(upstream: ExampleUpstream, given: Mapping[str, str]) -> dict[str, str]:
    """The environment that points Ammon at a started example upstream."""
    return {**given, **{f"AMMON_{site.upper()}_BASE_URL": upstream.base(site) for site in SITES}}


def main(command: Sequence[str]) -> int:
    """Run the command until it ends; SIGTERM and SIGINT are passed on to it. Returns its exit status."""
    if not command:
        sys.exit("usage: python -m helpers.example_upstream.demo COMMAND...")
    with ExampleUpstream() as upstream:
        print(f"example upstream on {upstream.url}", file=sys.stderr, flush=True)
        started: list[subprocess.Popen[bytes]] = []
        early: list[int] = []

        def pass_on(number: int, frame: FrameType | None) -> None:
            early.append(number)
            for child in started:
                child.send_signal(number)

        signal.signal(signal.SIGTERM, pass_on)
        signal.signal(signal.SIGINT, pass_on)
        started.append(
            subprocess.Popen(  # noqa: S603 - the caller's own command
                command, env=environment(upstream, os.environ), start_new_session=True
            )
        )
        for number in early:  # what came before there was anybody to pass it on to
            started[0].send_signal(number)
        return started[0].wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
