"""Which addresses may be connected to: checked on the address itself, so that DNS cannot change it."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import weakref
from collections.abc import Iterator
from typing import Any, Final

import requests.adapters
import urllib3.connection
import urllib3.connectionpool
import urllib3.exceptions

from helpers.errors import UnsafeAddress

LEGACY_TLS: Final = "DEFAULT:@SECLEVEL=1"  # accepts the short Diffie-Hellman keys that some sources had
NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def check_address(address: str, host: str, allow_private: bool) -> None:
    """Raise `UnsafeAddress` for anything but a public address; link-local ones are never allowed."""
    for parsed in _meant(ipaddress.ip_address(address.partition("%")[0])):
        if parsed.is_link_local:
            raise UnsafeAddress(f"{host} is at the link-local address {parsed}, which is never asked")
        if parsed.is_multicast or parsed.is_unspecified or (parsed.is_reserved and not parsed.is_loopback):
            raise UnsafeAddress(f"{host} is at {parsed}, which is no address of a server")
        if not parsed.is_global and not allow_private:
            raise UnsafeAddress(
                f"{host} is at the private or loopback address {parsed}; "
                "AMMON_ALLOW_PRIVATE_UPSTREAMS allows these"
            )


def _meant(address: Address) -> Iterator[Address]:
    """An address, or the IPv4 addresses that it is only a way to."""
    if isinstance(address, ipaddress.IPv4Address):
        yield address
        return
    inner = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64:
        inner.append(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    found = [one for one in inner if one is not None]
    yield from found or [address]


def _connect(connection: Any, allow_private: bool) -> socket.socket:
    """Connect to the first address of the host that answers, each checked before it is asked."""
    host = connection._dns_host
    failed: OSError | None = None
    for family, kind, protocol, _, target in socket.getaddrinfo(
        host, connection.port, type=socket.SOCK_STREAM
    ):
        check_address(str(target[0]), host, allow_private)
        made = socket.socket(family, kind, protocol)
        try:
            for option in connection.socket_options or ():
                made.setsockopt(*option)
            if isinstance(connection.timeout, int | float):
                made.settimeout(connection.timeout)
            made.connect(target)
        except OSError as error:
            made.close()
            failed = error
        else:
            return made
    raise failed or OSError(f"{host} has no address")


def _checked(connection: Any, allow_private: bool) -> socket.socket:
    try:
        return _connect(connection, allow_private)
    except TimeoutError as error:
        raise urllib3.exceptions.ConnectTimeoutError(connection, f"{connection.host}: {error}") from error
    except OSError as error:
        raise urllib3.exceptions.NewConnectionError(connection, f"{connection.host}: {error}") from error


Pools = dict[str, type[urllib3.connectionpool.HTTPConnectionPool]]


def _pools(allow_private: bool, connections: weakref.WeakSet[Any]) -> Pools:
    """Connection pools that connect to allowed addresses only and note every connection made."""

    class PlainConnection(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            connections.add(self)
            return _checked(self, allow_private)

    class SecureConnection(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            connections.add(self)
            return _checked(self, allow_private)

    class PlainPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": PlainPool, "https": SecurePool}


class GuardedAdapter(requests.adapters.HTTPAdapter):
    """A transport that connects to allowed addresses only, with verified TLS."""

    def __init__(self, *, allow_private: bool, legacy_tls: bool, connections: int) -> None:
        self._allow_private = allow_private
        self._live: weakref.WeakSet[Any] = weakref.WeakSet()
        self._context = ssl.create_default_context()
        if legacy_tls:
            self._context.set_ciphers(LEGACY_TLS)
        super().__init__(pool_connections=connections, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        """Use pools whose connections check the address."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._allow_private, self._live)

    def hang_up(self) -> None:
        """Break off every connection, also those that wait for an answer."""
        for connection in list(self._live):
            try:
                if connection.sock is not None:
                    connection.sock.shutdown(socket.SHUT_RDWR)
            except OSError:  # it was over already
                continue
