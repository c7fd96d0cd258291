"""The engines that the contract is tested on.

`AMMON_TEST_ELASTICSEARCH_URL` names one or several real servers, separated by commas; without it their
tests are skipped. Every test has a prefix of its own there and removes what it made.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from helpers.storage.base import Storage
from helpers.storage.elastic import ElasticOptions, ElasticStorage
from helpers.storage.embedded import EmbeddedStorage

URL_KEY = "AMMON_TEST_ELASTICSEARCH_URL"
SERVERS = [url.strip() for url in os.environ.get(URL_KEY, "").split(",") if url.strip()]
NO_SERVER = pytest.param("", id="elasticsearch", marks=pytest.mark.skip(reason=f"{URL_KEY} names no server"))
ELASTIC = [pytest.param(url, id=f"elasticsearch-{url}") for url in SERVERS] or [NO_SERVER]

MakeElastic = Callable[..., ElasticStorage]


class Server:
    """A real server, seen past our engine: what stands in it, and how to break it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.prefix = f"t{secrets.token_hex(4)}-"
        self.client = Elasticsearch(url, request_timeout=30)

    def options(self, **more: Any) -> ElasticOptions:
        """The options of an engine on this server."""
        return ElasticOptions(**{"urls": (self.url,), "prefix": self.prefix, **more})

    def storage(self, **more: Any) -> ElasticStorage:
        """An engine on this server."""
        return ElasticStorage(self.options(**more))

    def names(self, index: str = "") -> list[str]:
        """The indices that stand below the prefix."""
        found = self.client.indices.get(index=f"{self.prefix}{index}*", expand_wildcards="all")
        return sorted(found.body)

    def served(self, index: str = "dataset") -> str:
        """The index that the alias points at."""
        (name,) = self.client.indices.get_alias(name=f"{self.prefix}{index}").body
        return str(name)

    def clean(self) -> None:
        """Remove all that the test made, blocks included."""
        names = self.names()
        if names:
            self.client.indices.put_settings(
                index=names, settings={"index.blocks.read_only_allow_delete": None}
            )
            self.client.indices.delete(index=names)
        self.client.close()


@pytest.fixture(params=ELASTIC)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each real server."""
    made = Server(request.param)
    yield made
    made.clean()


@pytest.fixture(params=[pytest.param(None, id="embedded"), *ELASTIC])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    """An empty storage of each engine."""
    if request.param is None:
        yield EmbeddedStorage(tmp_path / "storage")
        return
    made = Server(request.param)
    yield made.storage()
    made.clean()
