"""The example Hippocampome.org: its search by query and its pages of neuron types, with made-up knowledge."""

from __future__ import annotations

import json
from pathlib import Path

from helpers.example_upstream import cells, type_query
from helpers.example_upstream.messages import Ask, Reply, html, plain
from helpers.example_upstream.pages import EMPTY_PAGE, neuron_page
from helpers.example_upstream.site import Route, Site
from helpers.example_upstream.type_query import NeuronType

Entry = dict[str, str]


class Hippocampome(Site):
    """Neuron types and the connections between them."""

    key, host = "hippocampome", "hippocampome.org"

    def __init__(self, data: Path, huge_bytes: int) -> None:
        routes = (
            Route("/php/search_engine_json.php", self._search),
            Route("/php/neuron_page.php", self._page),
            Route("/php/attachment/(.+)", self._picture, file=True),
        )
        super().__init__(routes, huge_bytes)
        fixture = json.loads((data / "neuron_types.json").read_text("utf-8"))
        self._types: dict[str, NeuronType] = {str(item["id"]): item for item in fixture["types"]}
        self._connections = sorted((str(one), str(other)) for one, other in fixture["connections"])
        self._pictures = {
            *(f"morph/{item['figure']['file']}" for item in fixture["types"] if "figure" in item),
            *(f"fp/{name}" for item in fixture["types"] for name in item.get("firing_images", ())),
        }

    def _search(self, ask: Ask) -> Reply:
        query = ask.first("query_str").strip()
        if not query:
            return html("")
        try:
            found = type_query.run(query, list(self._types.values()))
        except ValueError:
            return html("", 500)
        shown = set(self.shrunk(list(self._types)))
        if found.postsynaptic is None:  # only types that a connection starts from are found
            ids = sorted({source for source, _ in self._connections} & found.types & shown)
            entries = [self._entry("source", key) for key in ids]
        else:
            entries = [
                self._entry("source", source) | self._entry("destination", target)
                for source, target in self._connections
                if source in found.types & shown and target in found.postsynaptic & shown
            ]
        return self._listed(entries, "".join(found.printed))

    def _listed(self, entries: list[Entry], printed: str) -> Reply:
        """An object by running number; a list when there is nothing."""
        entries = self.doubled(entries, 1)
        if entries:
            entries[0] = self.stripped(entries[0])
        numbered = {str(number): entry for number, entry in enumerate(entries, 1)}
        body = json.dumps(numbered or [], separators=(",", ":")).replace("/", "\\/")
        return Reply((printed + body).encode(), kind="application/json;charset=utf-8")

    def _entry(self, end: str, key: str) -> Entry:
        return {f"{end}_id": key, f"{end}_name": self._types[key]["name"]}

    def _page(self, ask: Ask) -> Reply:
        key, shown = ask.first("id"), self.shrunk(list(self._types))
        if key not in shown:
            return html(EMPTY_PAGE)
        place = shown.index(key)
        if self.fails_at(place):
            return plain("Internal Server Error", 500)
        sources = [self._types[one] for one, other in self._connections if other == key]
        targets = [self._types[other] for one, other in self._connections if one == key]
        page = neuron_page(self._types[key], sources, targets)
        if self.fault.mode == "huge" and place == 0:
            page += f"<!-- {'x' * self.huge_bytes} -->"
        return html(page)

    def _picture(self, ask: Ask, name: str) -> Reply | None:
        return Reply(cells.png(128), kind="image/png") if name in self._pictures else None
