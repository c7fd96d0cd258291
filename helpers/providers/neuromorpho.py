"""NeuroMorpho.Org: reconstructed neurons and glia, by its REST API and direct file URLs.

API: https://neuromorpho.org/apiReference.html. Seen in November 2026:

- Scripts may use the API and file URLs only, never a `.jsp` page (terms of use).
- The links of a page drop the query (`q`): pages are counted here, never followed.
- Paging has no snapshot: an item can come twice while another is skipped; both are noticed.
- Numbers are strings, "missing" has many spellings, records of version 7 lack fields, and a list
  may be a plain string there.
- `brain_region` runs from general to specific, `cell_type` mostly the other way.
- Morphometry (`/morphometry`) is in µm, µm² and µm³, without the soma except `soma_Surface`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any, Final
from urllib.parse import quote, urlencode

from helpers.ahead import ahead
from helpers.errors import InvalidItem, UpstreamChanged
from helpers.http import HTTPClient
from helpers.providers.base import About, Provider, Raw, Report, Unfetched
from helpers.providers.neuromorpho_values import as_float, neuron_id, present, text, texts
from helpers.records import Measurements, Morphology, Paper, Provenance

PAGE_SIZE: Final = 500  # the API's largest

SIDES: Final = frozenset({"left", "right"})
EXTENSIONS: Final = {
    "custom.xml": "morph.xml",
    "neurolucida.dat": "DAT",
}  # files are named otherwise than said
VIEWABLE: Final = frozenset({"asc", "swc"})  # originals that front ends can open
MEASURES: Final = {  # key of the API, in lower case -> field of `Measurements`
    "soma_surface": "soma_surface_um2",
    "surface": "surface_um2",
    "volume": "volume_um3",
    "length": "length_um",
    "width": "width_um",
    "height": "height_um",
    "depth": "depth_um",
    "diameter": "diameter_um",
    "eucdistance": "euclidean_distance_um",
    "pathdistance": "path_distance_um",
    "n_stems": "n_stems",
    "n_bifs": "n_bifurcations",
    "n_branch": "n_branches",
    "branch_order": "branch_order",
    "contraction": "contraction",
    "fragmentation": "fragmentation",
    "partition_asymmetry": "partition_asymmetry",
    "pk_classic": "pk_classic",
    "bif_ampl_local": "bifurcation_angle_local_deg",
    "bif_ampl_remote": "bifurcation_angle_remote_deg",
    "fractal_dim": "fractal_dimension",
}
NEVER_ZERO: Final = frozenset(
    {"soma_surface_um2", "surface_um2", "volume_um3", "length_um"}
)  # 0 is "unknown"
WORDS: Final = (  # fields of one word or phrase that keep their name
    "archive",
    "strain",
    "scientific_name",
    "gender",
    "age_classification",
    "age_scale",
    "stain",
    "protocol",
    "slicing_direction",
    "objective_type",
    "reconstruction_software",
    "original_format",
    "domain",
    "attributes",
    "species",
    "deposition_date",
    "upload_date",
)
NUMBERS: Final = {  # field of the API -> field of the record
    "min_age": "min_age",
    "max_age": "max_age",
    "min_weight": "min_weight_g",
    "max_weight": "max_weight_g",
    "slicing_thickness": "slicing_thickness_um",
    "magnification": "magnification",
}
SHRINKAGE: Final = (
    "shrinkage_reported",
    "shrinkage_corrected",
    "reported_value",
    "reported_xy",
    "reported_z",
    "corrected_value",
    "corrected_xy",
    "corrected_z",
)
KNOWN: Final = frozenset(  # typed below, or said by other fields
    {
        *WORDS,
        *NUMBERS,
        *SHRINKAGE,
        "physical_Integrity",
        "neuron_id",
        "neuron_name",
        "brain_region",
        "cell_type",
        "experiment_condition",
        "note",
        "png_url",
        "reference_pmid",
        "reference_doi",
        "soma_surface",
        "surface",
        "volume",
    }
)
_LAYER: Final = re.compile(r"\b(layer|stratum|lamina)\b", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]{0,2000}>")
_DOI: Final = re.compile(r"10\.\d+/\S+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Choice:
    """A value passes when its comma-separated items hold every allowed and no not-allowed one."""

    allowed: frozenset[str] = frozenset()
    not_allowed: frozenset[str] = frozenset()

    @classmethod
    def of(cls, *, allowed: Sequence[str] = (), not_allowed: Sequence[str] = ()) -> Choice:
        """A choice from configured lists."""
        return cls(frozenset(map(_folded, allowed)), frozenset(map(_folded, not_allowed)))

    def passes(self, value: object) -> bool:
        """Whether a value of the source is wanted; a missing one has no items."""
        items = {_folded(item) for item in str(value or "").split(",")}
        return self.allowed <= items and not self.not_allowed & items


Lists = Mapping[str, Sequence[str]]  # "allowed" and "not_allowed", either may be absent
NO_LISTS: Final[Lists] = {}


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


class NeuroMorpho(Provider):
    """Morphologies of NeuroMorpho.Org."""

    about = About(
        key="neuromorpho",
        title="NeuroMorpho.Org",
        url="https://neuromorpho.org",
        api_docs="https://neuromorpho.org/apiReference.html",
        licence="CC BY 4.0",
        citations=(
            "NeuroMorpho.Org (RRID:SCR_002145)",
            "Tecuatl et al. 2024, doi:10.1096/fba.2024-00048",
        ),
        indices=frozenset({"dataset"}),
        hosts=frozenset({"neuromorpho.org", "www.neuromorpho.org"}),
    )

    def __init__(
        self,
        client: HTTPClient,
        base_url: str,
        *,
        brain_regions: Sequence[str] = (),
        domains: Lists = NO_LISTS,
        attributes: Lists = NO_LISTS,
        physical_integrities: Lists = NO_LISTS,
    ) -> None:
        self.client = client
        self._http = client
        self._base = base_url.rstrip("/")
        self._regions = tuple(brain_regions)
        choices = {
            "domain": Choice.of(**domains),
            "attributes": Choice.of(**attributes),
            "physical_Integrity": Choice.of(**physical_integrities),
        }
        self._choices = {field: choice for field, choice in choices.items() if choice != Choice()}

    def fetch(self, report: Report) -> Iterator[Raw | Unfetched]:
        """Yield every neuron of the configured regions with its morphometry. See `Provider.fetch`."""
        first = self._page(0)
        report(first.announced)
        seen: set[int] = set()
        yield from self._wanted(first, seen)
        threads = self._http.politeness.concurrency
        number, pages = 1, first.pages
        while number < pages:  # a source that grows while it is read has more pages at the end
            for page in ahead(self._page, range(number, pages), threads):
                yield from self._wanted(page, seen)
            number, pages = pages, page.pages
        lost = first.announced - len(seen)
        if lost > 0:
            reason = f"{first.announced} neurons were announced, {lost} of them never came while paging"
            yield Unfetched("?", reason, lost)

    def _wanted(self, page: _Page, seen: set[int]) -> Iterator[Raw | Unfetched]:
        for neuron in page.neurons:
            number = neuron_id(neuron)
            if number is None:
                yield Unfetched(
                    "?", f"page {page.number} holds an item without a neuron_id: {str(neuron)[:80]}"
                )
            elif number in seen:
                yield Unfetched(str(number), f"page {page.number} repeats a neuron that came before")
            else:
                seen.add(number)
                if all(choice.passes(neuron.get(field)) for field, choice in self._choices.items()):
                    yield page.item(neuron, number, self._base)

    def _page(self, number: int) -> _Page:
        body = self._http.get_json(self._url("neuron", self._select("brain_region", self._regions), number))
        where = f"{self.about.title}, page {number} of neurons"
        neurons, counts = _listed(body, "neuronResources", where, number)
        if not neurons and counts["totalElements"] and number < counts["totalPages"]:
            raise UpstreamChanged(f"{where}: empty, of {counts['totalPages']} pages")
        ids = [str(key) for neuron in neurons if (key := neuron_id(neuron)) is not None]
        return _Page(
            number=number,
            pages=counts["totalPages"],
            announced=counts["totalElements"],
            neurons=neurons,
            morphometry=self._morphometry(ids, number) if ids else {},
        )

    def _morphometry(self, ids: Sequence[str], number: int) -> dict[int | str, Any]:
        """Rows by neuron id, or by name where a row has lost its id."""
        query = f"Neuron_id:{','.join(dict.fromkeys(ids))}"
        body = self._http.get_json(self._url("morphometry", query, 0))
        where = f"{self.about.title}, morphometry of page {number}"
        rows = [] if _is_empty(body) else _items(body, "measurements", where)
        found: dict[int | str, Any] = {}
        for row in rows:
            key = neuron_id(row) or (row.get("neuron_name") if isinstance(row, dict) else None)
            if not isinstance(key, (int, str)):
                raise UpstreamChanged(f"{where}: a row of no neuron: {str(row)[:120]}")
            found[key] = row
        return found

    @staticmethod
    def _select(field: str, values: Sequence[str]) -> str | None:
        quoted = ('"' + value.replace('"', "") + '"' for value in values)
        return f"{field}:{','.join(quoted)}" if values else None

    def _url(self, resource: str, query: str | None, page: int) -> str:
        asked = {"page": page, "size": PAGE_SIZE, "sort": "neuron_id,asc"}
        if query is None:
            return f"{self._base}/api/{resource}?{urlencode(asked, safe=',')}"
        return f"{self._base}/api/{resource}/select?{urlencode({'q': query, **asked}, safe=',:')}"

    @staticmethod
    def normalise(raw: Raw) -> Morphology:
        """One neuron and its morphometry as a record. See `Provider.normalise`."""
        neuron: dict[str, Any] = raw.data["neuron"]
        name = neuron.get("neuron_name")
        if not isinstance(name, str) or not name.strip():
            raise InvalidItem(f"neuron_name is {name!r}, a name is required")
        path = texts(neuron, "brain_region")
        places = [place for place in path if place.casefold() not in SIDES]
        cells = texts(neuron, "cell_type")
        words = {key: text(neuron, key) for key in WORDS}
        links = _links(raw.base, words["archive"], name, words["original_format"])
        morphometry = raw.data.get("morphometry") or {}
        numbers, extra = _numbers(neuron)
        unknown = {
            key: value for key, value in morphometry.items() if _measure(key) is None and present(value)
        }
        extra |= {"morphometry": unknown} if unknown else {}
        papers, unread = _papers(neuron)
        extra |= unread
        note = text(neuron, "note")
        if note is not None and _TAG.search(note):
            extra["note"] = note
        return Morphology(
            source_id=f"neuromorpho-{raw.id}",
            id=raw.id,
            accession=f"NMO_{int(raw.id):05d}",
            name=name,
            source="Neuromorpho",
            description=" ".join(_TAG.sub(" ", note).split()) or None if note else None,
            region=places[0] if places else None,
            secondary_region=tuple(places[1:2]),
            layers=tuple(place for place in places[1:] if _LAYER.search(place)),
            brain_region=tuple(path),
            cell_type=cells[0] if cells else None,
            cell_types=tuple(cells),
            experiment_condition=tuple(texts(neuron, "experiment_condition")),
            physical_integrity=text(neuron, "physical_Integrity"),
            papers=papers,
            page_link=f"{raw.base}/neuron_info.jsp?neuron_name={_quoted(name)}",
            icon=_https(text(neuron, "png_url")),
            licence=NeuroMorpho.about.licence,
            citations=NeuroMorpho.about.citations,
            shrinkage={key: value for key in SHRINKAGE if (value := text(neuron, key)) not in (None, "N")},
            measurements=_measurements(neuron, morphometry),
            provenance=Provenance(
                source="neuromorpho", url=f"{raw.base}/api/neuron/id/{raw.id}", release=words["upload_date"]
            ),
            extra=extra,
            **links,
            **words,
            **numbers,
        )


@dataclass(frozen=True, slots=True)
class _Page:
    number: int
    pages: int
    announced: int
    neurons: list[Any]
    morphometry: Mapping[int | str, Any]  # by neuron_id, or by neuron_name

    def item(self, neuron: dict[str, Any], number: int, base: str) -> Raw:
        """A neuron with its morphometry."""
        row = self.morphometry.get(number) or self.morphometry.get(str(neuron.get("neuron_name")))
        return Raw(str(number), {"neuron": neuron, "morphometry": row}, base)


def _listed(body: Any, key: str, where: str, number: int) -> tuple[list[Any], dict[str, int]]:
    """Items and counts of a page; behind the last one there is no `_embedded`. Raises `UpstreamChanged`."""
    try:
        counts = {name: int(body["page"][name]) for name in ("totalElements", "totalPages")}
        behind = "_embedded" not in body and (not counts["totalElements"] or number >= counts["totalPages"])
    except (KeyError, TypeError, ValueError) as error:
        raise UpstreamChanged(f"{where}: no {error} in {str(body)[:120]}") from error
    return [] if behind else _items(body, key, where), counts


def _is_empty(body: Any) -> bool:
    """Whether an answer says that there is nothing; it has no `_embedded` then."""
    page = body.get("page") if isinstance(body, dict) else None
    return isinstance(page, dict) and page.get("totalElements") == 0 and "_embedded" not in body


def _items(body: Any, key: str, where: str) -> list[Any]:
    """The items of an answer. Raises `UpstreamChanged`."""
    try:
        items = body["_embedded"][key]
    except (KeyError, TypeError) as error:
        raise UpstreamChanged(f"{where}: no {error} in {str(body)[:120]}") from error
    if not isinstance(items, list):
        raise UpstreamChanged(f"{where}: {key} is no list but {str(items)[:80]}")
    return items


def _numbers(neuron: Mapping[str, Any]) -> tuple[dict[str, float | None], dict[str, Any]]:
    """Typed numbers, and what is left: texts that are no number, and fields that we do not know."""
    numbers: dict[str, float | None] = {}
    extra: dict[str, Any] = {}
    for key, field in NUMBERS.items():
        try:
            numbers[field] = as_float(neuron.get(key))
        except (TypeError, ValueError):
            extra[key] = neuron[key]
    for key, value in neuron.items():
        if key not in KNOWN and present(value):
            extra[key.lstrip("_")] = value
    return numbers, extra


def _measurements(neuron: Mapping[str, Any], morphometry: Mapping[str, Any]) -> Measurements:
    """Published measures; the neuron's own three stand in where the morphometry lacks them."""
    found: dict[str, float] = {}
    own = {key: neuron.get(key) for key in ("soma_surface", "surface", "volume")}
    for key, value in (*own.items(), *morphometry.items()):
        field = _measure(key)
        if not field or value is None:
            continue
        try:
            number = as_float(value)
        except (TypeError, ValueError) as error:
            raise InvalidItem(f"{key} is {str(value)[:80]!r}, a number is expected") from error
        if number is not None and not (number == 0 and field in NEVER_ZERO):
            found[field] = number
    return Measurements(**found)


@cache
def _measure(key: str) -> str | None:
    """The field of a key of the morphometry, "" for what is said elsewhere, None for an unknown one."""
    return "" if key in ("neuron_id", "neuron_name", "_links") else MEASURES.get(key.lower())


def _papers(neuron: Mapping[str, Any]) -> tuple[tuple[Paper, ...], dict[str, Any]]:
    """Papers by PMID and DOI, and what is neither; a negative PMID (`-26`) means that there is none."""
    said = {key: texts(neuron, key) for key in ("reference_pmid", "reference_doi")}
    found = [_DOI.search(doi) for doi in said["reference_doi"]]
    pmids: list[str | None] = [pmid if pmid.isdecimal() else None for pmid in said["reference_pmid"]]
    dois: list[str | None] = [match[0] if match else None for match in found]
    unread = {
        "reference_pmid": [pmid for pmid in said["reference_pmid"] if not pmid.removeprefix("-").isdecimal()],
        "reference_doi": [doi for doi, match in zip(said["reference_doi"], found, strict=True) if not match],
    }
    if len(pmids) != len(dois):  # nobody says which belongs to which
        pmids, dois = [*pmids, *([None] * len(dois))], [*([None] * len(pmids)), *dois]
    papers = []
    for pmid, doi in zip(pmids, dois, strict=True):
        if doi:
            papers.append(Paper(label=f"doi:{doi}", url=f"https://doi.org/{quote(doi)}", pmid=pmid, doi=doi))
        elif pmid:
            url = f"https://pubmed.ncbi.nlm.nih.gov/{pmid}/"
            papers.append(Paper(label=f"PMID {pmid}", url=url, pmid=pmid))
    return tuple(papers), {key: values for key, values in unread.items() if values}


def _links(base: str, archive: str | None, name: str, original_format: str | None) -> dict[str, str | None]:
    """Direct URLs of a neuron's files; they follow from archive, name and original format."""
    if archive is None:
        return {"download_link": None, "standard_link": None, "original_link": None, "log_link": None}
    folder, file = f"{base}/dableFiles/{_quoted(archive.lower())}", _quoted(name)
    standard = f"{folder}/CNG%20version/{file}.CNG.swc"
    original, ending = None, ""
    if original_format and "." in original_format:
        ending = original_format.rpartition(".")[2]
        ending = EXTENSIONS.get(original_format.casefold(), ending)
    if ending and ending.lower() != "jsp":  # programs may not ask for pages
        original = f"{folder}/Source-Version/{file}.{_quoted(ending)}"
    return {
        "download_link": original if original and ending.lower() in VIEWABLE else standard,
        "standard_link": standard,
        "original_link": original,
        "log_link": f"{folder}/Standardization%20log/{file}.std",
    }


@lru_cache(maxsize=1_024)  # a neuron asks for its name three times, and there are few archives
def _quoted(text: str) -> str:
    return quote(text, safe="")


def _https(url: str | None) -> str | None:
    """The picture's URL as https: pages served by https may not load plain http."""
    if url is None or not url.startswith(("http://", "https://")) or url.lower().endswith(".jsp"):
        return None
    return quote("https://" + url.partition("://")[2], safe="%/:?=&#+,;@!$'()*[]~")
