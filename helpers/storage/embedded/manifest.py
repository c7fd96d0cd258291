"""The one file that says what is released: replaced atomically, so readers see old or new, whole."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from helpers.errors import StorageUnavailable
from helpers.query import Release

FILE = "manifest.json"


@dataclass(frozen=True, slots=True)
class Manifest:
    """Which folder holds each index, under which schema, and what of each source is in it."""

    revision: int = 0
    schema: str = ""
    folders: Mapping[str, str] = field(default_factory=dict)  # index -> folder below the root
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # index -> Tantivy fields
    previous: tuple[str, ...] = ()  # folders of the manifest before, kept for readers that still open them
    releases: Mapping[str, Release] = field(default_factory=dict)


def load(root: Path) -> Manifest | None:
    """The manifest, or None before the first release. Raises `StorageUnavailable`."""
    try:
        raw = orjson.loads((root / FILE).read_bytes())
        return _from_json(raw)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageUnavailable(f"{root / FILE} cannot be read: {error}") from error


def publish(root: Path, manifest: Manifest) -> None:
    """Make a manifest the current one, durably. Raises `OSError` and leaves the old one in place."""
    temporary = root / f"{FILE}.new"
    with temporary.open("wb") as file:
        file.write(orjson.dumps(asdict(manifest), option=orjson.OPT_INDENT_2))
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(root / FILE)
    folder = os.open(root, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _from_json(raw: dict[str, Any]) -> Manifest:
    missing = raw["folders"].keys() - raw["columns"].keys()
    if missing:
        raise ValueError(f"no columns of {', '.join(sorted(missing))}")
    return Manifest(
        revision=raw["revision"],
        schema=raw["schema"],
        folders=dict(raw["folders"]),
        columns={index: tuple(names) for index, names in raw["columns"].items()},
        previous=tuple(raw["previous"]),
        releases={source: Release(**release) for source, release in raw["releases"].items()},
    )
