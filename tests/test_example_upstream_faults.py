"""The example upstream misbehaves as it is told, and starts and ends as a server."""

from __future__ import annotations

import http.client
import io
import json
import re
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from helpers.example_upstream import ExampleUpstream
from helpers.example_upstream.faults import MODES, parse_fault
from tests.test_example_upstream import ANY_CA1, EVERY, LIST, MODELS, PAGE, ask, every_neuron, found, search


@pytest.fixture
def upstream() -> Iterator[ExampleUpstream]:
    with ExampleUpstream(huge_bytes=100_000, bomb_bytes=3_000_000) as upstream:
        yield upstream


@pytest.mark.parametrize("text", ["", "nonsense", "slow", "slow:x", "http500:1", "missing_field"])
def test_an_unknown_fault_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_fault(text)


def test_every_documented_fault_is_known() -> None:
    arguments = {"slow": ":1", "flaky": ":0.5", "ratelimit": ":3", "page_error": ":1", "shrink": ":50"}
    for mode in MODES:
        assert (
            parse_fault(mode + arguments.get(mode, ":name" if mode == "missing_field" else "")).mode == mode
        )


@pytest.mark.parametrize(
    ("mode", "status", "start"),
    [
        ("http500", 500, b"Internal"),
        ("http503", 503, b"Service"),
        ("html200", 200, b"<html>"),
        ("empty200", 200, b""),
        ("error_in_200", 200, b'{"status": 500'),
        ("flaky:1", 503, b"Service"),
        ("ratelimit:0", 429, b"Too Many"),
    ],
)
@pytest.mark.parametrize("source", ["neuromorpho", "hippocampome", "modeldb"])
def test_faults_that_answer_instead(
    upstream: ExampleUpstream, source: str, mode: str, status: int, start: bytes
) -> None:
    upstream.fault(source, mode)
    answer = ask(upstream, f"/{source}/api/health")
    assert answer.status == status
    assert answer.body.startswith(start)
    assert answer.headers.get("Retry-After") == ("1" if status == 429 else None)


def test_down_cuts_the_line_and_only_that_of_its_site(upstream: ExampleUpstream) -> None:
    upstream.fault("neuromorpho", "down")
    with pytest.raises(http.client.RemoteDisconnected):
        ask(upstream, LIST)
    assert ask(upstream, MODELS).status == 200


def test_hang_ends_with_the_fault(upstream: ExampleUpstream) -> None:
    upstream.fault("modeldb", "hang")
    timer = threading.Timer(0.1, upstream.fault, ("modeldb", "none"))
    timer.start()
    with pytest.raises(http.client.RemoteDisconnected):
        ask(upstream, MODELS)
    timer.join()


def test_slow_waits(upstream: ExampleUpstream) -> None:
    upstream.fault("modeldb", "slow:30")
    connection = http.client.HTTPConnection(urlsplit(upstream.url).netloc, timeout=0.1)
    connection.request("GET", MODELS)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    upstream.fault("modeldb", "slow:0.01")
    assert ask(upstream, MODELS).status == 200


def test_truncate_garbage_and_bad_encoding(upstream: ExampleUpstream) -> None:
    upstream.fault("neuromorpho", "truncate")
    with pytest.raises(http.client.IncompleteRead) as error:
        ask(upstream, LIST)
    assert error.value.expected is not None and len(error.value.partial) > 0
    upstream.fault("neuromorpho", "garbage")
    with pytest.raises(ValueError):
        json.loads(ask(upstream, LIST).body)
    upstream.fault("neuromorpho", "bad_encoding")
    with pytest.raises(UnicodeDecodeError):
        ask(upstream, LIST).body.decode()


def test_redirects(upstream: ExampleUpstream) -> None:
    upstream.fault("neuromorpho", "redirect_http")
    assert ask(upstream, f"{LIST}?page=1").headers["Location"] == "http://neuromorpho.org/api/neuron?page=1"
    upstream.fault("neuromorpho", "redirect_evil")
    assert ask(upstream, LIST).status == 200
    file = "/neuromorpho/dableFiles/tidepool/CNG%20version/tide_ca1_001.CNG.swc"
    assert "169.254.169.254" in ask(upstream, file).headers["Location"]


def test_page_error(upstream: ExampleUpstream) -> None:
    for source in ("neuromorpho", "hippocampome", "modeldb"):
        upstream.fault(source, "page_error:1")
    assert [ask(upstream, f"{LIST}?size=5&page={page}").status for page in range(3)] == [200, 500, 200]
    assert [ask(upstream, f"{PAGE}{key}").status for key in EVERY[:3]] == [200, 500, 200]
    assert [ask(upstream, f"{MODELS}/{key}").status for key in (200001, 200002, 200003)] == [200, 500, 200]


def test_missing_field(upstream: ExampleUpstream) -> None:
    upstream.fault("neuromorpho", "missing_field:neuron_name")
    assert ["neuron_name" in neuron for neuron in every_neuron(upstream)[:2]] == [False, True]
    upstream.fault("hippocampome", "missing_field:source_id")
    assert search(upstream, "Neuron:(Name:Stellate)").json == {
        "1": {"source_name": "EC (e)331000p Example Stellate"}
    }
    upstream.fault("modeldb", "missing_field:name")
    assert ["name" in ask(upstream, f"{MODELS}/{key}").json for key in (200001, 200002, 200011)] == [
        False,
        True,
        False,
    ]


def test_duplicate_page(upstream: ExampleUpstream) -> None:
    for source in ("neuromorpho", "hippocampome", "modeldb"):
        upstream.fault(source, "duplicate_page")
    first, second = (ask(upstream, f"{LIST}?size=5&page={page}").neurons for page in (0, 1))
    assert first[-1] == second[0]
    assert found(search(upstream, f"Neuron:({ANY_CA1})"))[:3] == ["1000", "1000", "1041"]
    assert ask(upstream, MODELS).json[:3] == [200001, 200001, 200003]


def test_shrink(upstream: ExampleUpstream) -> None:
    for source in ("neuromorpho", "hippocampome", "modeldb"):
        upstream.fault(source, "shrink:50")
    assert len(every_neuron(upstream)) == 18
    assert found(search(upstream, f"Neuron:({ANY_CA1})")) == EVERY[:6]
    assert len(ask(upstream, MODELS).json) == 10
    assert ask(upstream, f"{MODELS}/200020").status == 404


def test_huge(upstream: ExampleUpstream) -> None:
    for source in ("neuromorpho", "hippocampome", "modeldb"):
        upstream.fault(source, "huge")
    for path in (f"{LIST}?size=1", f"{PAGE}1000", f"{MODELS}/200001"):
        assert 100_000 < len(ask(upstream, path).body) < 200_000
    assert len(ask(upstream, f"{LIST}?size=1&page=1").body) < 10_000


def test_evil_archives(upstream: ExampleUpstream) -> None:
    upstream.fault("modeldb", "zip_traversal")
    archive = zipfile.ZipFile(io.BytesIO(ask(upstream, "/modeldb/download/200002").body))
    assert {"../../outside.mod", "/absolute.mod", "link.mod"} <= set(archive.namelist())
    assert archive.getinfo("link.mod").external_attr >> 16 == 0o120777
    upstream.fault("modeldb", "zip_bomb")
    packed = ask(upstream, "/modeldb/download/200002").body
    assert zipfile.ZipFile(io.BytesIO(packed)).getinfo("bomb.mod").file_size == 3_000_000
    assert len(packed) < 20_000


# The server


def test_a_connection_is_kept_alive_and_ends_with_the_server() -> None:
    with ExampleUpstream() as upstream:
        assert upstream.base("modeldb") == f"{upstream.url}/modeldb"
        connection = http.client.HTTPConnection(urlsplit(upstream.url).netloc, timeout=5)
        for _ in range(2):
            connection.request("GET", MODELS)
            assert len(json.loads(connection.getresponse().read())) == 20
        assert upstream.most_at_once("modeldb") == 1
    connection.sock.settimeout(1)
    with pytest.raises((http.client.HTTPException, OSError)):
        connection.request("GET", MODELS)
        connection.getresponse()
    connection.close()
    with pytest.raises(RuntimeError):
        _ = upstream.url


@pytest.mark.processes
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_address_and_ends_on_a_signal(ending: signal.Signals) -> None:
    command = [sys.executable, "-m", "helpers.example_upstream", "--port", "0", "--fault", "modeldb=hang"]
    root = Path(__file__).resolve().parents[1]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.fullmatch(r"example upstream on http://127\.0\.0\.1:\d+\n", line)
        connection = http.client.HTTPConnection(line.strip().rpartition("//")[2], timeout=5)
        connection.request("GET", MODELS)  # hangs, and must not keep the process
        process.send_signal(ending)
        assert process.wait(timeout=3) == 0
        connection.close()
