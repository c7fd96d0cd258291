"""`python -m helpers.example_upstream --port 0`: serve the example sites until SIGTERM or SIGINT."""

from __future__ import annotations

import argparse
import signal
import time
from types import FrameType

from helpers.example_upstream.server import ExampleUpstream


def main() -> None:
    """Serve, and print the address as the one line of output."""
    parser = argparse.ArgumentParser(prog="helpers.example_upstream", description=__doc__)
    parser.add_argument("--port", type=int, default=9100, help="0 takes a free one")
    parser.add_argument(
        "--fault", action="append", default=[], metavar="SOURCE=MODE", help="for example modeldb=slow:2"
    )
    options = parser.parse_args()
    upstream = ExampleUpstream(options.port)
    for source, _, mode in (fault.partition("=") for fault in options.fault):
        try:
            upstream.fault(source, mode)
        except (KeyError, ValueError) as error:
            parser.error(f"--fault {source}={mode}: {error}")
    ended: list[int] = []  # no Event: its lock is not ours to take in a handler

    def end(signum: int, frame: FrameType | None) -> None:
        ended.append(signum)

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with upstream:
        print(f"example upstream on {upstream.url}", flush=True)
        while not ended:
            time.sleep(0.1)


if __name__ == "__main__":
    main()
