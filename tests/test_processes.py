"""Real processes on the loopback: start, restart, refresh, and every way to end them.

Each test has a folder and a port of its own. The processes of a server are found by the folder in their
environment, so that one that outlives its server is seen, and ended, too.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.example_upstream import ExampleUpstream
from tests.app import FLASK, GUNICORN, SITES, Hub, free_port, hub_at, wait_for

pytestmark = [
    pytest.mark.processes,
    pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by Linux's /proc"),
]

MANY = 4_000  # rows of the own table that take a while to index


@pytest.fixture
def upstream() -> Iterator[ExampleUpstream]:
    with ExampleUpstream() as running:
        yield running


@pytest.fixture
def hub(tmp_path: Path, upstream: ExampleUpstream) -> Iterator[Hub]:
    with hub_at(tmp_path, {site: upstream.base(site) for site in SITES}) as made:
        yield made


def own_folder(folder: Path, rows: int) -> Path:
    """A folder of own files with so many cells, all with the same file."""
    folder.mkdir()
    (folder / "cell.swc").write_text("1 1 0 0 0 5 -1\n2 3 5 0 0 1 1\n")
    lines = (f"c{number:06},cell {number},cell.swc,rat,CA1" for number in range(rows))
    (folder / "morphology.csv").write_text(
        "id,name,file,species,secondary_region\n" + "\n".join(lines) + "\n"
    )
    return folder


@pytest.fixture
def big(tmp_path: Path) -> Iterator[Hub]:
    """A hub of own files alone, so many that indexing them can be met."""
    folder = own_folder(tmp_path / "lab", MANY)
    with hub_at(tmp_path, {}, SOURCES="internal", INTERNAL_FOLDER=folder) as made:
        yield made


def all_released(hub: Hub) -> bool:
    return hub.states() == {"released"}


def indexing(hub: Hub) -> bool:
    """Whether everything is staged and the release is being written."""
    return any((hub.data / "staging").glob("*/facts.json"))


# Start and restart


def test_a_fresh_folder_and_a_restart(hub: Hub, upstream: ExampleUpstream) -> None:
    for site in SITES:
        upstream.fault(site, "slow:0.5")
    server = hub.serve()
    wait_for("it serves at once", lambda: hub.total() is not None, 5)
    assert "released" not in {hub.sources()[site]["state"] for site in SITES}
    wait_for("one refresher", lambda: len(hub.refreshers()) == 1, 5)
    wait_for("the server, two workers and the refresher", lambda: len(hub.processes()) == 4, 5)
    for site in SITES:
        upstream.fault(site, "none")
    wait_for("everything is released", lambda: all_released(hub))
    assert len(hub.refreshers()) == 1
    totals = hub.total("dataset"), hub.total("model")
    server.terminate()
    hub.ends(server, 5)
    upstream.stop()
    took = []
    while len(took) < 3 and (not took or min(took) > 2):  # other work of this machine may slow one down
        begun = time.monotonic()
        server = hub.serve()
        wait_for("what was released is served", lambda: hub.total() is not None, 10)
        took.append(time.monotonic() - begun)
        assert (hub.total("dataset"), hub.total("model")) == totals
        server.terminate()
        hub.ends(server, 5)
    assert min(took) <= 2


def test_nobody_can_be_reached_at_the_first_start(tmp_path: Path) -> None:
    nowhere = f"http://127.0.0.1:{free_port()}"
    with hub_at(tmp_path, dict.fromkeys(SITES, nowhere)) as hub:
        hub.serve()
        wait_for("the example records are served", lambda: (hub.total() or 0) >= 20)
        wait_for("one line names the demo", lambda: "make demo" in hub.told())
        sources = wait_for(
            "the next attempt is known",
            lambda: (s := hub.sources()) and all(s[site]["next_refresh"] for site in SITES) and s,
        )
        assert {sources[site]["state"] for site in SITES} == {"failed"}
        lines = [line for line in hub.told().splitlines() if "make demo" in line]
        assert len(lines) == 1
        assert "Traceback" not in hub.told()


def test_the_demo_ends_in_a_served_search(tmp_path: Path) -> None:
    with hub_at(tmp_path, {}) as hub:
        command = [sys.executable, "-m", "helpers.example_upstream.demo", *GUNICORN]
        server = hub.serve(command)
        wait_for("everything is released", lambda: all_released(hub))
        status, body = hub.get("/search/dataset?query=pyramidal&species=rat&facets=true")
        assert (status, body["total"] > 0, "incomplete" in body) == (200, True, False)
        assert hub.total("model")
        server.send_signal(signal.SIGINT)
        hub.ends(server, 5)


# Ends


@pytest.mark.parametrize(
    ("fault", "number", "to_group"),
    [
        pytest.param("hang", signal.SIGTERM, False, id="no answer, SIGTERM"),
        pytest.param("hang", signal.SIGINT, True, id="no answer, Ctrl-C to the whole group"),
        pytest.param("http503", signal.SIGTERM, False, id="waiting to try again, SIGTERM"),
        pytest.param("http503", signal.SIGINT, False, id="waiting to try again, SIGINT"),
    ],
)
def test_everything_ends_while_a_source_is_slow(
    hub: Hub, upstream: ExampleUpstream, fault: str, number: int, to_group: bool
) -> None:
    for site in SITES:
        upstream.fault(site, fault)
        hub.environment[f"AMMON_{site.upper()}_RETRIES"] = "9"  # with 503 it waits between attempts
    server = hub.serve()
    wait_for("it is being fetched", lambda: "fetching" in hub.states() and upstream.requests)
    (os.killpg if to_group else os.kill)(server.pid, number)
    hub.ends(server, 5)
    assert "Traceback" not in hub.told()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_the_command_ends_while_a_source_is_slow(hub: Hub, upstream: ExampleUpstream, number: int) -> None:
    upstream.fault("neuromorpho", "hang")
    command = hub.serve([*FLASK, "refresh"])
    wait_for("it is being fetched", lambda: upstream.requests and (hub.data / "staging").exists())
    command.send_signal(number)
    hub.ends(command, 5)
    upstream.fault("neuromorpho", "none")
    assert hub.run(*FLASK, "refresh").returncode == 0, "the lease is free again"


def test_everything_ends_while_a_download_is_under_way(hub: Hub, upstream: ExampleUpstream) -> None:
    server = hub.serve()
    wait_for("everything is released", lambda: all_released(hub))
    upstream.fault("neuromorpho", "hang")
    asked = len(upstream.requests)
    with socket.create_connection(("127.0.0.1", hub.port), 5) as line:
        line.sendall(b"GET /download/dataset/all?archive=Tidepool HTTP/1.1\r\nHost: x\r\n\r\n")
        wait_for("files are being fetched", lambda: len(upstream.requests) > asked)
        server.terminate()
        hub.ends(server, 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_everything_ends_while_it_is_indexed(big: Hub, number: int) -> None:
    server = big.serve()
    wait_for("it is being indexed", lambda: indexing(big))
    server.send_signal(number)
    big.ends(server, 5)
    assert "Traceback" not in big.told()


@pytest.mark.parametrize("after_s", [0.05, 0.5, 1.0])
def test_everything_ends_while_it_starts(hub: Hub, after_s: float) -> None:
    server = hub.serve()
    time.sleep(after_s)
    server.terminate()
    hub.ends(server, 5)


def test_kill_9_of_a_worker_and_of_the_refresher(hub: Hub) -> None:
    server = hub.serve()
    wait_for("everything is released", lambda: all_released(hub))
    total = hub.total()
    [refresher] = hub.refreshers()
    worker = next(n for n in hub.processes() if n not in (server.pid, refresher))
    os.kill(refresher, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    wait_for("a worker answers", lambda: hub.total() == total)
    wait_for("the refresher came back", lambda: hub.refreshers() not in ([], [refresher]))
    wait_for("everything is released", lambda: all_released(hub))
    assert hub.total() == total
    assert len(hub.refreshers()) == 1


def test_kill_9_of_the_server_ends_its_workers_and_the_refresher(hub: Hub, upstream: ExampleUpstream) -> None:
    upstream.fault("neuromorpho", "slow:30")
    server = hub.serve()
    wait_for("it is being fetched", lambda: "fetching" in hub.states())
    server.kill()
    hub.ends(server, 8)


def test_kill_9_of_everything_again_and_again(big: Hub) -> None:
    """What was released is served after each start, and the last refresh is whole."""
    assert big.run(*FLASK, "refresh").returncode == 0
    for round_, moment in enumerate(("fetching", "indexing", "indexing", "serving")):
        table = Path(big.environment["AMMON_INTERNAL_FOLDER"]) / "morphology.csv"
        table.write_text(table.read_text() + f"extra{round_},extra,cell.swc,rat,CA1\n")
        server = big.serve()
        if moment == "fetching":
            wait_for(moment, lambda: (big.data / "staging").exists() and "fetching" in big.states())
        elif moment == "indexing":
            wait_for(moment, lambda: indexing(big))
            time.sleep(0.1 * round_)
        else:
            wait_for(moment, lambda: big.total() is not None)
        before = big.total()
        big.kill_all()
        assert server.returncode == -signal.SIGKILL
        assert before is None or before >= MANY
    big.serve()
    assert wait_for("it is served at once", big.total, 5) >= MANY
    wait_for("the last refresh is whole", lambda: big.total() == MANY + 4)
    status, body = big.get("/search/dataset/all")
    assert (status, len({item["source_id"] for item in body["items"]})) == (200, MANY + 4)


# Several at once


def test_two_servers_on_one_folder_refresh_one_at_a_time(hub: Hub, upstream: ExampleUpstream) -> None:
    def fetched() -> int:
        return sum(one.source == "neuromorpho" and "/api/neuron" in one.path for one in upstream.requests)

    first = hub.serve()
    wait_for("everything is released", lambda: all_released(hub))
    other = free_port()
    hub.serve(AMMON_PORT=str(other))
    wait_for("both serve", lambda: hub.get("/search/dataset", other)[0] == 200)
    wait_for("two refreshers", lambda: len(hub.refreshers()) == 2)
    time.sleep(1.0)  # long enough for a second refresh, were there one
    assert fetched() == 1
    assert hub.get("/search/dataset", other)[1]["total"] == hub.total()
    first.terminate()
    first.wait(5)
    wait_for("the second one takes over", lambda: fetched() == 2)


def test_the_command_says_who_is_refreshing(hub: Hub, upstream: ExampleUpstream) -> None:
    upstream.fault("modeldb", "slow:30")
    hub.serve()
    wait_for("it is being fetched", lambda: hub.sources().get("modeldb", {}).get("state") == "fetching")
    [refresher] = hub.refreshers()
    result = hub.run(*FLASK, "refresh", "internal")
    assert result.returncode == 1
    assert f"process {refresher}" in result.stderr
    assert "Traceback" not in result.stderr


# What goes wrong outside


def test_a_long_request_line_is_414_and_names_post(hub: Hub) -> None:
    hub.serve()
    wait_for("it serves", lambda: hub.total() is not None)

    def answer(length: int) -> bytes:
        fixed = len("GET /search/dataset?ids= HTTP/1.1")
        with socket.create_connection(("127.0.0.1", hub.port), 5) as line:
            text = f"GET /search/dataset?ids={'x' * (length - fixed)} HTTP/1.1\r\nHost: x\r\n"
            line.sendall(f"{text}Connection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: line.recv(65_536), b""))

    for length in (8_000, 8_188):
        assert answer(length).startswith(b"HTTP/1.1 200 "), length
    for length in (8_300, 30_000, 200_000):
        head, _, body = answer(length).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 414 "), length
        assert b"application/problem+json" in head
        assert "POST" in json.loads(body)["detail"]


@pytest.mark.parametrize("command", [GUNICORN, [*FLASK, "refresh"]], ids=["the server", "flask refresh"])
def test_a_data_folder_that_cannot_be_written(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "file").write_text("no folder")
    with hub_at(tmp_path, {}, DATA_DIR=tmp_path / "file" / "var", SOURCES="internal") as hub:
        result = hub.run(*command)
        assert result.returncode != 0
        assert str(tmp_path / "file") in result.stderr
        assert "Traceback" not in result.stderr
        assert len(result.stderr.splitlines()) < 10


@pytest.mark.parametrize("command", [GUNICORN, [*FLASK, "sources"]], ids=["the server", "flask sources"])
def test_a_wrong_setting_stops_the_start(hub: Hub, command: list[str]) -> None:
    hub.environment["AMMON_PORT"] = "eighty"
    hub.environment["AMMON_NEUROMORFO_RATE"] = "5"
    result = hub.run(*command)
    assert result.returncode != 0
    for text in ("AMMON_PORT", "eighty", "65535", "AMMON_NEUROMORFO_RATE", "AMMON_NEUROMORPHO_RATE"):
        assert text in result.stderr
    assert "Traceback" not in result.stderr


# A file system that is too small for all, too small for the new index, or for nothing; or, where none can be
# mounted, a limit on the size of each file: writes then fail in the same way.
MOUNT = ["unshare", "--user", "--map-root-user", "--mount", "bash", "-c"]
SMALL = 'mount -t tmpfs -o size={kb}k tmpfs "$AMMON_DATA_DIR" && {commands}'


def can_mount() -> bool:
    try:
        tried = subprocess.run([*MOUNT, "mount -t tmpfs tmpfs /mnt"], capture_output=True, check=False)
        return tried.returncode == 0
    except OSError:
        return False


def check_after_a_full_disk(refreshed: str, shown: str) -> None:
    """A refresh that failed has said why and lost nothing; one that fitted has released everything."""
    assert "Traceback" not in refreshed
    if re.search("No space left|cannot|too large|disk", refreshed):
        assert shown == "10 records"
    else:
        assert f"released {MANY}" in refreshed
        assert shown == f"{MANY} records"


@pytest.mark.parametrize("kilobytes", [300, 7_400])
def test_a_full_disk_loses_nothing(big: Hub, kilobytes: int) -> None:
    if not can_mount():
        pytest.skip("no file system can be mounted here; the limit on the size of files is tested")
    table = Path(big.environment["AMMON_INTERNAL_FOLDER"]) / "morphology.csv"
    whole = table.read_text()
    table.with_name("small").write_text("\n".join(whole.splitlines()[:11]) + "\n")
    table.rename(table.with_name("whole"))
    big.data.mkdir()
    refresh, search = " ".join([*FLASK, "refresh"]), " ".join([*FLASK, "search", "--hits", "1"])
    lab = table.parent
    steps = [
        f"cp {lab}/small {table} && {refresh} >/dev/null 2>&1",
        f"cp {lab}/whole {table}; {refresh} 2>&1; echo ==; {search} 2>&1 | tail -1; echo ==",
        f'mount -o remount,size=100000k "$AMMON_DATA_DIR" && {refresh} >/dev/null 2>&1; echo $?',
    ]
    result = big.run(*MOUNT, SMALL.format(kb=kilobytes, commands="\n".join(steps)))
    refreshed, shown, afterwards = result.stdout.split("==\n")
    check_after_a_full_disk(refreshed, shown.strip())
    assert afterwards.strip() == "0", "it goes on when there is room again"


@pytest.mark.parametrize("kilobytes", [8, 64])
def test_a_file_that_may_not_grow_loses_nothing(big: Hub, kilobytes: int) -> None:
    table = Path(big.environment["AMMON_INTERNAL_FOLDER"]) / "morphology.csv"
    whole = table.read_text()
    table.write_text("\n".join(whole.splitlines()[:11]) + "\n")
    assert big.run(*FLASK, "refresh").returncode == 0
    table.write_text(whole)
    result = big.run("bash", "-c", f'ulimit -f {kilobytes}; exec "$@"', "bash", *FLASK, "refresh")
    assert result.returncode == 1
    check_after_a_full_disk(result.stderr, big.run(*FLASK, "search", "--hits", "1").stderr.strip())


def test_shell_completion_knows_commands_and_sources(hub: Hub) -> None:
    hub.environment |= {"_FLASK_COMPLETE": "bash_complete", "COMP_WORDS": "flask --app app refresh ne"}
    hub.environment["COMP_CWORD"] = "4"
    assert "neuromorpho" in hub.run(str(Path(sys.executable).with_name("flask"))).stdout
    hub.environment |= {"COMP_WORDS": "flask --app app ref", "COMP_CWORD": "3"}
    assert "refresh" in hub.run(str(Path(sys.executable).with_name("flask"))).stdout
