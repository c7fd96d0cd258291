"""The version of Ammon, which stands in the top-level file `VERSION` and nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from config.values import PROJECT_ROOT

VERSION_PATTERN: Final = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]*")


def read_version(root: Path = PROJECT_ROOT) -> str:
    """The text of `VERSION`, such as `1.2.0`.

    Raises `OSError` when the file cannot be read and `ValueError` when it holds no version.
    """
    path = root / "VERSION"
    version = path.read_text(encoding="utf-8", errors="replace").strip()
    if not VERSION_PATTERN.fullmatch(version):
        raise ValueError(f"{path} holds {version[:80]!r}: one version such as 1.2.0 is allowed")
    return version
