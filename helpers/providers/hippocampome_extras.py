"""What a neuron page of Hippocampome.org says beyond the typed fields of a record, for its `extra`."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from helpers.providers.hippocampome_cells import Cell, Sheet, absolute, text_of
from helpers.providers.hippocampome_papers import Article

CONNECTIVITY: Final[Mapping[str, tuple[str, str]]] = {  # section -> our key, whose id its links have there
    "known sources": ("known_sources", "id1_neuron"),
    "potential sources": ("potential_sources", "id1_neuron"),
    "potential sources known to be avoided": ("avoided_sources", "id1_neuron"),
    "known targets": ("known_targets", "id2_neuron"),
    "potential targets": ("potential_targets", "id2_neuron"),
    "potential targets known to be avoided": ("avoided_targets", "id2_neuron"),
}
COLOURS: Final = {"font10a": "excitatory", "font11": "inhibitory"}  # classes of links to neuron types
TYPED: Final = frozenset({"name", "synonym(s)", "name derivation", "supertype (id:family:type:subregion)"})
SECTIONS: Final = frozenset(
    {
        "morphology",
        "representative figure",
        "molecular markers",
        "electrophysiological properties",
        "notes",
        "firing pattern",
        "izhikevich model",
        "modeldb model",
        "oscillation phase locking",
        *CONNECTIVITY,
    }
)
ANNOTATING: Final = "currently annotating"

_PARAMETER: Final = re.compile(r"\b([A-Za-z]+)\s*=\s*([-\u2212+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)")


def extras(sheet: Sheet, articles: Iterable[Article], page_url: str) -> dict[str, Any]:
    """Plain JSON of all that has no field, without what is empty."""
    said: dict[str, Any] = {
        "name_derivation": " ".join(cell.text for cell in sheet.under("", "name derivation")),
        "notes": "\n".join(cell.text for cell in sheet.under("notes")),
        "supplemental_pmids": _supplemental_pmids(sheet),
        "neuromorpho": _neuromorpho(sheet, page_url),
        "figure_quote": " ".join(
            text for section, text in sheet.quotes if section == "representative figure"
        ),
        "firing_pattern_evidence": _firing_pattern_evidence(sheet),
        "firing_pattern_images": _images(sheet.under("firing pattern", "images"), page_url),
        "izhikevich": _izhikevich(sheet, page_url),
        "izhikevich_images": _images(sheet.under("izhikevich model", "images"), page_url),
        "modeldb_pmids": _modeldb_pmids(sheet),
        "oscillation_phase_locking": _oscillations(sheet),
        "unvetted": [cell.text for cell in sheet.cells if _is_unvetted(cell)],
        "currently_annotating": [c.label for c in sheet.cells if c.text.casefold() == ANNOTATING],
        "articles": [article.rest() for article in articles],
        "other_sections": _other_sections(sheet),
    }
    for section, (key, parameter) in CONNECTIVITY.items():
        said[key] = _neighbours(sheet.under(section), parameter)
    return {key: value for key, value in said.items() if value}


def _supplemental_pmids(sheet: Sheet) -> list[str]:
    cells = [cell for cell in sheet.cells if cell.heading == "supplemental pmids"]
    texts = [text_of(node) for cell in cells for node in cell.find("a")]
    return list(dict.fromkeys(text for text in texts if text.isdecimal()))


def _is_neuromorpho(cell: Cell) -> bool:
    return "neuromorpho" in cell.heading or "neuromorpho" in cell.section


def _neuromorpho(sheet: Sheet, page_url: str) -> list[dict[str, str]]:
    """The reconstructions of the type: name and link, or the words where there are no links."""
    found = []
    for cell in filter(_is_neuromorpho, sheet.cells):
        links = [(text_of(node), absolute(page_url, node.get("href"))) for node in cell.find("a")]
        for label, url in links or [(cell.text, None)]:
            found.append({"label": label} | ({"url": url} if url else {}))
    return found


def _images(cells: Iterable[Cell], page_url: str) -> list[str]:
    found = (absolute(page_url, node.get("src")) for cell in cells for node in cell.find("img"))
    return list(dict.fromkeys(filter(None, found)))


def _firing_pattern_evidence(sheet: Sheet) -> list[dict[str, str]]:
    """Each firing pattern with the number of recordings that show it."""
    found = []
    for cell in sheet.under("firing pattern", "view page"):
        for node in cell.find("a"):
            asked = _asked(node)
            if "parameter" in asked and "count" in asked:
                found.append({"name": asked["parameter"], "count": asked["count"]})
    return found


def _izhikevich(sheet: Sheet, page_url: str) -> list[dict[str, Any]]:
    """The Izhikevich models of the type: parameters, files and the link that simulates it."""
    rows: dict[int, list[Cell]] = defaultdict(list)
    for cell in sheet.under("izhikevich model"):
        if cell.heading != "images":
            rows[cell.row].append(cell)
    models = []
    for cells in rows.values():
        text = " ".join(cell.text for cell in cells if not cell.find("a"))
        links = [
            (text_of(n).strip("[] "), absolute(page_url, n.get("href"))) for c in cells for n in c.find("a")
        ]
        model: dict[str, Any] = {"text": text}
        model["parameters"] = {
            name: float(value.replace("\u2212", "-")) for name, value in _PARAMETER.findall(text)
        }
        model["links"] = [{"label": label, "url": url} for label, url in links if url]
        if any("color: red" in (cell.element.get("style") or "") for cell in cells):
            model["preferred"] = True
        models.append({key: value for key, value in model.items() if value})
    return models


def _modeldb_pmids(sheet: Sheet) -> dict[str, list[str]]:
    """The papers of each model, by its accession number."""
    numbers = {cell.row: cell.text for cell in sheet.under("modeldb model", "model accession number")}
    found: dict[str, list[str]] = {}
    for cell in sheet.under("modeldb model", "pubmed id"):
        papers = found.setdefault(numbers.get(cell.row, ""), [])
        if cell.text and cell.text not in papers:
            papers.append(cell.text)
    return {number: papers for number, papers in found.items() if papers}


def _oscillations(sheet: Sheet) -> dict[str, str]:
    """Category -> value, both in the page's words: `Theta (deg)`, `SWR ratio`, ..."""
    section = "oscillation phase locking"
    values = {cell.row: cell.text for cell in sheet.under(section, "value")}
    categories = sheet.under(section, "category")
    return {cell.text.rstrip(" :"): values[cell.row] for cell in categories if values.get(cell.row)}


def _neighbours(cells: Iterable[Cell], parameter: str) -> list[dict[str, str]]:
    """The neuron types of a list: id, name and, by the colour, neurotransmitter."""
    found = {}
    for cell in cells:
        for node in cell.find("a"):
            asked = _asked(node)
            name = text_of(node)
            if parameter not in asked or not name:
                continue
            entry = {"id": asked[parameter], "name": name}
            colours = [COLOURS[word] for word in (node.get("class") or "").split() if word in COLOURS]
            found[entry["id"]] = entry | ({"neurotransmitter": colours[0]} if colours else {})
    return list(found.values())


def _other_sections(sheet: Sheet) -> dict[str, list[str]]:
    """What stands under headings that this parser does not know."""
    found: dict[str, list[str]] = defaultdict(list)
    for cell in sheet.cells:
        known = cell.section in SECTIONS or (not cell.section and cell.heading in TYPED)
        listed = cell.section == "list of articles" and cell.heading in ("", "supplemental pmids")
        if not known and not listed and not _is_neuromorpho(cell) and cell.text:
            found[cell.label].append(cell.text)
    return dict(found)


def _is_unvetted(cell: Cell) -> bool:
    return any((node.get("class") or "").endswith("_unvetted") for node in cell.find("a", "font"))


def _asked(node: Any) -> dict[str, str]:
    """The parameters of a link."""
    try:
        query = urlsplit(node.get("href") or "").query
    except ValueError:
        return {}
    return {key: values[0] for key, values in parse_qs(query).items()}
