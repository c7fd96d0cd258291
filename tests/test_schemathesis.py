"""Schemathesis asks every operation of the specification with valid and with invalid data.

A short form: the same few cases every time. For a long search for faults raise `max-examples`, set
`deterministic` to False and let `OneIndex` have all filters.

Its own parametrisation does not work with pytest 9.2 (it sets a `_nodeid` of nodes), so its engine is
asked for one operation at a time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import pytest
from flask import Flask
from schemathesis import engine, openapi
from schemathesis.config import SchemathesisConfig
from schemathesis.engine.events import EngineEvent, FatalError, NonFatalError, ScenarioFinished

from app import create_app
from config.settings import Settings
from helpers.records import INDICES
from routes.specification.document import build
from routes.specification.vocabulary import Vocabulary


class OneIndex(Vocabulary):
    """The names of one index: OpenAPI cannot say that a filter belongs to one of two.

    Filters are all alike, and thousands of requests are made of fifty; so some stand for all. That each of
    them is taken is tested in tests/test_swagger.py.
    """

    FILTERS: ClassVar = {
        "dataset": ("species", "presynaptic.layers", "postsynaptic.layers"),
        "model": ("species", "channels"),
    }

    def __init__(self, index: str) -> None:
        super().__init__([index])
        self.filters = self.FILTERS[index]


DOCUMENTS = {index: build("0", OneIndex(index)) for index in INDICES}
CHECKS = {
    # A valid query string may be too long for a request line (414), a valid id unknown (404).
    "positive_data_acceptance": {"expected-statuses": ["2xx", "404", "414"]},
    "negative_data_rejection": {"expected-statuses": ["400", "404", "405", "414", "415"]},
}


def operations() -> Iterator[Any]:
    """(index, operationId) of everything; what asks no index comes once."""
    for index in INDICES:
        for path, methods in DOCUMENTS[index]["paths"].items():
            for operation in methods.values():
                if "{index}" in path or index == "model":
                    name = operation["operationId"]
                    yield pytest.param(index, name, id=f"{name}-{index}" if "{index}" in path else name)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Flask:
    """A hub that holds the example records of the internal source."""
    off: Any = {"enabled": False}
    folder = tmp_path_factory.mktemp("hub")
    made = create_app(
        Settings(data_dir=folder, log_level="ERROR", neuromorpho=off, hippocampome=off, modeldb=off)
    )
    result = made.test_cli_runner().invoke(args=["refresh", "internal"])
    assert result.exit_code == 0, result.output
    return made


def faults(event: EngineEvent) -> Iterator[str]:
    """What an event of the engine has against the application, with the request that shows it."""
    if isinstance(event, NonFatalError):
        yield f"{event.label}: {event.value!r}"
    if isinstance(event, FatalError):
        yield repr(event.exception)
    if not isinstance(event, ScenarioFinished):
        return
    for case, checks in event.recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                request = event.recorder.interactions[case].request
                body = (request.body or b"")[:2_000].decode("utf-8", "replace")
                sent = f"{request.method} {request.uri[:2_000]} {body}"
                yield f"{check.name} ({event.phase.value}): {sent}\n{check.failure_info.failure}"


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # schemathesis closes no answer
@pytest.mark.parametrize(("index", "operation"), [*operations()])
def test_answers_are_as_the_specification_says(app: Flask, index: str, operation: str) -> None:
    # In a query string all is text: a number, an object or nothing where a list of texts is asked for is one
    # when it arrives, and schemathesis sees that for some parameters only. Bounds are tried by the coverage.
    fuzzing = {"negative_data_rejection": {"enabled": not operation.startswith("get")}}
    config = {
        "generation": {"max-examples": 12, "deterministic": True, "database": "none"},
        "phases": {"stateful": {"enabled": False}, "fuzzing": {"checks": fuzzing}},
        "checks": CHECKS,
    }
    schema = openapi.from_dict(DOCUMENTS[index], config=SchemathesisConfig.from_dict(config))
    schema.app = app
    asked = 0
    found: list[str] = []
    for event in engine.from_schema(schema.include(operation_id=operation)).execute():
        found.extend(faults(event))
        asked += len(event.recorder.interactions) if isinstance(event, ScenarioFinished) else 0
    assert not found, "\n\n".join(found[:5])
    assert asked, "nothing was asked"
