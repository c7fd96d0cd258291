"""The main job against the replica of the upstream sites: refresh, search, filter, download, each checked.

`python .ci/main_job.py ../shared/upstream/serve.py` starts the replica and `make run` on free ports, with a
folder of its own, and ends both. Standard library only.
"""

from __future__ import annotations

import csv
import hashlib
import http.client
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

ROOT = Path(__file__).resolve().parents[1]
SITES = ("neuromorpho", "hippocampome", "modeldb")
SOURCES = (*SITES, "internal")
SCALE = 2_000
REFRESH_S = 240.0
START_S = 120.0
END_S = 10.0  # `make` and the shell around the server's own five seconds
CELLS = 25  # of the download
CHOSEN = "mouse"


class Failed(Exception):
    """A check that did not hold."""


def check(holds: object, message: str) -> None:
    """Raise `Failed` with a message unless something holds."""
    if not holds:
        raise Failed(message)


class Site:
    """A server at a base URL of this machine."""

    def __init__(self, base: str) -> None:
        parts = urlsplit(base)
        self._host, self._port, self._prefix = parts.hostname or "", parts.port, parts.path

    def ask(self, path: str, body: object = None) -> tuple[int, str, bytes]:
        """(status, content type, content) of a GET, or of a POST of JSON; status 0 when nobody answers."""
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        try:
            content = None if body is None else json.dumps(body)
            headers = {"User-Agent": "Ammon CI"} | ({"Content-Type": "application/json"} if content else {})
            connection.request("POST" if content else "GET", self._prefix + path, content, headers)
            with connection.getresponse() as response:
                return response.status, response.headers.get_content_type(), response.read()
        except (OSError, http.client.HTTPException):
            return 0, "", b""
        finally:
            connection.close()

    def json(self, path: str, body: object = None) -> Any:
        """The JSON of an answer with status 200."""
        status, kind, content = self.ask(path, body)
        check(status == 200, f"{path} answered {status}: {content[:300]!r}")
        check("json" in kind, f"{path} answered {kind}, not JSON")
        return json.loads(content)


def wait_for(what: str, condition: Callable[[], Any], seconds: float) -> Any:
    """The first true value of a condition."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise Failed(f"not within {seconds:.0f} s: {what}")


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def end_group(process: subprocess.Popen[Any]) -> float:
    """End a process with its whole group and return how many seconds it took."""
    begun = time.monotonic()
    number: int = signal.SIGTERM
    with suppress(ProcessLookupError):  # once the group is empty
        while True:
            os.killpg(process.pid, number)
            number = signal.SIGKILL if time.monotonic() - begun > END_S else 0  # 0: is there anybody left?
            process.poll()  # one that has ended but that nobody has waited for would count
            time.sleep(0.05)
    process.wait()
    return time.monotonic() - begun


def left_over(folder: Path) -> list[int]:
    """The ids of the processes that still work on a folder, found by their environment (Linux)."""
    mark = f"AMMON_DATA_DIR={folder / 'var'}\0".encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if mark in entry.read_bytes():
                found.append(int(entry.parent.name))
    return found


@contextmanager
def replica(script: Path) -> Iterator[str]:
    """The address of a started replica."""
    command = [sys.executable, str(script), "--port", "0", "--scale", str(SCALE)]
    process = subprocess.Popen(  # noqa: S603 - our own command
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        line = process.stdout.readline() if process.stdout else ""
        check(line.startswith("replica on "), f"the replica did not start: {line!r}")
        yield line.split()[2]
    finally:
        end_group(process)
        if process.stdout:
            process.stdout.close()


@contextmanager
def server(folder: Path, port: int, upstream: str) -> Iterator[subprocess.Popen[bytes]]:
    """`make run`, pointed at the replica by its environment. Its log goes to a file of the folder."""
    environment = {
        **os.environ,
        "AMMON_DATA_DIR": str(folder / "var"),
        "AMMON_PORT": str(port),
        "AMMON_ALLOW_PRIVATE_UPSTREAMS": "true",
    }
    for site in SITES:
        environment[f"AMMON_{site.upper()}_BASE_URL"] = f"{upstream}/{site}"
        environment[f"AMMON_{site.upper()}_RATE"] = "0"
        environment[f"AMMON_{site.upper()}_EXPECTED"] = "0-"
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            ["make", "run"],  # noqa: S607 - the README's command, found as a user's shell finds it
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end_group(process)
        for number in left_over(folder):
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)


# Checks


def refreshed(hub: Site) -> dict[str, dict[str, Any]]:
    """`/sources` by key once every source is released."""

    def all_released() -> dict[str, dict[str, Any]] | None:
        listed = {source["key"]: source for source in hub.json("/sources")}
        failed = [
            f"{key}: {one['error']}" for key, one in listed.items() if one["state"] in ("failed", "held")
        ]
        check(not failed, f"a source was not released: {failed}")
        return listed if {one["state"] for one in listed.values()} == {"released"} else None

    listed: dict[str, dict[str, Any]] = wait_for("all sources are released", all_released, REFRESH_S)
    check(tuple(listed) == SOURCES, f"/sources lists {tuple(listed)}, not {SOURCES}")
    return listed


def check_refresh(listed: dict[str, dict[str, Any]], upstream: Site) -> None:
    """Every item that the replica has in scope was fetched, and every one has become a record or a reason."""
    query = urlencode({"q": "brain_region:hippocampus", "size": 1, "page": 0})
    there = upstream.json(f"/neuromorpho/api/neuron/select?{query}")["page"]["totalElements"]
    counts = {key: source["counts"] for key, source in listed.items()}
    fetched = counts["neuromorpho"]["fetched"]
    check(fetched == there, f"neuromorpho: {fetched} fetched, the replica has {there}")
    for key, count in counts.items():
        told = count["normalised"] + count["quarantined"]
        check(count["fetched"] == told, f"{key}: {count} do not add up")
        check(count["released"] > 0, f"{key}: nothing was released")
        check(
            count["quarantined"] <= count["fetched"] / 20, f"{key}: {count['quarantined']} were quarantined"
        )
    for site, stats in upstream.json("/_stats").items():
        check(stats["jsp_hits"] == 0, f"{site}: forbidden .jsp pages were asked for: {stats['routes']}")
        check(stats["missing_user_agent"] == 0, f"{site}: asked without a User-Agent")


def check_search(hub: Site, listed: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Totals, pages, order and words; returns every record of `dataset`."""
    everything: dict[str, list[dict[str, Any]]] = {}
    for index in ("dataset", "model"):
        answer = hub.json(f"/search/{index}/all")
        everything[index] = answer["items"]
        ids = [item["source_id"] for item in answer["items"]]
        check(
            len(ids) == len(set(ids)) == answer["total"], f"/search/{index}/all: {answer['total']} {len(ids)}"
        )
        first = hub.json(f"/search/{index}", {"query": "", "filters": None})
        check(first["total"] == len(ids), f"{index}: {first['total']} by page, {len(ids)} at once")
        check([one["source_id"] for one in first["items"]] == ids[:20], f"{index}: the first page is another")
        last = hub.json(f"/search/{index}/{first['total_page'] - 1}/20")
        check(
            [one["source_id"] for one in last["items"]] == ids[-len(last["items"]) :], f"{index}: last page"
        )
        past = hub.json(f"/search/{index}/{first['total_page']}/20")
        check((past["items"], past["total"]) == ([], len(ids)), f"{index}: a page past the end: {past}")
    released = sum(source["counts"]["released"] for source in listed.values())
    shown = len(everything["dataset"]) + len(everything["model"])
    check(shown == released, f"{shown} records are served, {released} were released")
    for item in (*everything["dataset"][::400], *everything["model"][::40]):
        index = "model" if item["type"] == "single" else "dataset"
        body = {"query": item["name"][:1_000], "filters": None}
        found = hub.json(f"/search/{index}/0/10000", body)["items"]
        names = [one["name"] for one in found]
        check(item["name"] in names, f"{item['source_id']}: its name {item['name']!r} does not find it")
        single = hub.json(f"/records/{index}/{quote(item['source_id'], safe='')}")
        check(single.pop("_release")["number"] >= 1, f"{item['source_id']}: no release")
        check(single == item, f"/records differs from /search for {item['source_id']}")
    return everything["dataset"]


def check_filters(hub: Site, records: list[dict[str, Any]]) -> None:
    """Filters by counting; facets and `/filters` are complete."""
    cells = [item for item in records if item["type"] == "morphology"]
    body = {"data_type": "morphology", "filters": {"species": [CHOSEN]}, "facets": True}
    answer = hub.json("/search/dataset", body)
    wanted = sum(item["species"] == CHOSEN for item in cells)
    check(answer["total"] == wanted > 0, f"{answer['total']} of {CHOSEN} by filter, {wanted} by counting")
    counted = {entry["value"]: entry["count"] for entry in answer["facets"]["species"]}
    known = {item["species"] for item in cells} - {None}
    check(counted.keys() == known, f"facet species: {sorted(counted)}, counted {sorted(known)}")
    for value, count in counted.items():
        by_hand = sum(item["species"] == value for item in cells)
        check(count == by_hand, f"facet species {value!r}: {count}, counted {by_hand}")
    offered = hub.json("/filters/dataset/morphology")
    check(set(offered["species"]["values"]) == known, "/filters: species is not complete")
    connections = [item for item in records if item["type"] == "connection"]
    layer = connections[0]["presynaptic"]["layers"][0]
    query = urlencode({"presynaptic.layers": layer})
    found = hub.json(f"/search/dataset?{query}")["total"]
    wanted = sum(layer in item["presynaptic"]["layers"] for item in connections)
    check(found == wanted, f"{found} connections from {layer} by filter, {wanted} by counting")
    types = hub.json("/types/dataset")["values"]
    check(set(types) == {item["type"] for item in records}, f"/types/dataset: {types}")


def check_download(hub: Site, records: list[dict[str, Any]]) -> int:
    """A zip over all sources: every file is the one of its source, every id stands in the manifest."""
    cells = [item for item in records if item["source"] == "Neuromorpho"][:: max(1, len(records) // CELLS)]
    own = [item for item in records if item["source"] == "internal_morphology"][:3]
    models = hub.json("/search/model?query=CA1&hits=2")["items"]
    asked = {item["source_id"]: item for item in (*cells, *own, *models)}
    status, kind, content = hub.ask("/download/dataset", {"ids": [*asked, "nothing-1"]})
    check(
        (status, kind) == (200, "application/zip"),
        f"the download answered {status} {kind}: {content[:300]!r}",
    )
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        check(archive.testzip() is None, "the zip is damaged")
        files = {name: archive.read(name) for name in archive.namelist()}
    check("CITATIONS.txt" in files, "CITATIONS.txt is missing")
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(files["manifest.csv"].decode()))}
    check(rows.keys() == {*asked, "nothing-1"}, f"the manifest names {sorted(rows)}")
    check(rows["nothing-1"]["status"] == "missing", f"an unknown id: {rows['nothing-1']}")
    good = [row for row in rows.values() if row["status"] == "ok"]
    check(len(good) >= len(asked) * 0.8, f"only {len(good)} of {len(asked)} files came: {rows}")
    for row in rows.values():
        if row["status"] == "ok":
            digest = hashlib.sha256(files[row["file"]]).hexdigest()
            check(row["sha256"] == digest, f"the manifest's sha256 is wrong: {row}")
            check(Site(row["url"]).ask("")[2] == files[row["file"]], f"not the source's file: {row}")
        else:
            check(row["reason"], f"no reason: {row}")
    return len(good)


def check_errors(hub: Site) -> None:
    """Errors have their status and shape."""
    for path, status in {
        "/search/nothing": 404,
        "/records/dataset/nothing-1": 404,
        "/search/dataset/-1": 400,
        "/search/dataset?specis=rat": 400,
        "/download/dataset?ids=nothing-1": 404,
        f"/search/dataset?ids={'x' * 9_000}": 414,
    }.items():
        answered, kind, content = hub.ask(path)
        check(answered == status, f"{path[:60]} answered {answered}, not {status}: {content[:200]!r}")
        check(kind == "application/problem+json", f"{path[:60]} answered {kind}")
    for path in ("/", "/swagger.json", "/apidocs/", "/neuro_morpho/useterm.jsp", "/health/ready"):
        check(hub.ask(path)[0] == 200, f"{path} is not there")


def restart(folder: Path, port: int, hub: Site, upstream: str, total: int) -> float:
    """A second start serves what was released; returns the seconds until it does."""
    begun = time.monotonic()
    with server(folder, port, upstream):
        answer = wait_for("it serves again", lambda: hub.ask("/search/dataset")[2], START_S)
        took = time.monotonic() - begun
        check(json.loads(answer)["total"] == total, f"after a restart: {answer[:200]!r}")
    return took


def main_job(script: Path, folder: Path) -> str:
    """Run everything; returns a summary in one line."""
    port = free_port()
    hub = Site(f"http://127.0.0.1:{port}")
    begun = time.monotonic()
    with replica(script) as upstream:
        with server(folder, port, upstream) as process:
            wait_for("make run serves", lambda: hub.ask("/health/live")[0] == 200, START_S)
            listed = refreshed(hub)
            took = time.monotonic() - begun
            check_refresh(listed, Site(upstream))
            records = check_search(hub, listed)
            check_filters(hub, records)
            files = check_download(hub, records)
            check_errors(hub)
            ended = end_group(process)
            check(ended < END_S, f"make run did not end within {END_S:.0f} s")
            check(not left_over(folder), f"processes are left behind: {left_over(folder)}")
        again = restart(folder, port, hub, upstream, len(records))
    counts = ", ".join(f"{key} {source['counts']['released']}" for key, source in listed.items())
    return (
        f"main job: passed; released {counts} within {took:.1f} s of the start; {files} files downloaded; "
        f"ended in {ended:.1f} s; served again after {again:.1f} s"
    )


def main() -> None:
    """Run the main job; a failure shows its reason and the end of the server's log."""
    script = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "../shared/upstream/serve.py").resolve()

    def end(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)  # through every `finally`

    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, end)
    with tempfile.TemporaryDirectory(prefix="ammon-ci-") as name:
        folder = Path(name)
        try:
            print(main_job(script, folder), flush=True)
        except Failed as failure:
            log = folder / "log"
            print(
                "".join(log.read_text().splitlines(keepends=True)[-40:]) if log.exists() else "", flush=True
            )
            sys.exit(f"main job: FAILED: {failure}")


if __name__ == "__main__":
    main()
