"""What every provider is: a declaration of its source, a `fetch`, and a pure `normalise`.

How to add a source: docs/adding-a-source.md.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar

from helpers.http import HTTPClient
from helpers.records import INDICES, Record


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """A source as it declares itself."""

    key: str  # in configuration, `/sources`, provenance: "neuromorpho"
    id_prefix: str = ""  # of `source_id`, where it is not the key: "model_db"
    title: str  # shown to people: "NeuroMorpho.Org"
    url: str  # home page
    api_docs: str
    licence: str | None
    citations: tuple[str, ...]  # what must be cited besides a record's own papers
    indices: frozenset[str] = frozenset(INDICES)  # that its records go to
    hosts: frozenset[str] = field(default_factory=frozenset)  # beside the base URL's: where its files lie

    def source_id(self, bare_id: str) -> str:
        """The id over all sources of an item of this one."""
        return f"{self.id_prefix or self.key}-{bare_id}"


@dataclass(frozen=True, slots=True)
class Raw:
    """One item as its source gave it. `data` is plain JSON, so that it can be archived."""

    id: str  # the source's bare id, for messages
    data: Any
    base: str  # base URL that it came from, without a slash at the end


@dataclass(frozen=True, slots=True)
class Unfetched:
    """One item that the source names but did not give; it goes to quarantine."""

    id: str
    reason: str
    lost: int = 0  # how many items, of ids that nobody knows, never came


Report = Callable[[int], None]  # called with the number of items to expect, once it is known


class Provider(ABC):
    """One source. Constructed by `app.py` with its HTTP client and what to select."""

    about: ClassVar[About]
    client: HTTPClient | None = None  # of the sources that are asked over the network

    @abstractmethod
    def fetch(self, report: Report) -> Iterator[Raw | Unfetched]:
        """Yield every item in scope, page by page, in constant memory. The only part that does I/O.

        Raises `UpstreamError` when the source cannot be read to its end: what was released stays.
        """

    @staticmethod
    @abstractmethod
    def normalise(raw: Raw) -> Record:
        """One item as one record: pure. Raises `InvalidItem` or `ValueError` with the reason."""
