"""A folder of own files: what `folder.toml` says, and which of its files may be named and served.

Only regular files below the folder, of the types that tables may name, are ever given out: nothing hidden,
neither the tables nor `folder.toml`, and nothing that a `..` or a symbolic link reaches outside.
"""

from __future__ import annotations

import hashlib
import logging
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from helpers.errors import InvalidItem, NotFound, UpstreamChanged
from helpers.records import NonEmpty, Strings

log = logging.getLogger(__name__)

FOLDER_FILE: Final = "folder.toml"
KINDS: Final = ("morphology", "electrophysiology", "connection", "model")
TABLES: Final = tuple(f"{kind}{suffix}" for kind in KINDS for suffix in (".csv", ".json"))
IMAGES: Final = frozenset({".png", ".jpg", ".jpeg", ".gif", ".webp"})  # no SVG: it may run scripts
TEXTS: Final = frozenset({".txt", ".md", ".log"})
FILE_TYPES: Final = {  # of the column `file`
    "morphology": frozenset({".swc", ".asc"}),
    "electrophysiology": frozenset({".abf", ".csv"}),
    "connection": frozenset({".csv"}),
    "model": frozenset({".zip", ".mod"}),
}
LINK_TYPES: Final = {  # of the other columns that name files
    "icon": IMAGES,
    "standard_link": frozenset({".swc"}),
    "original_link": frozenset({".swc", ".asc"}),
    "log_link": TEXTS,
    "metadata": frozenset({".json"}),
    "readme_link": TEXTS,
    "model_files": frozenset({".mod"}),
}
SERVED: Final = frozenset().union(*FILE_TYPES.values(), *LINK_TYPES.values())
_PIECE_BYTES: Final = 1024 * 1024

Host = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$", max_length=253)]


class FolderFile(BaseModel):
    """What holds for the whole folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: NonEmpty | None = None  # of the lab; the `archive` of morphologies without one
    hosts: tuple[Host, ...] = ()  # that http(s) URLs of files may point to
    licence: NonEmpty | None = None  # of rows without one
    citations: Strings = ()  # of rows without any


def read_folder_file(folder: Path) -> FolderFile:
    """The folder's `folder.toml`; absent means empty. Raises `UpstreamChanged` naming line or key."""
    try:
        content: dict[str, Any] = tomllib.loads((folder / FOLDER_FILE).read_text("utf-8-sig"))
        return FolderFile.model_validate(content)
    except FileNotFoundError:
        return FolderFile()
    except ValidationError as error:
        raise UpstreamChanged(f"{FOLDER_FILE}: {_keys_of(error)}") from error
    except OSError as error:
        raise UpstreamChanged(f"{FOLDER_FILE} cannot be read: {error.strerror}") from error
    except ValueError as error:  # no UTF-8, or no TOML: the message names the line
        raise UpstreamChanged(f"{FOLDER_FILE} is no valid TOML: {error}") from error


def _keys_of(error: ValidationError) -> str:
    allowed = ", ".join(FolderFile.model_fields)
    return "; ".join(
        f"unknown key {item['loc'][0]!r}, allowed are {allowed}"
        if item["type"] == "extra_forbidden"
        else f"key {item['loc'][0]!r}: {item['msg']}, got {item['input']!r}"
        + (" (a bare host such as 'files.example.org')" if item["loc"][0] == "hosts" else "")
        for item in error.errors(include_url=False)
    )


def declared_hosts(folder: Path) -> frozenset[str]:
    """The hosts that URLs of own files may point to.

    A folder or `folder.toml` that is absent or broken declares none: that must not stop the downloads of
    other sources, and the refresh of this one says what is wrong.
    """
    try:
        return frozenset(read_folder_file(folder).hosts)
    except UpstreamChanged as error:
        log.warning("internal: no host is declared: %s", error)
        return frozenset()


def local_file(folder: Path, relative: str) -> Path:
    """The regular file below the folder that a relative path names, resolved.

    Raises `NotFound` for anything else: absent, outside, hidden, of a type that no table may name, and for
    the tables and `folder.toml` themselves.
    """
    try:
        return resolve(folder, relative, SERVED)
    except InvalidItem as error:
        raise NotFound(f"no file {relative[:200]!r} among the own files") from error


def resolve(folder: Path, relative: str, types: Iterable[str]) -> Path:
    """As `local_file`, for these file types only. Raises `InvalidItem` with the reason."""
    path = PurePosixPath(relative)
    if path.is_absolute() or ".." in path.parts or re.match(r"[A-Za-z]:", relative):
        raise InvalidItem(f"{relative!r} is outside the folder; give a path relative to it, without '..'")
    _check_type(relative, path.suffix, types)
    root = folder.resolve()
    try:
        target = (root / path).resolve(strict=True)
        regular = target.is_file()
    except (OSError, ValueError, RuntimeError) as error:  # absent, a NUL or lone surrogate, a loop of links
        hint = "; write / between folders, not \\" if "\\" in relative else ""
        raise InvalidItem(f"there is no file {relative!r} in the folder{hint}") from error
    if not target.is_relative_to(root):
        raise InvalidItem(f"{relative!r} leads outside the folder by a symbolic link")
    inside = target.relative_to(root)
    if not regular:
        raise InvalidItem(f"{relative!r} is no regular file")
    if any(part.startswith(".") for part in (*path.parts, *inside.parts)):
        raise InvalidItem(f"{relative!r} is hidden")
    if str(inside).lower() in (*TABLES, FOLDER_FILE):
        raise InvalidItem(f"{relative!r} is a table or {FOLDER_FILE} itself")
    _check_type(relative, target.suffix, types)
    return target


def _check_type(shown: str, suffix: str, types: Iterable[str]) -> None:
    if suffix.lower() not in types:
        raise InvalidItem(
            f"{shown!r} is of a type that is not allowed here; allowed: {', '.join(sorted(types))}"
        )


def find(folder: Path, cell: str, types: Iterable[str], hosts: Iterable[str]) -> dict[str, Any]:
    """What a cell names: `{"path", "size", "sha256"}` of a file of the folder, or `{"url"}`.

    Reads the file once, in constant memory. Raises `InvalidItem` with the reason.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", cell):
        return {"url": _checked_url(cell, types, hosts)}
    path = resolve(folder, cell, types)
    try:
        size, digest = _identity(path)
    except OSError as error:
        raise InvalidItem(f"{cell!r} cannot be read: {error.strerror}") from error
    if not size:
        raise InvalidItem(f"{cell!r} is an empty file")
    return {"path": str(PurePosixPath(cell)), "size": size, "sha256": digest}


def _identity(path: Path) -> tuple[int, str]:
    size, digest = 0, hashlib.sha256()
    with path.open("rb") as handle:
        while piece := handle.read(_PIECE_BYTES):
            size += len(piece)
            digest.update(piece)
    return size, digest.hexdigest()


def _checked_url(url: str, types: Iterable[str], hosts: Iterable[str]) -> str:
    parts = checked_parts(url)
    allowed = sorted(hosts)
    if parts[0] not in allowed:
        raise InvalidItem(f"the host of {url!r} is not declared; {FOLDER_FILE} declares hosts = {allowed}")
    suffix = PurePosixPath(unquote(parts[1])).suffix
    if suffix:  # an address without an ending may still answer a file
        _check_type(url, suffix, types)
    return url


def checked_parts(url: str) -> tuple[str, str]:
    """Host and path of an http(s) URL. Raises `InvalidItem` for anything that is none."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InvalidItem(f"{url!r} is no URL: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise InvalidItem(f"{url!r} is no http or https URL")
    if parts.username is not None or re.search(r"[\s\\\x00-\x20\x7f]", url):
        raise InvalidItem(f"{url!r} must hold neither a user name nor white space or a backslash")
    return host, parts.path
