"""ModelDB: published computational models, by its REST API and one zip per model.

API: https://modeldb.science/apidocs. Seen in November 2026:

- `/api/v1/models` and `/api/v1/models/<field>` are lists of the same order, not paged.
- A field is `{"value", "attr_id"}` or plain; any may be absent. The id of an alternative version answers with
  the object of its parent, whose `id` differs.
- `/download/<id>` is a zip, whose paths `/getModelFile` knows. There is none when every simulator is a
  "(web link to model)"; then, and for other models without files, the site answers 500, 403 or 404.
- Notes have CRLF; implementers and notes hold e-mail addresses, which are not kept.
- Models mostly carry no licence, so that none is stated.
- The site updates itself once a day; there are no releases but each model's `ver_number` and `ver_date`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from helpers.ahead import ahead
from helpers.errors import InvalidItem, UpstreamChanged, UpstreamError, UpstreamRefused, UpstreamUnavailable
from helpers.http import HTTPClient
from helpers.providers import modeldb_archive, modeldb_region
from helpers.providers import modeldb_fields as fields
from helpers.providers.base import About, Provider, Raw, Report, Unfetched
from helpers.records import Link, Model, Paper, Provenance

MAX_ARCHIVE_BYTES: Final = 64 * 1024 * 1024
MAX_REASON: Final = 300  # characters of an error kept on a record
ITEMS_IN_ROW: Final = 5  # models that fail one after the other before the source counts as down
EXTRAS_IN_ROW: Final = 20  # the same for papers and zips; single models have a broken one for years

TERMS: Final = {  # field of the record -> fields of the API
    "model_types": ("model_type",),
    "cell_types": ("neurons", "other_neurons"),
    "channels": ("currents", "other_currents"),
    "receptors": ("receptors",),
    "transmitters": ("neurotransmitters",),
    "genes": ("gene",),
    "model_concepts": ("model_concept", "other_concept"),
}
IMPLEMENTERS: Final = ("implemented_by", "other_implementer")
LISTS: Final = (*(name for names in TERMS.values() for name in names), "modeling_application")
KNOWN: Final = frozenset(  # typed below; what is kept of them under `extra` is put there below too
    {"id", "name", "notes", "created", "ver_number", "ver_date", "model_paper", "region", "species"}
    | {*LISTS, *IMPLEMENTERS, "_id", "public_submitter_email"}
)


@dataclass(frozen=True, slots=True)
class _Listed:
    """What the site lists: when each model changed last, and the ids that it names twice."""

    dates: dict[int, str | None]
    twice: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One model asked for. `item` is None when it is of another region."""

    item: Raw | Unfetched | None
    failed: str | None = None  # why the model could not be fetched, where the source may be at fault
    lacks: str | None = None  # the same for its papers and zip
    extras: bool = False  # papers or zip were asked for


class ModelDB(Provider):
    """Models of ModelDB, those of one region or all."""

    about = About(
        key="modeldb",
        id_prefix="model_db",
        title="ModelDB",
        url="https://modeldb.science",
        api_docs="https://modeldb.science/apidocs",
        licence=None,
        citations=("ModelDB (RRID:SCR_007271)", "McDougal et al. 2017, doi:10.1007/s10827-016-0623-7"),
        indices=frozenset({"model"}),
        hosts=frozenset({"modeldb.science"}),
    )

    def __init__(self, client: HTTPClient, base_url: str, region_key: str) -> None:
        self.client = client
        self._http = client
        self._base = base_url.rstrip("/")
        self._region_key = region_key
        self._papers: dict[int, Any] = {}  # of this run: models share papers

    def fetch(self, report: Report) -> Iterator[Raw | Unfetched]:
        """Yield the models of the region with papers and file lists. See `Provider.fetch`.

        `report` is called again for each model of another region: fewer remain to be expected.
        """
        self._papers = {}
        listed = self._list()
        expected = len(listed.dates) + len(listed.twice)
        report(expected)
        for number in listed.twice:
            yield Unfetched(str(number), "listed twice, so that another model may be missing from the list")
        items, extras = _Streak(ITEMS_IN_ROW, "models"), _Streak(EXTRAS_IN_ROW, "papers or zips of models")
        for outcome in ahead(self._ask, listed.dates.items(), self._http.politeness.concurrency):
            items.note(outcome.failed)
            if outcome.extras:
                extras.note(outcome.lacks)
            if outcome.item is None:
                expected -= 1
                report(expected)
            else:
                yield outcome.item

    def _list(self) -> _Listed:
        """Ids with their dates. The two lists may be of two moments: asked once more when they differ."""
        for _ in range(2):
            numbers, dates = self._column("models"), self._column("models/ver_date")
            if len(numbers) == len(dates):
                break
        else:
            raise UpstreamChanged(f"ModelDB lists {len(numbers)} models, but {len(dates)} values of ver_date")
        found: dict[int, str | None] = {}
        twice = []
        for number, date in zip(numbers, dates, strict=True):
            if not isinstance(number, int) or isinstance(number, bool):
                raise UpstreamChanged(
                    f"ModelDB lists the model {str(number)[:80]!r}, a whole number is expected"
                )
            if date is not None and not isinstance(date, str):
                raise UpstreamChanged(f"ModelDB lists the ver_date {str(date)[:80]}, a text is expected")
            if number in found:
                twice.append(number)
            found.setdefault(number, date)
        return _Listed(found, tuple(twice))

    def _column(self, path: str) -> list[Any]:
        url = f"{self._base}/api/v1/{path}"
        body = self._http.get_json(url)
        if not isinstance(body, list) or not body:
            raise UpstreamChanged(f"{url} answered {str(body)[:80]}, a list that is not empty is expected")
        return body

    def _ask(self, listed: tuple[int, str | None]) -> _Outcome:
        """One model; never raises for what is its own fault or the source's."""
        number, date = listed
        try:
            model = self._model(number)
            if modeldb_region.decide(self._region_key, model) is None:
                return _Outcome(None)
            return self._with_extras(number, date, model)
        except InvalidItem as error:
            return _Outcome(Unfetched(str(number), str(error)))
        except UpstreamError as error:
            if isinstance(error, UpstreamRefused) and error.status == 404:
                return _Outcome(Unfetched(str(number), f"model {number} is listed but not there"))
            return _Outcome(Unfetched(str(number), str(error)), failed=str(error))

    def _model(self, number: int) -> dict[str, Any]:
        """The object of a model. Raises `UpstreamError`, and `InvalidItem` for anything else."""
        model = self._http.get_json(_object_url(self._base, "models", number))
        if not isinstance(model, dict):
            raise InvalidItem(f"model {number} answered {str(model)[:80]}, an object is expected")
        if "id" not in model:
            raise InvalidItem(f"model {number} answered an object without an id: {str(model)[:80]}")
        if str(model["id"]) != str(number):  # the API's own code reads ids as numbers or text
            parent = str(model["id"])[:80]
            raise InvalidItem(f"an alternative version of model {parent}, which is listed by itself")
        return model

    def _with_extras(self, number: int, date: str | None, model: dict[str, Any]) -> _Outcome:
        """The model with the objects of its papers and the list of its files, as far as they can be had."""
        papers: dict[str, Any] = {}
        notes: dict[str, str] = {}
        failures: list[str] = []
        for paper in fields.references(model, "model_paper"):
            if paper.id is not None:
                try:
                    papers[str(paper.id)] = self._paper(paper.id)
                except UpstreamError as error:
                    notes[str(paper.id)] = _told(error, failures)
        data = {
            "region_key": self._region_key,
            "listed_ver_date": date,
            "model": model,
            "papers": papers,
            "paper_notes": notes,
            "archive": self._archive(number, model, failures),
        }
        return _Outcome(
            Raw(str(number), data, self._base),
            lacks=failures[-1] if failures else None,
            extras=bool(papers or notes or _has_archive(model)),
        )

    def _paper(self, number: int) -> Any:
        if number not in self._papers:
            self._papers[number] = self._http.get_json(_object_url(self._base, "papers", number))
        return self._papers[number]

    def _archive(self, number: int, model: Mapping[str, Any], failures: list[str]) -> dict[str, Any]:
        """What the model's zip holds; see `modeldb_archive.listing`. A zip that is not there has a note."""
        if not _has_archive(model):
            return {"files": [], "note": None, "exists": False}
        try:
            url = f"{self._base}/download/{number}"
            content = self._http.get_bytes(url, max_bytes=MAX_ARCHIVE_BYTES)
        except UpstreamChanged as error:  # larger than what is read here; it can be downloaded all the same
            return {"files": [], "note": str(error)[:MAX_REASON], "exists": True}
        except UpstreamError as error:
            return {"files": [], "note": _told(error, failures), "exists": False}
        return modeldb_archive.listing(content)

    @staticmethod
    def normalise(raw: Raw) -> Model:
        """One model with its papers and file list as a record. See `Provider.normalise`."""
        model: Mapping[str, Any] = raw.data["model"]
        name = fields.text(model, "name")
        if name is None:
            raise InvalidItem("name is missing, a name is required")
        region_key = raw.data["region_key"]
        region = modeldb_region.region_of(region_key)
        simulators = fields.names(model, "modeling_application")
        papers, paper_notes = _papers(model, raw.data)
        version, changed = fields.number(model, "ver_number"), fields.moment(model, "ver_date")
        changed = changed or raw.data["listed_ver_date"]
        species = fields.names(model, "species")
        return Model(
            source_id=ModelDB.about.source_id(raw.id),
            id=raw.id,
            name=" ".join(name.split()),
            source="ModelDB",
            description=fields.text(model, "notes"),
            region=region.name if region else next(iter(fields.names(model, "region")), None),
            secondary_region=modeldb_region.secondary_regions(region_key, model),
            region_decision=_shortened(modeldb_region.decide(region_key, model)),
            species=species[0] if len(species) == 1 else None,
            simulators=tuple(dict.fromkeys(map(fields.simulator_name, simulators))),
            simulator_is_web_link=any(map(fields.is_web_link, simulators)),
            implementers=fields.people(model, *IMPLEMENTERS),
            papers=papers,
            page_link=f"{raw.base}/{raw.id}?tab=1",
            citations=ModelDB.about.citations,
            created=fields.moment(model, "created"),
            version_date=changed,
            version_number=version,
            provenance=Provenance(
                source=ModelDB.about.key,
                url=_object_url(raw.base, "models", raw.id),
                release=", ".join(str(part) for part in (version, changed) if part is not None) or None,
            ),
            extra=_extra(model, raw.data["archive"]["note"], paper_notes),
            **{field: fields.names(model, *keys) for field, keys in TERMS.items()},
            **_file_links(raw),
        )


class _Streak:
    """Failures one after the other: too many mean that the source is down, not single items."""

    def __init__(self, allowed: int, what: str) -> None:
        self._allowed = allowed
        self._what = what
        self._length = 0

    def note(self, failure: str | None) -> None:
        """Count an outcome. Raises `UpstreamUnavailable` at the limit."""
        self._length = self._length + 1 if failure else 0
        if self._length >= self._allowed:
            raise UpstreamUnavailable(
                f"{self._length} {self._what} in a row could not be fetched, the last: {failure}"
            )


def _object_url(base: str, collection: str, number: int | str) -> str:
    return f"{base}/api/v1/{collection}/{number}"


def _told(error: UpstreamError, failures: list[str]) -> str:
    """An error as a note for the record; one that says "not there" is no failure of the source."""
    note = str(error)[:MAX_REASON]
    if not isinstance(error, UpstreamRefused):
        failures.append(note)
    return note


def _has_archive(model: Mapping[str, Any]) -> bool:
    """False where every simulator is a "(web link to model)"."""
    simulators = fields.names(model, "modeling_application")
    return not simulators or not all(map(fields.is_web_link, simulators))


def _papers(model: Mapping[str, Any], data: Mapping[str, Any]) -> tuple[tuple[Paper, ...], dict[str, str]]:
    """The papers, and by id why the object of one could not be used; such a one has its label only."""
    papers = []
    notes = dict(data["paper_notes"])
    for reference in fields.references(model, "model_paper"):
        key = str(reference.id)
        found = data["papers"].get(key)
        try:
            if found is not None and (not isinstance(found, dict) or str(found.get("id", key)) != key):
                raise InvalidItem(f"paper {key} answered {str(found)[:80]}, its object is expected")
            papers.append(fields.cited(reference.name, found))
        except InvalidItem as error:
            notes[key] = str(error)
            papers.append(fields.cited(reference.name, None))
    return tuple(papers), notes


def _file_links(raw: Raw) -> dict[str, Any]:
    """Paths and addresses of the model's files. A path is quoted; the site looks it up in the zip."""
    archive = raw.data["archive"]
    paths = tuple(file["path"] for file in archive["files"])
    readme = modeldb_archive.readme(paths)

    def url(path: str) -> str:
        return f"{raw.base}/getModelFile?model={raw.id}&file={quote(path)}"

    mods = modeldb_archive.mod_files(paths)
    return {
        "download_link": f"{raw.base}/download/{raw.id}" if archive["exists"] else None,
        "readme_link": url(readme) if readme else None,
        "model_files": tuple(Link(label=path.rpartition("/")[2], url=url(path)) for path in mods),
        "files": paths,
    }


def _extra(model: Mapping[str, Any], archive: str | None, papers: Mapping[str, str]) -> dict[str, Any]:
    """What no field takes, by the source's names; ids of the controlled terms; notes on what is missing."""
    extra = fields.leftovers(model, KNOWN)
    for key in ("modeling_application", "region"):  # the source's own words beside ours
        extra[key] = list(fields.names(model, key))
    species = fields.names(model, "species")
    if len(species) > 1:
        extra["species"] = list(species)
    ids = {key: _ids(model, key) for key in (*LISTS, "region", "species", "model_paper")}
    extra["object_ids"] = {key: found for key, found in ids.items() if found}
    extra |= {"archive": archive, "papers": dict(papers)}
    return {key: value for key, value in extra.items() if value not in (None, [], {})}


def _ids(model: Mapping[str, Any], key: str) -> dict[str, int]:
    """ModelDB's ids of the terms of a field, by term."""
    return {term.name: term.id for term in fields.references(model, key) if term.id is not None}


def _shortened(decision: str | None) -> str | None:
    return decision and decision[: fields.MAX_NAME]
