"""The lab's own files, as the internal source lists them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from injector import inject, singleton

from helpers.errors import NotFound


@dataclass(frozen=True, slots=True)
class OwnFiles:
    """Finds a file of the internal source by its relative path; None where that source is off."""

    find: Callable[[str], Path] | None


@singleton
class FileService:
    """Serves what the internal source would serve, and nothing else."""

    @inject
    def __init__(self, files: OwnFiles) -> None:
        self._files = files

    def internal(self, name: str) -> Path:
        """The file on disk. Raises `NotFound`."""
        if self._files.find is None:
            raise NotFound(f"there is no file {name!r}: the source internal is off")
        return self._files.find(name)
