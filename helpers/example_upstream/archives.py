"""The archives of the example ModelDB, made from a few words about each model."""

from __future__ import annotations

import io
import zipfile
from pathlib import PurePosixPath
from typing import Final

from helpers.example_upstream.messages import Item

SYMLINK, FILE = 0o120777, 0o100644
OUTSIDE: Final = ("../../outside.mod", "/absolute.mod", "..\\..\\windows.mod")
DATE: Final = (2020, 1, 1, 0, 0, 0)
_MECHANISM = """TITLE {name}
: Made-up example mechanism.

NEURON {{
    SUFFIX {name}
    NONSPECIFIC_CURRENT i
    RANGE g, e
}}

PARAMETER {{
    g = 0.001 (S/cm2)
    e = -70 (mV)
}}

ASSIGNED {{
    v (mV)
    i (mA/cm2)
}}

BREAKPOINT {{
    i = g * (v - e)
}}
"""


def files_of(entry: Item) -> dict[str, bytes]:
    """Path -> content of a model's archive; the fixture names the paths below the top folder."""
    top = entry.get("folder", str(entry["id"]))
    paths = entry.get("files", ["readme.txt"])
    return {
        (path if path.startswith("__MACOSX/") else f"{top}/{path}"): _content(path, entry) for path in paths
    }


def _content(path: str, entry: Item) -> bytes:
    name, ending = PurePosixPath(path).stem, PurePosixPath(path).suffix
    if "__MACOSX" in path:
        return b"\x00\x05\x16\x07"  # the start of an AppleDouble file
    if ending == ".mod":
        return _MECHANISM.format(name=name).encode()
    if ending in (".html", ".htm"):
        return f"<html><body><h1>{entry['name']}</h1></body></html>\n".encode()
    return f"{entry['name']}\r\n\r\n{entry.get('notes', '')}\r\n".encode()


def packed(files: dict[str, bytes], fault: str, bomb_bytes: int) -> bytes:
    """The files as a zip; under `zip_traversal` and `zip_bomb` with members that mean harm."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(_member(name), content)
        if fault == "zip_traversal":
            for name in OUTSIDE:
                archive.writestr(_member(name), b"NEURON { SUFFIX escaped }\n")
            archive.writestr(_member("link.mod", SYMLINK), b"/etc/passwd")
        if fault == "zip_bomb":
            with archive.open(_member("bomb.mod"), "w") as bomb:
                for start in range(0, bomb_bytes, 1 << 20):
                    bomb.write(bytes(min(1 << 20, bomb_bytes - start)))
    return out.getvalue()


def _member(name: str, mode: int = FILE) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, date_time=DATE)
    info.external_attr, info.compress_type = mode << 16, zipfile.ZIP_DEFLATED
    return info
