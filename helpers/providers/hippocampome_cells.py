"""The tables of a neuron page of Hippocampome.org as a flat list of values, each under its headings.

The pages are HTML 4 without ids, with unclosed and surplus tags, so nothing here depends on how tables
nest. Three classes carry the meaning, in document order: `table_neuron_page3` is a section's title,
`table_neuron_page1` a sub-heading and `table_neuron_page2` a value (seen in November 2026). Where a row has
several sub-headings, a value belongs to that of its column.
"""

from __future__ import annotations

import html as entities
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import quote, urljoin, urlsplit

import lxml.etree
import lxml.html

from helpers.errors import InvalidItem

PREFIX: Final = "table_neuron_page"
SECTION, HEADING, VALUE = "3", "1", "2"
MAX_COLUMNS: Final = 64  # no table has more than four
SILENT: Final = frozenset({"script", "style", "head", "noscript"})
BREAKS: Final = frozenset({"br", "div", "p", "li", "ul", "ol", "tr", "td", "th", "table", "span"})
CONTROLS: Final = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if not chr(code).isspace()}

_TITLE: Final = re.compile(r"<title[^>]{0,200}>([^<]{0,2000})</title", re.IGNORECASE)
_CAPTION: Final = re.compile(r"neuron type\s*-?\s*(.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Cell:
    """One value. `element` is its part of the document; nested values are not of its text."""

    section: str  # folded title of its section, "" before the first
    heading: str  # folded sub-heading, "" where its section has none
    label: str  # its innermost heading, as written
    row: int  # values of one table row have the same
    text: str
    element: Any

    def find(self, *tags: str) -> list[Any]:
        """Its elements of some tags, in document order."""
        return [node for event, node in visible(self.element) if event == "start" and node.tag in tags]


@dataclass(frozen=True, slots=True)
class Sheet:
    """A neuron page, read."""

    nickname: str | None  # of the page's title
    headings: frozenset[tuple[str, str]]  # folded (section, sub-heading) that the page has, also empty ones
    cells: tuple[Cell, ...]  # never empty ones
    images: tuple[tuple[str, str], ...]  # (folded section, URL as written)
    quotes: tuple[tuple[str, str], ...]  # (folded section, emphasised text)

    def under(self, section: str, heading: str | None = None) -> list[Cell]:
        """The values of a section, or of one of its sub-headings."""
        return [
            cell
            for cell in self.cells
            if cell.section == section and (heading is None or cell.heading == heading)
        ]


def clean(text: str | None) -> str:
    """A text with single blanks; what is no character of a text shows as U+FFFD."""
    return " ".join((text or "").split()).translate(CONTROLS)


def fold(text: str) -> str:
    """A heading as it is compared: without case, final colon and doubled blanks."""
    return clean(text).rstrip(" :").casefold()


def absolute(page_url: str, target: str | None) -> str | None:
    """The URL of a link of a page, made safe to ask for; None for what is no web address."""
    try:
        url = urljoin(page_url, (target or "").strip())
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.netloc or not target:
        return None
    return quote(url, safe="%/:?=&#+,;@!$'()*[]~")


def title_of(html: str) -> str:
    """The text of a page's first title, "" without one."""
    match = _TITLE.search(html)
    return clean(entities.unescape(match[1])) if match else ""


def nickname_of(html: str) -> str | None:
    """The nickname in a neuron page's title; "" in the shell for an unknown id, None in another page."""
    match = _CAPTION.fullmatch(title_of(html))
    return match[1] if match else None


def visible(element: Any) -> Iterator[tuple[str, Any]]:
    """(start or end, node) of an element's own content: without scripts, and without values nested in it."""
    walk = lxml.etree.iterwalk(element, events=("start", "end"))
    skipped = None
    for event, node in walk:
        if node is skipped:
            skipped = None
        elif event == "start" and node is not element and (node.tag in SILENT or _kind(node)):
            skipped = node
            walk.skip_subtree()
            yield "skip", node
            continue
        yield event, node


def text_of(element: Any) -> str:
    """The text that an element shows."""
    pieces: list[str] = []
    for event, node in visible(element):
        if node.tag in BREAKS:
            pieces.append(" ")
        if event == "start":
            pieces.append(node.text or "")
        elif event == "end" and node is not element:
            pieces.append(node.tail or "")
    return clean("".join(pieces))


def read_sheet(html: str) -> Sheet:
    """The values of a page under their headings. Raises `InvalidItem` for what is no HTML."""
    parser = lxml.html.HTMLParser(encoding="utf-8", huge_tree=True, remove_comments=True, remove_pis=True)
    content = html.translate(CONTROLS).encode("utf-8", "replace")
    try:
        root = lxml.html.document_fromstring(content, parser=parser)
    except lxml.etree.ParserError as error:
        raise InvalidItem(f"no HTML: {error}") from error
    reader = _Reader()
    for node in root.iter("td", "th", "img", "em"):
        reader.take(node)
    return Sheet(
        nickname_of(html) or None,
        frozenset(reader.headings),
        tuple(reader.cells),
        tuple(reader.images),
        tuple(reader.quotes),
    )


class _Reader:
    """Goes through a page from its start, and remembers the latest headings."""

    def __init__(self) -> None:
        self.headings: set[tuple[str, str]] = set()
        self.cells: list[Cell] = []
        self.images: list[tuple[str, str]] = []
        self.quotes: list[tuple[str, str]] = []
        self._title = ""
        self._columns: list[tuple[int, str]] = []
        self._heading_row: Any = None
        self._row: Any = None
        self._rows = 0

    def take(self, node: Any) -> None:
        if node.tag == "img":
            self.images.append((fold(self._title), node.get("src") or ""))
        elif node.tag == "em" and node.find(".//em") is None:
            self.quotes.append((fold(self._title), text_of(node)))
        elif (kind := _kind(node)) == SECTION:
            self._section(text_of(node))
        elif kind == HEADING and node.find(".//div") is None:  # else it is the list of articles
            self._heading(node, text_of(node))
        elif kind:
            self._value(node, text_of(node))

    def _section(self, title: str) -> None:
        if title:  # an empty one stands at the end of a section
            self._title, self._columns = title, []
            self.headings.add((fold(title), ""))

    def _heading(self, node: Any, text: str) -> None:
        if not text:
            return
        if node.getparent() is not self._heading_row:
            self._heading_row, self._columns = node.getparent(), []
        if len(self._columns) < MAX_COLUMNS:
            self._columns.append((_column(node), text))
        self.headings.add((fold(self._title), fold(text)))

    def _value(self, node: Any, text: str) -> None:
        if node.getparent() is not self._row:
            self._row, self._rows = node.getparent(), self._rows + 1
        heading = self._heading_of(_column(node))
        cell = Cell(fold(self._title), fold(heading), heading or self._title, self._rows, text, node)
        if text or cell.find("img", "a"):
            self.cells.append(cell)

    def _heading_of(self, column: int) -> str:
        before = [text for place, text in self._columns if place <= column]
        after = [text for _, text in self._columns]
        return before[-1] if before else after[0] if after else ""


def _kind(node: Any) -> str | None:
    """Which of the three a table cell is, if any."""
    if node.tag not in ("td", "th"):
        return None
    for name in (node.get("class") or "").split():
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) in (SECTION, HEADING, VALUE):
            return str(name.removeprefix(PREFIX))
    return None


def _column(node: Any) -> int:
    before = node.itersiblings("td", "th", preceding=True)
    return sum(1 for _ in islice(before, MAX_COLUMNS))
