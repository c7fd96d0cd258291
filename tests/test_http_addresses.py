"""Where the HTTP client goes: only to allowed hosts, at allowed addresses, redirect by redirect."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
import responses
from pytest_socket import SocketConnectBlockedError

from helpers.errors import UnsafeAddress, UpstreamChanged, UpstreamError, UpstreamUnavailable
from helpers.example_upstream import ExampleUpstream
from helpers.http import HTTPClient, Politeness
from tests.fakes import AGENT, loopback_client
from tests.file_server import FileServer, body

SITE = "https://site.example"


@pytest.fixture
def site() -> Iterator[responses.RequestsMock]:
    """Answers in place of the transport; asking for what is not set is an error of the connection."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def client(*hosts: str, **politeness: Any) -> HTTPClient:
    """A client for public hosts."""
    named = frozenset(hosts or ("site.example",))
    return HTTPClient(AGENT, Politeness(rate=0, backoff_s=0.0, retries=0, hosts=named, **politeness))


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://evil.example/x", id="another host"),
        pytest.param("https://site.example.evil.example/x", id="a host that begins like it"),
        pytest.param("https://evilsite.example/x", id="a host that ends like it"),
        pytest.param("https://site.example@evil.example/x", id="the host as a user's name"),
        pytest.param("https://site.example:443@evil.example/x", id="the host as user and password"),
        pytest.param("https://evil.example#@site.example/x", id="the host behind a #"),
        pytest.param("https://evil.example?@site.example/x", id="the host behind a ?"),
        pytest.param("https://evil.example\\@site.example/x", id="the host behind a backslash and @"),
        pytest.param("https://evil.example\\.site.example/x", id="the host behind a backslash"),
        pytest.param("https://site.example\\@evil.example/x", id="a backslash before the other host"),
        pytest.param("https:evil.example/x", id="no slashes"),
        pytest.param("https:///evil.example/x", id="three slashes"),
        pytest.param("//site.example/x", id="no scheme"),
        pytest.param("site.example/x", id="a bare host"),
        pytest.param("", id="nothing"),
        pytest.param("ftp://site.example/x", id="ftp"),
        pytest.param("file:///etc/passwd", id="file"),
        pytest.param("file://site.example/etc/passwd", id="file at the host"),
        pytest.param("data:text/plain,x", id="data"),
        pytest.param("gopher://site.example/x", id="gopher"),
        pytest.param("javascript:alert(1)", id="javascript"),
        pytest.param("https://[site.example/x", id="half a bracket"),
        pytest.param("https://[::1/x", id="half an IPv6 address"),
        pytest.param("https://site.example:99999/x", id="a port above 65535"),
        pytest.param("https://site.example:x/x", id="a port in words"),
        pytest.param("https://169.254.169.254/latest/meta-data/", id="the cloud's metadata"),
        pytest.param("https://site.example/neuron_info.jsp", id="a page that scripts may not ask for"),
        pytest.param("https://site.example/neuron_info.JSP?neuron_name=x", id="one in capitals"),
        pytest.param("https://site.example/neuron_info%2Ejsp", id="one with an escaped dot"),
        pytest.param("https://site.example/neuron_info.jsp;jsessionid=1", id="one with a session id"),
    ],
)
def test_a_url_elsewhere_is_refused_before_anything_is_sent(site: responses.RequestsMock, url: str) -> None:
    site.add(responses.GET, "https://evil.example/x", b"evil")
    site.add(responses.GET, f"{SITE}/neuron_info.jsp", b"page")
    with pytest.raises(UnsafeAddress):
        client().get_bytes(url)
    assert len(site.calls) == 0


@pytest.mark.parametrize(
    "url", ["https://site.example/x", "https://SITE.example/x", "HTTPS://site.example/x"]
)
def test_the_host_itself_is_asked_in_any_case(site: responses.RequestsMock, url: str) -> None:
    site.add(responses.GET, f"{SITE}/x", b"here")
    assert client().get_bytes(url) == b"here"


class TestRedirects:
    @staticmethod
    def to(site: responses.RequestsMock, path: str, target: str, status: int = 302) -> None:
        site.add(responses.GET, SITE + path, status=status, headers={"Location": target})

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_within_the_host_is_followed(self, site: responses.RequestsMock, status: int) -> None:
        self.to(site, "/x", "/y", status)
        site.add(responses.GET, SITE + "/y", b"there")
        assert client().get_bytes(SITE + "/x") == b"there"

    def test_to_another_allowed_host_is_followed(self, site: responses.RequestsMock) -> None:
        self.to(site, "/x", "https://other.example/y")
        site.add(responses.GET, "https://other.example/y", b"there")
        assert client("site.example", "other.example").get_bytes(SITE + "/x") == b"there"

    def test_from_http_to_https_is_followed(self, site: responses.RequestsMock) -> None:
        site.add(responses.GET, "http://site.example/x", status=301, headers={"Location": f"{SITE}/x"})
        site.add(responses.GET, f"{SITE}/x", b"there")
        assert client().get_bytes("http://site.example/x") == b"there"

    @pytest.mark.parametrize(
        "target",
        [
            pytest.param("http://site.example/y", id="from https to http"),
            pytest.param("https://evil.example/y", id="to another host"),
            pytest.param("//evil.example/y", id="to another host by two slashes"),
            pytest.param("https://site.example@evil.example/y", id="to a host behind a user's name"),
            pytest.param("https://evil.example\\@site.example/y", id="to a host before a backslash"),
            pytest.param("http://169.254.169.254/latest/meta-data/", id="to the cloud's metadata"),
            pytest.param("ftp://site.example/y", id="to ftp"),
            pytest.param("file:///etc/passwd", id="to a file"),
            pytest.param("https://[::1/y", id="to what is no URL"),
            pytest.param("/page.jsp", id="to a page that scripts may not ask for"),
        ],
    )
    def test_elsewhere_is_refused(self, site: responses.RequestsMock, target: str) -> None:
        self.to(site, "/x", target)
        with pytest.raises(UnsafeAddress):
            client().get_bytes(SITE + "/x")
        assert len(site.calls) == 1

    @pytest.mark.parametrize(("redirects", "followed"), [(5, True), (6, False)])
    def test_at_most_five_are_followed(
        self, site: responses.RequestsMock, redirects: int, followed: bool
    ) -> None:
        for place in range(redirects):
            self.to(site, f"/{place}", f"/{place + 1}")
        site.add(responses.GET, f"{SITE}/{redirects}", b"there")
        if followed:
            assert client().get_bytes(SITE + "/0") == b"there"
        else:
            with pytest.raises(UpstreamChanged, match="more than 5 redirects"):
                client().get_bytes(SITE + "/0")

    def test_in_a_circle_end(self, site: responses.RequestsMock) -> None:
        self.to(site, "/x", "/x")
        with pytest.raises(UpstreamChanged, match="redirects"):
            client().get_bytes(SITE + "/x")
        assert len(site.calls) <= 6

    def test_without_a_target_are_an_error_of_the_source(self, site: responses.RequestsMock) -> None:
        site.add(responses.GET, SITE + "/x", status=302)
        with pytest.raises(UpstreamError):
            client().get_bytes(SITE + "/x")

    def test_of_files_to_an_evil_address_are_refused(self) -> None:
        with ExampleUpstream() as upstream:
            upstream.fault("neuromorpho", "redirect_evil")
            with pytest.raises(UnsafeAddress, match=r"169\.254\.169\.254"):
                loopback_client().get_bytes(upstream.base("neuromorpho") + "/images/imageFiles/x.png")
            assert len(upstream.requests) == 1

    def test_of_the_whole_site_to_http_are_refused(self) -> None:
        with ExampleUpstream() as upstream:
            upstream.fault("neuromorpho", "redirect_http")
            with pytest.raises(UnsafeAddress):
                loopback_client().get_json(upstream.base("neuromorpho") + "/api/neuron")


def resolve(monkeypatch: pytest.MonkeyPatch, *answers: str) -> list[str]:
    """Let the name server answer so, one address after the other, the last one for ever; names asked."""
    real, asked = socket.getaddrinfo, []
    waiting = list(answers)

    def fake(host: Any, port: Any, *given: Any, **named: Any) -> Any:
        if host in answers:  # an address is no name
            return real(host, port, *given, **named)
        asked.append(str(host))
        address = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", fake)
    return asked


class TestNameServer:
    @pytest.mark.parametrize(
        "address",
        ["127.0.0.1", "10.1.2.3", "192.168.0.1", "169.254.169.254", "::1", "fd00::1", "fe80::1", "0.0.0.0"],
    )
    @pytest.mark.parametrize("scheme", ["http", "https"])
    def test_that_names_a_private_address_is_not_believed(
        self, monkeypatch: pytest.MonkeyPatch, address: str, scheme: str
    ) -> None:
        resolve(monkeypatch, address)
        with pytest.raises(UnsafeAddress, match=r"site\.example is at"):
            client().get_bytes(f"{scheme}://site.example/x")

    def test_that_names_a_link_local_address_is_never_believed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        resolve(monkeypatch, "169.254.169.254")
        with pytest.raises(UnsafeAddress, match="link-local"):
            client(allow_private=True).get_bytes("http://site.example/x")

    def test_that_changes_its_answer_does_not_change_where_we_go(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked = resolve(monkeypatch, "93.184.216.34", "127.0.0.1")
        with pytest.raises((SocketConnectBlockedError, UserWarning), match=r"93\.184\.216\.34"):
            client().get_bytes("http://site.example/x")
        assert asked == ["site.example"], "one answer is asked for, checked and used"

    def test_is_asked_for_the_name_only_once_per_connection(
        self, monkeypatch: pytest.MonkeyPatch, server: FileServer
    ) -> None:
        port = server.base.rpartition(":")[2]
        asked = resolve(monkeypatch, "127.0.0.1", "169.254.169.254")
        server.url("/x", b"here")
        made = client(allow_private=True)
        assert made.get_bytes(f"http://site.example:{port}/x") == b"here"
        assert asked == ["site.example"]

    def test_that_does_not_know_the_name_is_an_outage(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def unknown(*_: Any, **__: Any) -> Any:
            raise socket.gaierror(-2, "Name or service not known")

        monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(UpstreamUnavailable, match="Name or service not known"):
            client().get_bytes("https://site.example/x")


def test_localhost_may_be_asked_where_private_addresses_are_allowed(server: FileServer) -> None:
    """Some machines name `::1` first; the server listens at 127.0.0.1 only."""
    port = server.base.rpartition(":")[2]
    server.url("/x", b"here")
    made = loopback_client(hosts=frozenset({"localhost"}))
    assert made.get_bytes(f"http://localhost:{port}/x") == b"here"


def test_the_next_address_is_asked_when_the_first_does_not_answer(
    monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    port = int(server.base.rpartition(":")[2])
    real = socket.getaddrinfo

    def both(host: Any, *given: Any, **named: Any) -> Any:
        if host != "site.example":
            return real(host, *given, **named)
        made = (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0))
        return [made, (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", both)
    server.url("/x", b"here")
    assert client(allow_private=True).get_bytes(f"http://site.example:{port}/x") == b"here"


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch, server: FileServer) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    assert loopback_client().get_bytes(server.url("/x", body(b"here"))) == b"here"
