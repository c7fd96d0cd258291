"""The publications of a neuron page of Hippocampome.org, and its links to ModelDB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qsl, quote, urlsplit

from helpers.providers.hippocampome_cells import Cell, clean, text_of
from helpers.records import Paper

MODELDB: Final = "https://modeldb.science"
OLD_MODELDB: Final = frozenset(
    {"modeldb.yale.edu", "senselab.med.yale.edu", "modeldb.science", "www.modeldb.science"}
)

_YEAR: Final = re.compile(r",\s*((?:18|19|20)\d\d)\b")
_DOI: Final = re.compile(r"\bDOI:\s*(?:https?://(?:dx\.)?doi\.org/)?(10\.\d+/\S+)", re.IGNORECASE)
_PMID: Final = re.compile(r"\bPMID:?\s*([1-9]\d{0,8})\b", re.IGNORECASE)
_ISBN: Final = re.compile(r"\bISBN:?\s*([\dXx][\dXx-]{8,16})", re.IGNORECASE)
_LABELS: Final = re.compile(r"\b(?:PMID|ISBN|DOI|Tags):", re.IGNORECASE)
_TAGS: Final = re.compile(r"\bTags:\s*(.*)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Article:
    """One publication as a page shows it."""

    title: str
    authors: tuple[str, ...]
    reference: str  # "J Neurosci, 1998 May 1, 18 (9), Pages: 3386 - 3403"
    pmid: str | None
    doi: str | None
    isbn: str | None
    tags: tuple[str, ...]

    @property
    def key(self) -> tuple[str, str]:
        """The same for the same publication; chapters of one book share its ISBN."""
        if self.pmid or self.doi:
            return ("pmid", self.pmid) if self.pmid else ("doi", (self.doi or "").casefold())
        return self.isbn or "", self.title.casefold()

    @property
    def paper(self) -> Paper:
        """What a record shows of it."""
        year = _YEAR.search(f", {self.reference}")
        by = " ".join(filter(None, (", ".join(self.authors), f"({year[1]})" if year else "")))
        name = f"PMID {self.pmid}" if self.pmid else f"doi:{self.doi}" if self.doi else self.reference
        label = f"{by} {self.title}".strip() if self.title else f"{by} {name}".strip()
        return Paper(label=label, url=self._url(), pmid=self.pmid, doi=self.doi)

    def _url(self) -> str | None:
        if self.pmid:
            return f"https://pubmed.ncbi.nlm.nih.gov/{self.pmid}/"
        if self.doi:
            return f"https://doi.org/{quote(self.doi, safe='/:;()._-')}"
        return f"https://www.worldcat.org/isbn/{self.isbn}" if self.isbn else None

    def rest(self) -> dict[str, Any]:
        """What a record's paper has no field for."""
        said = {"pmid": self.pmid, "doi": self.doi, "isbn": self.isbn, "title": self.title}
        name = next((key for key, value in said.items() if value), "title")
        entry = {name: said[name], "reference": self.reference, "tags": list(self.tags)}
        if self.isbn:
            entry |= {"isbn": self.isbn, "title": self.title}
        return {key: value for key, value in entry.items() if value}


def listed_articles(cell: Cell) -> Iterator[Article]:
    """The publications of a page's list: one innermost block each."""
    for block in cell.find("div"):
        if block.find(".//div") is None and (article := read_article(block)):
            yield article


def read_article(block: Any) -> Article | None:
    """The publication that a block of a page shows; None where it shows none."""
    text = text_of(block)
    title = next((text_of(node) for node in block.iter("strong")), "")
    if _LABELS.match(title):  # the label of a number: the publication has no title
        title = ""
    authors = [text_of(node) for node in block.iter("a") if "find_author" in (node.get("href") or "")]
    tail = text.removeprefix(title)
    place = 0
    for author in authors:
        if (found := tail.find(author, place)) >= 0:
            place = found + len(author)
    tail = tail[place:].lstrip(" .,")
    labels = _LABELS.search(tail)
    numbers, tags = tail[labels.start() :] if labels else "", _TAGS.search(tail)
    doi, pmid, isbn = _DOI.search(numbers), _PMID.search(numbers), _ISBN.search(numbers)
    article = Article(
        title=title,
        authors=tuple(filter(None, authors)),
        reference=clean(tail[: labels.start()] if labels else tail).strip(" ,;"),
        pmid=pmid[1] if pmid else None,
        doi=doi[1].rstrip(";,.") if doi else None,
        isbn=isbn[1].replace("-", "") if isbn else None,
        tags=tuple(filter(None, map(clean, tags[1].split(",")))) if tags else (),
    )
    return article if article.title or article.pmid or article.doi or article.isbn else None


def unique(articles: Iterable[Article]) -> list[Article]:
    """Each publication once, the first that shows it."""
    found: dict[tuple[str, str], Article] = {}
    for article in articles:
        found.setdefault(article.key, article)
    return list(found.values())


def modeldb_link(url: str) -> str:
    """The address of a model at ModelDB today; other addresses stay what they are.

    The hosts modeldb.yale.edu and senselab.med.yale.edu no longer answer (mcdougallab/modeldb#194, #218).
    """
    parts = urlsplit(url)
    if (parts.hostname or "").lower() not in OLD_MODELDB:
        return url
    asked = next((value for key, value in parse_qsl(parts.query) if key.lower() in ("model", "o")), "")
    model = asked or parts.path.strip("/").rpartition("/")[2]
    return f"{MODELDB}/{model}" if model.isascii() and model.isdecimal() else url
