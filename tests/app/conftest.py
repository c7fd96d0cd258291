"""One hub for all tests of the application, refreshed once from the example upstream by its command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from app import create_app
from helpers.example_upstream import ExampleUpstream
from tests.app import INDICES, all_items, settings_for


@pytest.fixture(scope="session")
def upstream() -> Iterator[ExampleUpstream]:
    """The three example sites, in good health."""
    with ExampleUpstream() as running:
        yield running


@pytest.fixture
def own_upstream() -> Iterator[ExampleUpstream]:
    """The three example sites for one test, which may make them misbehave."""
    with ExampleUpstream() as running:
        yield running


@pytest.fixture(scope="session")
def hub(upstream: ExampleUpstream, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The application with everything released. Tests only read."""
    app = create_app(settings_for(tmp_path_factory.mktemp("hub"), upstream))
    result = app.test_cli_runner().invoke(args=["refresh"])
    assert result.exit_code == 0, result.output
    return app


@pytest.fixture
def client(hub: Flask) -> FlaskClient:
    """A client of the hub."""
    return hub.test_client()


@pytest.fixture(scope="session")
def records(hub: Flask) -> dict[str, list[dict[str, Any]]]:
    """index -> every record, by name."""
    return {index: all_items(hub.test_client(), index) for index in INDICES}


@pytest.fixture(scope="session")
def empty(upstream: ExampleUpstream, tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """The application before its first refresh."""
    return create_app(settings_for(tmp_path_factory.mktemp("empty"), upstream))
