"""Fixtures that several test files share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.file_server import FileServer, running


@pytest.fixture
def server() -> Iterator[FileServer]:
    """A file server on the loopback whose answers the test decides."""
    with running() as served:
        yield served


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.levelname} {record.getMessage()}")


@pytest.fixture
def log_lines() -> Iterator[list[str]]:
    """What the services log, also where the application has taken over their loggers."""
    logger, handler = logging.getLogger("services"), _Lines()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.setLevel(before)
    logger.removeHandler(handler)
