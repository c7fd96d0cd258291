"""`python -m benchmarks [NAME ...]`: run benchmarks and print a table of what was seen and aimed at."""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import orjson

from benchmarks import refresh, search, start, zips
from benchmarks.hub import Plan
from benchmarks.machine import described, machine
from benchmarks.measures import Line, Unmeasurable, table
from benchmarks.processes import ROOT
from helpers.errors import HubError

BENCHMARKS: Final[dict[str, Callable[[Plan], Iterator[Line]]]] = {
    "refresh": refresh.measure,
    "search": search.measure,
    "zips": zips.measure,
    "start": start.measure,
}
REPLICA: Final = ROOT.parent / "shared" / "upstream" / "serve.py"
SHORT: Final[dict[str, Any]] = {
    "scales": (20_000,),
    "files": 1_024,
    "real_files": 500,
    "asks": 200,
    "seconds": 3.0,
    "starts": 3,
}
FULL: Final[dict[str, Any]] = {
    "scales": (20_000, 300_000),
    "files": 4_096,
    "real_files": 2_000,
    "asks": 400,
    "seconds": 8.0,
    "starts": 5,
}
FOLDER: Final = "ammon-benchmarks"  # below --work; nothing outside it is touched


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what was asked for; 0 when all of it could be measured, whatever was reached."""
    options = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # what was started ends as well
    facts = machine()
    print(described(facts), flush=True)
    lines: list[Line] = []
    failures: list[str] = []
    with _folder(options.work, options.keep) as work:
        plan = _plan(options, work)
        for name in options.name or BENCHMARKS:
            _say(f"{name} ...")
            try:
                for line in BENCHMARKS[name](plan):
                    lines.append(line)
                    _say("  " + "  ".join(line.cells()[1:]).rstrip())
            except (Unmeasurable, HubError, OSError, subprocess.SubprocessError) as error:
                failures.append(f"{name} could not be measured: {error}")
                _say(failures[-1])
    if lines:
        print(table(lines))
    for failure in failures:
        print(failure)
    if options.json:
        report: dict[str, Any] = {
            "machine": facts,
            "lines": [line.as_json() for line in lines],
            "failures": failures,
        }
        options.json.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2) + b"\n")
    return 1 if failures else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure Ammon; benchmarks/README.md explains the figures."
    )
    parser.add_argument(
        "name", nargs="*", type=_name, help=f"{', '.join(BENCHMARKS)}; all of them when none is named"
    )
    parser.add_argument("--full", action="store_true", help="also 300,000 records, more files, longer rounds")
    parser.add_argument(
        "--scale",
        type=_count,
        action="append",
        metavar="N",
        help="records in the index instead; may be repeated",
    )
    parser.add_argument("--files", type=_count, metavar="N", help="files of 512 kB in a zip instead")
    parser.add_argument("--real-files", type=_count, metavar="N", help="real files in a zip instead")
    parser.add_argument(
        "--replica",
        type=Path,
        default=REPLICA,
        metavar="FILE",
        help="serve.py of the sources' replica (%(default)s)",
    )
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help=f"folder to write in, below {FOLDER}/ (a temporary one)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep what was written; the next run uses its records"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write machine and figures as JSON as well")
    return parser


def _name(text: str) -> str:
    if text not in BENCHMARKS:
        raise argparse.ArgumentTypeError(f"there is no {text!r}, there are {', '.join(BENCHMARKS)}")
    return text


def _count(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number above 0")
    return int(text)


def _plan(options: argparse.Namespace, work: Path) -> Plan:
    size = dict(FULL if options.full else SHORT)
    given = {
        "scales": options.scale and tuple(options.scale),
        "files": options.files,
        "real_files": options.real_files,
    }
    size.update({key: value for key, value in given.items() if value})
    return Plan(**size, work=work, replica=options.replica)


@contextmanager
def _folder(work: Path | None, keep: bool) -> Iterator[Path]:
    """The folder of all that is written, removed at the end unless it is to be kept."""
    parent = work or Path(tempfile.mkdtemp(prefix="ammon-benchmarks-"))
    folder = parent.absolute() / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    finally:
        if keep:
            _say(f"kept: --work {parent}")
        else:
            shutil.rmtree(folder if work else parent, ignore_errors=True)


def _say(text: str) -> None:
    """Tell progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
