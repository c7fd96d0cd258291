"""Which addresses may be connected to: checked on the address itself, so that DNS cannot change it."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import Any

import requests.adapters
import urllib3.connection
import urllib3.connectionpool
import urllib3.poolmanager
import urllib3.util.connection

from helpers.errors import UnsafeAddress

LEGACY_TLS = "DEFAULT:@SECLEVEL=1"  # accepts the short Diffie-Hellman keys that some sources had


def check_address(address: str, host: str, allow_private: bool) -> None:
    """Raise `UnsafeAddress` for anything but a public address; link-local ones are never allowed."""
    parsed = ipaddress.ip_address(address.partition("%")[0])
    parsed = getattr(parsed, "ipv4_mapped", None) or parsed
    if parsed.is_link_local:
        raise UnsafeAddress(f"{host} is at the link-local address {parsed}, which is never asked")
    if parsed.is_multicast or parsed.is_unspecified or parsed.is_reserved:
        raise UnsafeAddress(f"{host} is at {parsed}, which is no address of a server")
    if not allow_private and not parsed.is_global:
        raise UnsafeAddress(
            f"{host} is at the private or loopback address {parsed}; "
            "AMMON_ALLOW_PRIVATE_UPSTREAMS allows these"
        )


def _connect(connection: Any, allow_private: bool) -> socket.socket:
    """Connect to the first address of the host that answers, each checked before it is asked."""
    host = connection._dns_host
    error: OSError | None = None
    for _, _, _, _, target in socket.getaddrinfo(host, connection.port, type=socket.SOCK_STREAM):
        address = str(target[0])
        check_address(address, host, allow_private)
        try:
            return urllib3.util.connection.create_connection(
                (address, connection.port),
                connection.timeout,
                source_address=connection.source_address,
                socket_options=connection.socket_options,
            )
        except OSError as failed:
            error = failed
    raise error or OSError(f"{host} has no address")


def _pools(allow_private: bool) -> dict[str, type[urllib3.connectionpool.HTTPConnectionPool]]:
    class PlainConnection(urllib3.connection.HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _checked(self, allow_private)

    class SecureConnection(urllib3.connection.HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _checked(self, allow_private)

    class PlainPool(urllib3.connectionpool.HTTPConnectionPool):
        ConnectionCls = PlainConnection

    class SecurePool(urllib3.connectionpool.HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": PlainPool, "https": SecurePool}


def _checked(connection: Any, allow_private: bool) -> socket.socket:
    try:
        return _connect(connection, allow_private)
    except TimeoutError as error:
        raise urllib3.exceptions.ConnectTimeoutError(connection, f"{connection.host}: {error}") from error
    except OSError as error:
        raise urllib3.exceptions.NewConnectionError(connection, f"{connection.host}: {error}") from error


class GuardedAdapter(requests.adapters.HTTPAdapter):
    """A transport that connects to allowed addresses only, with verified TLS."""

    def __init__(self, *, allow_private: bool, legacy_tls: bool, connections: int) -> None:
        self._allow_private = allow_private
        self._context = ssl.create_default_context()
        if legacy_tls:
            self._context.set_ciphers(LEGACY_TLS)
        super().__init__(pool_connections=connections, pool_maxsize=connections, max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **kwargs: Any) -> None:
        """Use pools whose connections check the address."""
        super().init_poolmanager(connections, maxsize, block, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._allow_private)
