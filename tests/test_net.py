"""Which addresses may be connected to, and how TLS is spoken."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from helpers.errors import UnsafeAddress, UpstreamUnavailable
from helpers.net import check_address
from tests.fakes import loopback_client

PUBLIC = ["93.184.216.34", "129.174.10.65", "2606:2800:220:1:248:1893:25c8:1946", "::ffff:93.184.216.34"]
PRIVATE = [
    "127.0.0.1",
    "127.8.8.8",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",  # of carriers
    "::1",
    "fd00::1",
    "fc00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
]
LINK_LOCAL = ["169.254.169.254", "169.254.0.1", "fe80::1", "fe80::1%eth0", "::ffff:169.254.169.254"]
NO_SERVER = [
    "0.0.0.0",
    "::",
    "224.0.0.1",
    "239.255.255.250",
    "ff02::1",
    "240.0.0.1",
    "255.255.255.255",
    "::ffff:0.0.0.0",
    "::ffff:224.0.0.1",
]


@pytest.mark.parametrize("address", PUBLIC)
@pytest.mark.parametrize("allow_private", [False, True])
def test_a_public_address_is_allowed(address: str, allow_private: bool) -> None:
    check_address(address, "site.example", allow_private)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_with_the_key_that_allows_it(address: str) -> None:
    with pytest.raises(UnsafeAddress, match=r"site\.example.*AMMON_ALLOW_PRIVATE_UPSTREAMS"):
        check_address(address, "site.example", allow_private=False)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_allowed_by_configuration(address: str) -> None:
    check_address(address, "site.example", allow_private=True)


@pytest.mark.parametrize("address", LINK_LOCAL)
@pytest.mark.parametrize("allow_private", [False, True])
def test_a_link_local_address_is_never_allowed(address: str, allow_private: bool) -> None:
    with pytest.raises(UnsafeAddress, match="link-local"):
        check_address(address, "site.example", allow_private)


@pytest.mark.parametrize("address", NO_SERVER)
@pytest.mark.parametrize("allow_private", [False, True])
def test_what_is_no_server_is_never_allowed(address: str, allow_private: bool) -> None:
    with pytest.raises(UnsafeAddress):
        check_address(address, "site.example", allow_private)


@pytest.mark.parametrize(
    "address",
    [
        pytest.param("2002:a9fe:a9fe::1", id="6to4"),
        pytest.param("64:ff9b::a9fe:a9fe", id="NAT64"),
        pytest.param("::a9fe:a9fe", id="IPv4-compatible"),
    ],
)
@pytest.mark.parametrize("allow_private", [False, True])
def test_an_address_that_leads_to_a_link_local_one_is_refused(address: str, allow_private: bool) -> None:
    with pytest.raises(UnsafeAddress):
        check_address(address, "site.example", allow_private)


class _Quiet(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "4")
        self.end_headers()
        self.wfile.write(b"here")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients break off the handshake here."""


@pytest.fixture
def self_signed(tmp_path: Path) -> Iterator[str]:
    """The URL of a TLS server whose certificate nobody has signed."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed; it makes the certificate")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    made = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1"
    made += " -addext subjectAltName=IP:127.0.0.1"
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([openssl, *made.split(), *files], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with _Server(("127.0.0.1", 0), _Quiet) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"https://127.0.0.1:{server.server_address[1]}/x"
        server.shutdown()


@pytest.mark.parametrize("legacy_tls", [False, True], ids=["default", "legacy"])
def test_a_certificate_that_nobody_signed_is_refused_at_once(self_signed: str, legacy_tls: bool) -> None:
    with pytest.raises(UpstreamUnavailable, match="TLS failed"):
        loopback_client(legacy_tls=legacy_tls, backoff_s=30).get_bytes(self_signed)
