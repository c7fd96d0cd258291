"""The example NeuroMorpho.Org: https://neuromorpho.org/apiReference.html with made-up neurons."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote

from helpers.example_upstream import cells
from helpers.example_upstream.messages import BINARY, Ask, Item, RefusalError, Reply, as_json, html, plain
from helpers.example_upstream.neuron_query import FIELDS, Clause, clauses_of_body, clauses_of_text, terms
from helpers.example_upstream.site import Route, Site

HAL: Final = "application/hal+json;charset=UTF-8"
MAX_SIZE: Final = 500
OTHER_ENDINGS: Final = {"xml": "morph.xml", "dat": "DAT"}  # of the file, by the format's ending


class NeuroMorpho(Site):
    """Neurons by API with their files. `withheld` names files that answer 404."""

    key, host = "neuromorpho", "neuromorpho.org"

    def __init__(
        self, data: Path, neurons: Sequence[Item] | None, withheld: set[str], huge_bytes: int
    ) -> None:
        routes = (
            Route("/api/health/?", lambda ask: as_json({"status": "UP"})),
            Route("/api/neuron(/select)?/?", self._neurons, post=True),
            Route("/api/neuron/fields/?", lambda ask: as_json({"Neuron Fields": list(FIELDS)})),
            Route("/api/neuron/(fields|partition)/([^/]+)/?", self._values),
            Route("/api/neuron/(id|name)/([^/]+)/?", self._neuron),
            Route("/api/morphometry(/select)?/?", self._measurements, post=True),
            Route("/api/morphometry/(id|name)/([^/]+)/?", self._measurement),
            Route("/(dableFiles/.+|images/imageFiles/.+)", self._file, file=True),
        )
        super().__init__(routes, huge_bytes)
        self.records = load_neurons(data / "neurons.json") if neurons is None else list(neurons)
        self._withheld = withheld
        self._files = {path: make for record in self.records for path, make in files_of(record).items()}

    def admit(self, ask: Ask) -> Reply | None:
        """Scripts may not read web pages, and must say who they are."""
        path = unquote(ask.path).lower()
        if path.endswith("/useterm.jsp"):
            return html("<html><body><h1>Terms of use of the example</h1></body></html>")
        if path.endswith(".jsp"):
            return plain("scripted access to web pages is forbidden", 403)
        agent = next((value for name, value in ask.headers.items() if name.lower() == "user-agent"), "")
        return None if agent.strip() else plain("Forbidden", 403)

    def _neurons(self, ask: Ask, select: str) -> Reply:
        return self._page(ask, self._selected(ask, select), "neuronResources")

    def _measurements(self, ask: Ask, select: str) -> Reply:
        return self._page(ask, self._selected(ask, select), "measurements", measured)

    def _neuron(self, ask: Ask, key: str, value: str) -> Reply:
        return as_json(self._single(ask, key, value), kind=HAL)

    def _measurement(self, ask: Ask, key: str, value: str) -> Reply:
        return as_json(measured(self._single(ask, key, value)), kind=HAL)

    def _single(self, ask: Ask, key: str, value: str) -> Item:
        for record in self.shrunk(self.records):
            if str(record.get(f"neuron_{key}")) == value:
                return record
        raise _refused(ask, 404, "Requested neuron not found")

    def _selected(self, ask: Ask, select: str) -> list[Item]:
        """The records that are asked for, in the order asked for."""
        try:
            clauses = _clauses(ask) if select else []
        except ValueError as error:
            raise _refused(ask, 400, f"Bad query: {error}") from error
        found = [record for record in self.records if all(clause.holds(record) for clause in clauses)]
        field, _, direction = ask.first("sort", "neuron_id,asc").partition(",")
        known = [record for record in found if record.get(field) is not None]
        unknown = [record for record in found if record.get(field) is None]
        return sorted(known, key=lambda r: _order(r[field]), reverse=direction == "desc") + unknown

    def _page(
        self, ask: Ask, found: list[Item], key: str, shown: Callable[[Item], Item] = lambda record: record
    ) -> Reply:
        number, size = _paging(ask, MAX_SIZE)
        if self.fails_at(number):
            raise _refused(ask, 500, "Please notify the operator")
        found = self.shrunk(self.doubled(found, size))
        items = [shown(record) for record in found[number * size : (number + 1) * size]]
        if items:
            items[0] = self.stripped(items[0])
        if items and number == 0 and self.fault.mode == "huge":
            items[0] = items[0] | {"note": "x" * self.huge_bytes}
        paging = _numbers(number, size, len(found))
        links = _links(ask, paging)
        embedded = {"_embedded": {key: items}} if items else {}  # an empty page has no list at all
        return as_json({**embedded, "_links": links, "page": paging}, kind=HAL)

    def _values(self, ask: Ask, form: str, field: str) -> Reply:
        if field not in FIELDS:
            raise _refused(ask, 404, "Requested field not found")
        counts = Counter(term for record in self.records for term in dict.fromkeys(terms(record, field)))
        number, size = _paging(ask, 100_000)
        shown = sorted(counts)[number * size : (number + 1) * size]
        fields: Any = shown if form == "fields" else {value: counts[value] for value in shown}
        return as_json({"fields": fields, "page": _numbers(number, size, len(counts))})

    def _file(self, ask: Ask, path: str) -> Reply | None:
        make = self._files.get(path)
        if make is None or path.rpartition("/")[2] in self._withheld:
            return None
        return Reply(make(), kind="image/png" if path.endswith(".png") else BINARY)


def load_neurons(path: Path) -> list[Item]:
    """The records of the fixture, each completed from its `shape` and from the cell it grows."""
    fixture = json.loads(path.read_text("utf-8"))
    return [_complete(fixture["shapes"][entry.pop("shape")] | entry) for entry in fixture["neurons"]]


def _complete(record: Item) -> Item:
    number, values = record["neuron_id"], cells.measure(cell_of(record))
    for name, key in (("soma_surface", "soma_Surface"), ("surface", "surface"), ("volume", "volume")):
        record.setdefault(name, None if values[key] is None else f"{values[key]:g}")
    api = "http://neuromorpho.org/api"
    links = {"self": f"{api}/neuron/id/{number}", "measurements": f"{api}/morphometry/id/{number}"}
    if "gender" in record:  # version 8
        links["persistence_vector"] = f"{api}/pvec/id/{number}"
    picture = f"http://neuromorpho.org/images/imageFiles/{record['archive']}/{record['neuron_name']}.png"
    return {
        "png_url": picture,
        **record,
        "_links": {name: {"href": href} for name, href in links.items()},
    }


def cell_of(record: Item) -> cells.Cell:
    """The cell of a record; records of tests may lack anything."""
    number = record.get("neuron_id")
    types = record.get("cell_type")
    return cells.grow(
        number if isinstance(number, int) else 0,
        str(record.get("domain")),
        "pyramidal" in types if isinstance(types, list) else True,
    )


def measured(record: Item) -> Item:
    """What the morphometry API says of a record. Where there is no soma, it has three ways to say so."""
    cell = cell_of(record)
    values: Item = dict(sorted(cells.measure(cell).items()))
    if values["soma_Surface"] is None:
        values["soma_Surface"] = (None, "None", "NaN")[cell.number % 3]
    if cell.number % 2:
        values["bif_ampl_remote"] = None  # absent for others
    return values | {"neuron_id": record.get("neuron_id"), "neuron_name": record.get("neuron_name")}


def files_of(record: Item) -> dict[str, Callable[[], bytes]]:
    """Decoded path below the base URL -> how to make the content, for every file of a record."""
    archive, name = str(record.get("archive")), record.get("neuron_name")
    folder = f"dableFiles/{archive.lower()}"
    ending = str(record.get("original_format")).rpartition(".")[2]
    original = f"{folder}/Source-Version/{name}.{OTHER_ENDINGS.get(ending, ending)}"
    return {
        f"{folder}/CNG version/{name}.CNG.swc": lambda: cells.swc(cell_of(record)),
        original: lambda: _original(cell_of(record), ending),
        f"{folder}/Standardization log/{name}.std": lambda: cells.log(cell_of(record)),
        f"images/imageFiles/{archive}/{name}.png": lambda: cells.png(cell_of(record).number % 256),
    }


def _original(cell: cells.Cell, ending: str) -> bytes:
    if ending in ("swc", "eswc"):
        return cells.swc(cell)
    if ending == "asc":
        return cells.asc(cell)
    if ending == "xml":
        return b'<?xml version="1.0"?>\n<morphology><cell points="%d"/></morphology>\n' % len(cell.points)
    return b"\x00\x01" + cells.asc(cell)  # a binary format that nobody here reads


def _clauses(ask: Ask) -> list[Clause]:
    if ask.method == "POST":
        return clauses_of_body(ask.body)
    if not ask.first("q"):
        raise ValueError("the parameter q is missing")
    texts = [*ask.query["q"], *ask.query.get("fq", [])]
    return [clause for text in texts for clause in clauses_of_text(text)]


def _order(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return (not number, value if number else 0.0, "" if number else str(value))


def _paging(ask: Ask, largest: int) -> tuple[int, int]:
    number, size = ask.first("page", "0"), ask.first("size", "50")
    if not (number.isdecimal() and size.isdecimal() and 1 <= int(size) <= largest):
        raise _refused(ask, 400, f"page counts from 0, size from 1 to {largest}")
    return int(number), int(size)


def _numbers(number: int, size: int, total: int) -> dict[str, int]:
    return {"size": size, "totalElements": total, "totalPages": -(-total // size), "number": number}


def _links(ask: Ask, paging: dict[str, int]) -> Item:
    """Links as they are there: plain http, and without the query that was asked."""
    number, last = paging["number"], max(paging["totalPages"] - 1, 0)
    targets = {"first": 0, "prev": number - 1, "self": number, "next": number + 1, "last": last}
    base = f"http://{NeuroMorpho.host}{ask.path.rstrip('/')}"
    tail = f"size={paging['size']}&sort={ask.first('sort', 'neuron_id,asc')}"
    fits = {name: page for name, page in targets.items() if 0 <= page <= last or name == "self"}
    return {name: {"href": f"{base}?page={page}&{tail}"} for name, page in fits.items()}


def _refused(ask: Ask, status: int, message: str) -> RefusalError:
    reasons = {400: "Bad Request", 404: "Not Found", 500: "Internal Server Error"}
    body = {"status": status, "error": reasons[status], "message": message, "path": ask.path}
    return RefusalError(as_json(body, status))
