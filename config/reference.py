"""The tables of docs/configuration.md, made from the classes so that they cannot go stale.

`python -m config.reference` writes them into the page; a test compares. A table stands between
`<!-- keys: neuromorpho -->` (the group; `ammon` for the keys of no source) and `<!-- end -->`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from config.keys import KEYS, Key
from config.settings import SOURCES
from config.shown import shown
from config.values import PROJECT_ROOT

PAGE: Final = PROJECT_ROOT / "docs" / "configuration.md"
TABLE: Final = re.compile(r"(<!-- keys: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD: Final = "| Key | Meaning | Default | Allowed | Environment |\n|---|---|---|---|---|\n"


def filled(page: str) -> str:
    """The page with every table made anew. Raises `ValueError` for a group that has no keys."""
    return TABLE.sub(lambda match: f"{match[1]}{table(match[2])}{match[3]}", page)


def table(group: str) -> str:
    """The keys of a source, or of `ammon`, as a table in Markdown with one row each."""
    rows = "".join(f"{_row(key, group)}\n" for key in keys_of(group))
    if not rows:
        raise ValueError(f"{group!r} has no keys: ammon, {', '.join(SOURCES)} are allowed")
    return HEAD + rows


def keys_of(group: str) -> Iterator[Key]:
    """The keys that the file of a source describes, or `ammon.toml` for the group `ammon`."""
    for key in KEYS.values():
        if (key.path[0] if key.path[0] in SOURCES else "ammon") == group:
            yield key


def default_text(key: Key) -> str:
    """The default as it would stand in a file, or in words where it depends on something else."""
    if key.rule.default is not None:
        return key.rule.default
    return f"`{shown(key.info.get_default())}`"


def _row(key: Key, group: str) -> str:
    name = key.name.removeprefix(f"{group}.")
    cells = (f"`{name}`", key.meaning, default_text(key), key.rule.allowed, f"`{key.variables[0]}`")
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def write(page: Path = PAGE) -> None:
    """Make the tables of the page on disk anew."""
    page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write()
