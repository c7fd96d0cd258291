"""The example ModelDB: its API (version 1), archives, pages and old addresses, with made-up models."""

from __future__ import annotations

import json
import re
from html import escape
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from helpers.example_upstream.archives import files_of, packed
from helpers.example_upstream.messages import BINARY, Ask, Item, RefusalError, Reply, as_json, html, plain
from helpers.example_upstream.site import Route, Site, redirect

MODEL_CLASS: Final = 19
# Field of a model -> (number of the attribute, collection that its objects belong to).
OBJECTS: Final = {
    "neurons": (25, "celltypes"),
    "receptors": (26, "receptors"),
    "currents": (27, "currents"),
    "neurotransmitters": (28, "transmitters"),
    "model_type": (112, "modeltypes"),
    "model_concept": (113, "modelconcepts"),
    "modeling_application": (114, "simenvironments"),
    "model_paper": (155, "papers"),
    "implemented_by": (299, ""),
    "alternative_version": (314, ""),
    "region": (471, "regions"),
    "gene": (476, "genes"),
}
VALUES: Final = {"notes": 24, "other_neurons": 301, "public_submitter_email": 309, "has_modelview": 502}
BARE: Final = ("id", "name", "created", "ver_number", "ver_date", "gitrepo")
FIRST_OBJECT_ID: Final = 70_001
_READMES = re.compile(r"(?i)/(readme|index)(\.\w+)?$")
_OLD_ENDING = re.compile(r"(?i)\.(cshtml|html|asp)$")


class ModelDB(Site):
    """Computational models with their papers and archives."""

    key, host = "modeldb", "modeldb.science"

    def __init__(self, data: Path, huge_bytes: int, bomb_bytes: int) -> None:
        routes = (
            Route("/api/v1/models", self._list),
            Route(r"/api/v1/models/(\w+)", self._model_or_field),
            Route(r"/api/v1/(\w+)", self._objects),
            Route(r"/api/v1/(\w+)/(\w+)", self._object_or_field),
            Route(r"(?i)/download/(\d+)", self._download, file=True),
            Route("(?i)/getmodelfile", self._file, file=True),
            Route("(?i)/showmodel", self._old_page),
            Route("(?i)/eavbindown", self._old_download),
            Route(r"/(\d+)", self._show),
        )
        super().__init__(routes, huge_bytes)
        self._bomb_bytes = bomb_bytes
        fixture = json.loads((data / "models.json").read_text("utf-8"))
        self._collections: dict[str, dict[str, Item]] = {name: {} for _, name in OBJECTS.values() if name}
        self._collections["papers"] = {str(paper["id"]): _paper(paper) for paper in fixture["papers"]}
        self._ids = {paper["name"]: paper["id"] for paper in fixture["papers"]}
        self._entries: dict[int, Item] = {entry["id"]: entry for entry in fixture["models"]}
        self._models: dict[int, Item] = {key: self._shaped(entry) for key, entry in self._entries.items()}
        self._parents = {
            item["object_id"]: model["id"]
            for model in self._models.values()
            for item in model.get("alternative_version", {"value": ()})["value"]
        }

    def find(self, path: str) -> tuple[Route | None, list[str]]:
        """The routes know nothing of the endings and the folder of the site's old addresses."""
        return super().find(_OLD_ENDING.sub("", re.sub("(?i)^/modeldb/", "/", path)))

    def _shaped(self, entry: Item) -> Item:
        """An entry of the fixture as an object of the API."""
        model: Item = {"class_id": MODEL_CLASS} | {name: entry[name] for name in BARE}
        for name, number in VALUES.items():
            if name in entry:
                model[name] = {"value": entry[name], "attr_id": number}
        for name, (number, collection) in OBJECTS.items():
            if name in entry:
                objects = [self._object(collection, item) for item in entry[name]]
                model[name] = {"value": objects, "attr_id": number}
        return dict(sorted(model.items()))

    def _object(self, collection: str, item: Any) -> Item:
        """A name with its id, given on its first use; `[id, name]` brings its own."""
        number, name = item if isinstance(item, list) else (None, item)
        number = number or self._ids.setdefault(name, FIRST_OBJECT_ID + len(self._ids))
        if collection:
            self._collections[collection].setdefault(str(number), {"id": number, "name": name})
        return {"object_id": number, "object_name": name}

    def _shown(self) -> list[Item]:
        return self.shrunk(list(self._models.values()))

    def _model(self, key: str) -> Item | None:
        """The model of an id; an alternative version gives the model that it belongs to."""
        number = int(key) if key.isdecimal() else -1
        model = self._models.get(self._parents.get(number, number))
        return model if model in self._shown() else None

    def _filtered(self, ask: Ask) -> list[Item]:
        wanted = [(name, values[-1]) for name, values in ask.query.items() if name != "indent"]
        if any(name not in OBJECTS for name, _ in wanted):  # no list of objects: the site fails on it
            raise RefusalError(plain("Internal Server Error", 500))
        return [model for model in self._shown() if all(_has(model, name, value) for name, value in wanted)]

    def _list(self, ask: Ask) -> Reply:
        return _output(ask, self.doubled([model["id"] for model in self._filtered(ask)], 1))

    def _model_or_field(self, ask: Ask, key: str) -> Reply | None:
        if not key.isdecimal():
            return _output(ask, [model.get(key) for model in self._filtered(ask)])
        model = self._model(key)
        if model is None:
            return None
        place = list(self._models).index(model["id"])
        if self.fails_at(place):
            return plain("Internal Server Error", 500)
        if place % 10 == 0:
            model = self.stripped(model)
        if place == 0 and self.fault.mode == "huge":
            model = model | {"notes": {"value": "x" * self.huge_bytes, "attr_id": VALUES["notes"]}}
        return _output(ask, model)

    def _objects(self, ask: Ask, collection: str) -> Reply | None:
        objects = self._collections.get(collection)
        return None if objects is None else _output(ask, list(objects))

    def _object_or_field(self, ask: Ask, collection: str, key: str) -> Reply | None:
        objects = self._collections.get(collection, {})
        if objects and not key.isdecimal():
            return _output(ask, [item.get(key) for item in objects.values()])
        return _output(ask, objects[key]) if key in objects else None

    def _files(self, model: Item | None) -> dict[str, bytes]:
        """Path -> content; none where all simulators are but links to the web."""
        if model is None or not _is_kept_here(model):
            return {}
        return files_of(self._entries[model["id"]])

    def _download(self, ask: Ask, key: str) -> Reply:
        model = self._model(key)
        if model is None:
            return plain("Forbidden", 403)
        files = self._files(model)
        if not files:
            return plain("Error reading file", 500)
        content = packed(files, self.fault.mode, self._bomb_bytes)
        return Reply(content, kind="application/zip", headers=_attachment(f"{key}.zip"))

    def _file(self, ask: Ask) -> Reply:
        path = ask.first("file")
        content = self._files(self._model(ask.first("model"))).get(path)
        if content is None:
            return plain("Forbidden", 403)
        return Reply(content, kind=BINARY, headers=_attachment(quote(path.rpartition("/")[2])))

    def _show(self, ask: Ask, key: str) -> Reply | None:
        model, tab = self._model(key), ask.first("tab", "1")
        files = self._files(model)
        if model is None or (tab != "1" and not files):
            return None
        content = _folder(model["id"], files, ask.first("file")) if tab == "2" else self._overview(model)
        icon = f'<a href="/download/{model["id"]}"><i title="Download zip" class="fas fa-download"></i></a>'
        title = f"<h1>{escape(model['name'])} {icon if files else ''}</h1>"
        head = '<!DOCTYPE html>\n<html lang="en"><head><title>ModelDB</title></head>'
        return html(f"{head}<body>{title}\n{content}</body></html>")

    def _overview(self, model: Item) -> str:
        papers = [
            self._collections["papers"][str(item["object_id"])]
            for item in model.get("model_paper", {"value": ()})["value"]
        ]
        notes = escape(model.get("notes", {"value": ""})["value"])
        return f"<p>{notes}</p>\n<p><b>References:</b></p>" + "\n".join(map(_reference, papers))

    def _old_page(self, ask: Ask) -> Reply | None:
        if self._model(ask.first("model")) is None:
            return None
        rest = "&".join(f"{name}={quote(ask.first(name))}" for name in ("tab", "file") if ask.first(name))
        return redirect(f"/{self.key}/{ask.first('model')}" + (f"?{rest}" if rest else ""))

    def _old_download(self, ask: Ask) -> Reply:
        return redirect(f"/{self.key}/download/{quote(ask.first('o'))}")


def _paper(paper: Item) -> Item:
    """A paper as an object of the API: every part but id and name as `{value}`."""
    parts: Item = {
        name: {"value": part} for name, part in paper.items() if name not in ("id", "name", "authors")
    }
    authors = [{"object_name": name} for name in paper["authors"]]
    return {"id": paper["id"], "name": paper["name"], "authors": {"value": authors}, **parts}


def _has(model: Item, name: str, value: str) -> bool:
    items = model.get(name, {"value": ()})["value"]
    return any(value in (item["object_name"], str(item["object_id"])) for item in items)


def _is_kept_here(model: Item) -> bool:
    simulators = model.get("modeling_application", {"value": ()})["value"]
    return not simulators or any("(web link" not in item["object_name"] for item in simulators)


def _output(ask: Ask, value: object) -> Reply:
    indent = ask.first("indent")
    if indent and not indent.isdecimal():
        return plain("Internal Server Error", 500)
    return as_json(value, kind="application/json", indent=int(indent) if indent else None)


def _attachment(name: str) -> dict[str, str]:
    return {"Content-Disposition": f"attachment; filename={name}"}


def _folder(number: int, files: dict[str, bytes], path: str) -> str:
    """One folder's list, or the page of one file; at first the folder of the readme."""
    if path in files:
        href = f"/getModelFile?model={number}&file={quote(path)}"
        return f'<a class="btn" href="{href}"><i class="fas fa-file-download" title="Download file"></i></a>'
    readme = next((name for name in files if _READMES.search(name)), next(iter(files)))
    path = path.strip("/") or readme.rpartition("/")[0]
    inside = (name.removeprefix(path + "/").partition("/") for name in files if name.startswith(path + "/"))
    rows = [
        f'<li><a href="/{number}?tab=2&file={quote(path)}/{quote(name)}">\n'
        f'<i class="{"fas fa-folder" if below else "far fa-file"}"></i>\n&nbsp; {escape(name)}\n</a></li>'
        for name, below in sorted({(name, bool(slash)) for name, slash, _ in inside})
    ]
    return f'<ul class="nav thin" style="display: block !important;">{"".join(rows)}</ul>'


def _reference(paper: Item) -> str:
    part = {
        key: escape(str(paper.get(key, {"value": ""})["value"]))
        for key in ("title", "journal", "doi", "pubmed_id")
    }
    link = (
        f'<a href="https://doi.org/{part["doi"]}">{part["journal"]}</a>' if part["doi"] else part["journal"]
    )
    pubmed = f"https://www.ncbi.nlm.nih.gov/pubmed?holding=modeldb&term={part['pubmed_id']}"
    return (
        f'<p class="indented"><a href="/citations/{paper["id"]}">{escape(paper["name"])}.</a> '
        f"{part['title']} <i>{link}</i>."
        + (f' [<a href="{pubmed}">PubMed</a>]' if part["pubmed_id"] else "")
        + "</p>"
    )
