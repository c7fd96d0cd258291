"""Zip downloads: many files of one size from a plain server, and real files from the replica."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import requests

from benchmarks.hub import SOURCE, Plan, Web, refresh, replica, web
from benchmarks.measures import Line, Unmeasurable, at_least, at_most
from benchmarks.processes import cpu_s, running, wait_for_line
from benchmarks.zip_client import Taken, take
from helpers.query import Document, Release, SearchQuery
from helpers.records import Morphology, Provenance
from helpers.staging import to_document
from helpers.storage.embedded import EmbeddedStorage

FILE_BYTES: Final = 512 * 1024
THREADS: Final = 8  # of the bare fetch: as many files as a download asks for at once
ROUNDS: Final = 3
WHEN: Final = "2000-01-01T00:00:00Z"
AIM_MB_S: Final = 150
AIM_MB: Final = 150
AIM_SHARE: Final = 0.5
ALL: Final = "/download/dataset/all"


def measure(plan: Plan) -> Iterator[Line]:
    """Both kinds of zips."""
    yield from _large(plan)
    yield from _real(plan)


def _large(plan: Plan) -> Iterator[Line]:
    """Files of 512 kB: what the zip itself costs."""
    data = plan.work / "zips"
    shutil.rmtree(data, ignore_errors=True)
    log = plan.log("file-server")
    command = [sys.executable, "-u", "-m", "benchmarks.file_server", str(FILE_BYTES)]
    with running(command, env=os.environ, log=log) as server:
        url = wait_for_line(server, log, "files on ", 30.0).split()[-1]
        documents = (_made_up(number, url) for number in range(plan.files))
        EmbeddedStorage(data / "embedded").replace(SOURCE, documents, Release(SOURCE, 1, WHEN, WHEN))
        with web(plan, data) as served:
            began = _peak_mb(served)
            before = cpu_s(server.pid), cpu_s(served.pid)
            taken = take(served.port, ALL, {})
            used = cpu_s(server.pid) - before[0], cpu_s(served.pid) - before[1]
            peak = _peak_mb(served)
    if taken.statuses != {"ok": plan.files}:
        raise Unmeasurable(f"of {plan.files} files the zip holds {taken.statuses}")
    rest = f"{plan.files:,} files, {taken.size / 1e6:,.0f} MB in {taken.seconds:.1f} s; processor: "
    yield Line(
        benchmark="zips",
        records=plan.files,
        what="files of 512 kB",
        value=taken.size / taken.seconds / 1e6,
        unit="MB/s",
        aim=at_least(AIM_MB_S),
        note=f"{rest}web {used[1]:.1f} s, client {taken.cpu_s:.1f} s, file server {used[0]:.1f} s",
    )
    yield Line(
        benchmark="zips",
        records=plan.files,
        what="files of 512 kB: peak memory of a web process",
        value=peak,
        unit="MB",
        aim=at_most(AIM_MB),
        note=f"{began:.0f} MB before",
    )


def _made_up(number: int, url: str) -> tuple[str, Document]:
    name = f"bench-{number:06d}"
    return to_document(
        Morphology(
            source_id=f"{SOURCE}-{number}",
            id=str(number),
            name=name,
            source="Neuromorpho",
            page_link=f"{url}/neuron_info.jsp?neuron_name={name}",
            download_link=f"{url}/dableFiles/bench/CNG%20version/{name}.CNG.swc",
            provenance=Provenance(source=SOURCE),
        )
    )


def _peak_mb(served: Web) -> float:
    """The most memory that any one web process has taken."""
    return max(used.peak_mb for used in served.workers().values())


def _real(plan: Plan) -> Iterator[Line]:
    """Real files, beside a bare fetch of the same addresses, in turns."""
    data = plan.work / "real-files"
    with replica(plan, plan.real_files) as source:
        made = refresh(plan, source, data)
        urls = _addresses(data)
        with web(plan, data) as served:
            bare: list[float] = []
            zipped: list[Taken] = []
            _bare(urls[: len(urls) // 4])  # so that the replica has read its files for both
            for _ in range(ROUNDS):
                bare.append(len(urls) / _bare(urls))
                zipped.append(take(served.port, ALL, {}))
    if sum(zipped[-1].statuses.values()) != made.records:
        raise Unmeasurable(f"of {made.records} records the zip names {zipped[-1].statuses}")
    yield from _compared(made.records, bare, [len(urls) / taken.seconds for taken in zipped], zipped[-1])


def _compared(records: int, bare: Sequence[float], zipped: Sequence[float], last: Taken) -> Iterator[Line]:
    held = ", ".join(f"{count} {status}" for status, count in sorted(last.statuses.items()))
    yield Line(
        benchmark="zips",
        records=records,
        what="real files",
        value=statistics.median(zipped),
        unit="files/s",
        note=f"{last.size / 1e6:.1f} MB in {last.seconds:.1f} s: {held}",
    )
    yield Line(
        benchmark="zips",
        records=records,
        what=f"real files, bare fetch in {THREADS} threads",
        value=statistics.median(bare),
        unit="files/s",
    )
    shares = [one / other for one, other in zip(zipped, bare, strict=True)]
    yield Line(
        benchmark="zips",
        records=records,
        what="real files, zip as a share of the bare fetch",
        value=statistics.median(shares),
        unit="",
        aim=at_least(AIM_SHARE),
        note="rounds " + ", ".join(f"{share:.2f}" for share in shares),
    )


def _addresses(data: Path) -> list[str]:
    """The files that a download of everything asks for."""
    walked = EmbeddedStorage(data / "embedded").walk(SearchQuery(index="dataset"))
    links = (document.parsed()["download_link"] for document in walked)
    return [link for link in links if link]


def _bare(urls: Sequence[str]) -> float:
    """Seconds to fetch addresses with `requests` in a few threads, whatever they answer."""
    local = threading.local()

    def fetch(url: str) -> int:
        if not hasattr(local, "session"):
            local.session = requests.Session()
            local.session.trust_env = False
        return len(local.session.get(url, timeout=60).content)

    begun = time.perf_counter()
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(fetch, urls):
            pass
    return time.perf_counter() - begun
