"""Where the cluster is, how to log on, and how the indices are laid out: values, no connection."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from helpers.errors import BadConfiguration

_PREFIX: Final = re.compile(r"([a-z0-9][a-z0-9_.-]{0,99})?")
_DEFAULT_PORTS: Final = {"http": 9200, "https": 9200}


@dataclass(frozen=True, slots=True, kw_only=True)
class ElasticOptions:
    """What the engine needs to know. Raises `BadConfiguration` for what can never work."""

    urls: tuple[str, ...]  # any of the nodes; a node that does not answer is passed over
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    api_key: str | None = field(default=None, repr=False)
    ca_file: str | None = None  # PEM; None: the public authorities
    prefix: str = ""  # before every index and alias, so that several hubs share a cluster
    shards: int = 1
    replicas: int = 0
    timeout_s: float = 10.0  # of one question, retries included
    write_timeout_s: float = 60.0  # how long one step of a release waits for a busy or restarting server
    walk_timeout_s: float = 30.0  # the same for the next part of a walk that has begun
    connect_timeout_s: float = 2.0
    connections: int = 64  # per node; at least the threads of a process

    def __post_init__(self) -> None:
        if not self.urls:
            raise BadConfiguration("no address of Elasticsearch is given, for example http://localhost:9200")
        for url in self.urls:
            _check_url(url)
        if not _PREFIX.fullmatch(self.prefix):
            raise BadConfiguration(
                "the prefix of the indices may have small letters, digits and `_.-`, must begin with a "
                f"letter or digit, and has at most 100 characters; it is {self.prefix!r}"
            )
        if (self.user is None) != (self.password is None):
            raise BadConfiguration("Elasticsearch needs a user and a password, or neither of them")
        if self.user is not None and self.api_key is not None:
            raise BadConfiguration("give Elasticsearch's user and password or an API key, not both")
        if self.shards < 1 or self.replicas < 0:
            raise BadConfiguration(
                f"shards must be at least 1, replicas at least 0; they are {self.shards} and {self.replicas}"
            )

    @property
    def hosts(self) -> list[str]:
        """The addresses with their ports, as the client wants them."""
        return [_with_port(url) for url in self.urls]


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in _DEFAULT_PORTS and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        raise BadConfiguration(
            f"an address of Elasticsearch is like http://localhost:9200 or https://es.org, not {url!r}"
        )
    if parts.username or parts.password:
        raise BadConfiguration("give Elasticsearch's user and password by their own keys, not in the address")


def _with_port(url: str) -> str:
    parts = urlsplit(url)
    if parts.port:
        return url.rstrip("/")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}:{_DEFAULT_PORTS[parts.scheme]}{parts.path.rstrip('/')}"
