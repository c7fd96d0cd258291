"""The engines that the contract is tested on."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers.storage.base import Storage
from helpers.storage.embedded import EmbeddedStorage


@pytest.fixture(params=["embedded"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Storage:
    """An empty storage of each engine."""
    assert request.param == "embedded"
    return EmbeddedStorage(tmp_path / "storage")
