"""What one ModelDB zip holds: files, readme and `.mod` list, from its central directory alone. Pure.

No member is ever inflated or written, so that a zip bomb or a member `../x` can do nothing. Members that do
not belong to the model (outside its folder, symbolic links, litter of macOS) are left out, and the note says
so. Paths stay as the zip spells them, since `/getModelFile` knows them by these; only `\\` becomes `/`.
"""

from __future__ import annotations

import io
import itertools
import re
import stat
import struct
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import quote

MAX_MEMBERS: Final = 50_000  # that are looked at
MAX_FILES: Final = 5_000  # that are listed
MAX_QUOTED: Final = 3_000  # characters of a path in an URL
NAMED: Final = 3  # members of a kind that a note names

_ENTRY: Final = b"PK\x01\x02"  # starts each entry of the central directory
_README: Final = re.compile(r"(?:read[ _-]?me|index(?=\.html?$)).*", re.IGNORECASE)
_READABLE: Final = (".html", ".htm", ".txt", ".md", "", ".rst", ".pdf", ".rtf", ".doc", ".docx")  # best first
_LITTER: Final = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_DRIVE: Final = re.compile(r"[A-Za-z]:")


def listing(content: bytes) -> dict[str, Any]:
    """`{"files": [{"path", "size"}], "note": str | None, "exists": bool}` of a zip, files by path.

    `size` is in bytes, as the zip claims. Content that is no zip has no files and a note.
    """
    if content.count(_ENTRY) > MAX_MEMBERS:  # each costs memory to read
        return {"files": [], "note": f"the zip has more than {MAX_MEMBERS:,} members", "exists": True}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, struct.error, EOFError, OSError) as error:
        return {"files": [], "note": f"the archive is no readable zip: {error}"[:300], "exists": False}
    files, left_out = _sorted_out(members)
    notes = []
    if left_out:
        notes.append("left out: " + ", ".join(itertools.starmap(_told, left_out.items())))
    if len(files) > MAX_FILES:
        notes.append(f"the first {MAX_FILES:,} of {len(files):,} files are listed")
    listed = [{"path": path, "size": files[path]} for path in sorted(files)[:MAX_FILES]]
    return {"files": listed, "note": "; ".join(notes) or None, "exists": True}


def readme(paths: Iterable[str]) -> str | None:
    """The readme: the outermost one, a readable format first; `index.html` where there is no other."""
    ranked = [(_rank(path), path) for path in paths if _README.fullmatch(PurePosixPath(path).name)]
    return min(((rank, path) for rank, path in ranked if rank is not None), default=(None, None))[1]


def mod_files(paths: Iterable[str]) -> tuple[str, ...]:
    """The NMODL files, from any folder."""
    return tuple(path for path in paths if path.lower().endswith(".mod"))


def _rank(path: str) -> tuple[bool, int, int] | None:
    place = PurePosixPath(path)
    ending = place.suffix.lower()
    if ending not in _READABLE:
        return None
    return place.name.lower().startswith("index"), len(place.parts), _READABLE.index(ending)


def _told(reason: str, paths: Sequence[str]) -> str:
    """ "2 outside the model's folder ('../x', '/y')"."""
    named = ", ".join(repr(path[:100]) for path in paths[:NAMED])
    return f"{len(paths)} {reason} ({named}{', …' if len(paths) > NAMED else ''})"


def _sorted_out(members: Sequence[zipfile.ZipInfo]) -> tuple[dict[str, int], dict[str, list[str]]]:
    """Sizes by path of what belongs to the model, and paths by reason of what does not."""
    files: dict[str, int] = {}
    left_out: dict[str, list[str]] = {}
    for member in members:
        path = member.filename.replace("\\", "/")
        objection = _objection(member, path)
        if objection is None and path in files:
            objection = "of a path that came before"
        if objection is not None:
            left_out.setdefault(objection, []).append(path)
        elif not path.endswith("/"):
            files[path] = member.file_size
    return files, left_out


def _objection(member: zipfile.ZipInfo, path: str) -> str | None:
    """Why a member is not one of the model's files; None when it is one, or a plain folder."""
    parts = path.split("/")
    if not path or _CONTROL.search(member.orig_filename):
        return "without a usable name"
    if ".." in parts or path.startswith("/") or _DRIVE.match(path):
        return "outside the model's folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "symbolic link"
    if "__MACOSX" in parts or parts[-1] in _LITTER or parts[-1].startswith("._"):
        return "litter of a file manager"
    if len(quote(path)) > MAX_QUOTED:
        return "with too long a name"
    return None
