"""File names that every system can unpack, and that differ from each other on every system."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

MAX_BYTES: Final = (
    150  # of one name in UTF-8: leaves room for folders below the limits of 255 bytes and 260 letters
)
MAX_EXTENSION_BYTES: Final = 20  # what is longer is no extension
MAX_ID_BYTES: Final = 100  # of a record's id within a name

_FORBIDDEN: Final = frozenset('<>:"|?*/\\')
_SEPARATORS: Final = frozenset({"Zl", "Zp"})
_RESERVED: Final = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³"}
)
_EDGES: Final = re.compile(r"^[\s.]+|[\s.]+$")


def safe_name(name: str, fallback: str = "file") -> str:
    """A name of one path part that Linux, macOS and Windows accept, at most `MAX_BYTES` long, never empty.

    The extension is kept. Rules of Windows:
    https://learn.microsoft.com/windows/win32/fileio/naming-a-file
    """
    cleaned = _EDGES.sub("", "".join(map(_safe_letter, unicodedata.normalize("NFC", name))))
    if not cleaned:
        cleaned = safe_name(fallback) if fallback != "file" else "file"
    if cleaned.partition(".")[0].rstrip().casefold() in _RESERVED:
        cleaned = f"_{cleaned}"
    return joined(*split(cleaned))


def split(name: str) -> tuple[str, str]:
    """(stem, extension with its dot); the extension is empty where there is none."""
    stem, dot, extension = name.rpartition(".")
    if not stem or not extension or len(extension.encode()) >= MAX_EXTENSION_BYTES:
        return name, ""
    return stem, dot + extension


def joined(stem: str, extension: str, suffix: str = "") -> str:
    """Stem, suffix and extension as one name; the stem is cut so that it fits."""
    room = MAX_BYTES - len((suffix + extension).encode())
    return _EDGES.sub("", cut(stem, room) + suffix + extension)


def cut(text: str, size: int) -> str:
    """The beginning of a text that takes at most `size` bytes in UTF-8, letters whole."""
    return text.encode()[: max(0, size)].decode(errors="ignore")


def _safe_letter(letter: str) -> str:
    # Control, format (text direction), surrogate, private and unassigned code points hide what a name is.
    category = unicodedata.category(letter)
    unsafe = letter in _FORBIDDEN or category.startswith("C") or category in _SEPARATORS
    return "_" if unsafe else letter


class UniqueNames:
    """Hands out safe names, no two of which are one file where letter case does not count."""

    def __init__(self, reserved: Iterable[str] = ()) -> None:
        # Hashes, not texts, so that 300,000 names take 20 MB: a false match only makes a name longer.
        self._taken = {_key(name) for name in reserved}
        self._repeated = 1

    def take(self, name: str, record_id: str) -> str:
        """The name made safe; when it is taken, with the record's id, then with a number."""
        free = safe_name(name, record_id)
        stem, extension = split(free)
        suffix = "_" + cut(safe_name(record_id), MAX_ID_BYTES)
        if _key(free) in self._taken:
            free = joined(stem, extension, suffix)
        while _key(free) in self._taken:
            self._repeated += 1  # never counts from the start again: that would take quadratic time
            free = joined(stem, extension, f"{suffix}_{self._repeated}")
        self._taken.add(_key(free))
        return free


def _key(name: str) -> int:
    return hash(unicodedata.normalize("NFC", name.casefold()))
