"""Every path of the API with its operations."""

from __future__ import annotations

from typing import Any, Final

from routes.answers import JSON
from routes.specification import examples
from routes.specification.answers import (
    FILE,
    HTML,
    ZIP,
    answer,
    errors,
    header,
    json_content,
    page_example,
)
from routes.specification.arguments import body, parameter, search_parameters
from routes.specification.schemas import Json
from routes.specification.vocabulary import Vocabulary

TAGS: Final = {
    "search": "Records by words, filters, type and ids; page by page, or everything at once.",
    "records": "Single records.",
    "filters": "The types and filters that a front end draws its drop-downs from.",
    "download": "Files of records as one zip, and the lab's own files one by one.",
    "sources": "What each source is doing, and whether this hub can answer.",
    "hub": "The front door, the terms of the data, and this document.",
}
INDEX: Final = parameter("index")
ALSO_IN_QUERY: Final = (
    "A body may be missing. Arguments in the query string, spelled as for GET, count too; those of the body "
    "take their place."
)
STREAMED: Final = (
    "Streamed, so that any number is answered. An error after the beginning breaks the answer off before its "
    "end, so that it is no valid {what}."
)


def operation(
    tag: str,
    name: str,
    summary: str,
    ok: Json,
    *,
    description: str = "",
    problems: Json | None = None,
    **more: Any,
) -> Json:
    """One operation; `ok` and `problems` are its responses by status."""
    said = {"description": description} if description else {}
    responses = {**ok, **(problems or {})}
    return {"tags": [tag], "operationId": name, "summary": summary, **said, **more, "responses": responses}


def paths(known: Vocabulary) -> Json:
    """Path -> method -> operation, in the order in which they are shown."""
    return {
        **_search(known),
        **_search_all(known),
        **_records(),
        **_filters(),
        **_download(known),
        **_files(),
        **_sources(),
        **_health(),
        **_hub(),
    }


def _search(known: Vocabulary) -> Json:
    """The three spellings; what is not in the path may be an argument."""
    spellings = (
        ("/search/{index}", "Search", (), ("page", "hits")),
        ("/search/{index}/{page}", "SearchPage", ("path.page",), ("hits",)),
        ("/search/{index}/{page}/{hits}", "SearchPageHits", ("path.page", "path.hits"), ()),
    )
    shown = {**examples.SEARCHES[known.indices[0]], "counts": {"query": "basket", "facets": ["species"]}}
    found: Json = {}
    for path, name, in_path, in_query in spellings:
        given = [INDEX, *map(parameter, in_path)]
        ok = {"200": answer("A page; one past the end has no items.", json_content("Page", page_example()))}
        found[path] = {
            "get": operation(
                "search",
                f"get{name}",
                "One page of records",
                ok,
                description="A filter stands under its own name. An empty value is none.",
                parameters=[*given, *search_parameters(known, "facets", *in_query)],
                problems=errors(400, 404, 414, 503),
            ),
            "post": operation(
                "search",
                f"post{name}",
                "One page of records, arguments as JSON",
                ok,
                description=ALSO_IN_QUERY,
                parameters=given,
                requestBody=body(f"{name}Arguments", shown),
                problems=errors(400, 404, 413, 414, 415, 503),
            ),
        }
    return found


def _search_all(known: Vocabulary) -> Json:
    example = {"items": [examples.records()["Morphology"]], "total": 1}
    ok = {"200": answer("The records, and at the end their number.", json_content("AllRecords", example))}
    streamed = STREAMED.format(what="JSON")
    return {
        "/search/{index}/all": {
            "get": operation(
                "search",
                "getSearchAll",
                "Every record that matches",
                ok,
                description=streamed,
                parameters=[INDEX, *search_parameters(known)],
                problems=errors(400, 404, 414, 503),
            ),
            "post": operation(
                "search",
                "postSearchAll",
                "Every record that matches, arguments as JSON",
                ok,
                description=f"{streamed} {ALSO_IN_QUERY}",
                parameters=[INDEX],
                requestBody=body("SelectArguments", examples.SEARCHES[known.indices[0]]),
                problems=errors(400, 404, 413, 414, 415, 503),
            ),
        }
    }


def _records() -> Json:
    release = {"number": 1, "released_at": examples.AT, "fetched_at": examples.AT}
    example = {**examples.records()["Morphology"], "_release": release}
    return {
        "/records/{index}/{source_id}": {
            "get": operation(
                "records",
                "getRecord",
                "One record",
                {"200": answer("The record.", json_content("RecordWithRelease", example))},
                parameters=[INDEX, parameter("source_id")],
                problems=errors(404, 414, 503),
            )
        }
    }


def _filters() -> Json:
    offer = {
        "key": "species",
        "label": "species",
        "type": "multiple",
        "order": 1,
        "depends_on": [],
        "values": ["mouse", "rat"],
    }
    offers = {"200": answer("The filters.", json_content("FilterOffers", {"species": offer}))}
    types = {"label": "type", "values": ["connection", "electrophysiology", "morphology"]}
    return {
        "/types/{index}": {
            "get": operation(
                "filters",
                "getTypes",
                "The types of records in an index",
                {"200": answer("The types.", json_content("Types", types))},
                parameters=[INDEX],
                problems=errors(404, 414, 503),
            )
        },
        "/filters/{index}": {
            "get": operation(
                "filters",
                "getFilters",
                "Filters of all types of an index, with all values",
                offers,
                parameters=[INDEX],
                problems=errors(404, 414, 503),
            )
        },
        "/filters/{index}/{data_type}": {
            "get": operation(
                "filters",
                "getFiltersOfType",
                "Filters of one type, with all values that its records have",
                offers,
                parameters=[INDEX, parameter("path.data_type")],
                problems=errors(400, 404, 414, 503),
            )
        },
    }


def _download(known: Vocabulary) -> Json:
    zipped = (
        "The zip holds the files under safe names, `manifest.csv` (id, name, source, url, file, size, "
        "sha256, status, reason) and `CITATIONS.txt`. A file that fails and an id that is unknown stand in "
        f"the manifest with the reason. {STREAMED.format(what='zip')} Downloads take at most half of the "
        "server's threads; one more is answered 503."
    )
    disposition = header("Disposition")
    file = answer("The zip.", {ZIP: {"schema": FILE}}, **{"Content-Disposition": disposition})
    by_get, by_post = errors(400, 404, 414, 503), errors(400, 404, 413, 414, 415, 503)
    ids = {"ids": [examples.MORPHOLOGY_ID, examples.MODEL_ID]}
    selected = body("SelectArguments", examples.SEARCHES[known.indices[0]])

    def get(name: str, summary: str, parameters: list[Json]) -> Json:
        ok = {"200": file}
        return operation(
            "download",
            name,
            summary,
            ok,
            description=zipped,
            parameters=[INDEX, *parameters],
            problems=by_get,
        )

    def post(name: str, summary: str, sent: Json) -> Json:
        said, ok = f"{zipped} {ALSO_IN_QUERY}", {"200": file}
        return operation(
            "download",
            name,
            summary,
            ok,
            description=said,
            parameters=[INDEX],
            requestBody=sent,
            problems=by_post,
        )

    return {
        "/download/{index}": {
            "get": get("getDownload", "The files of some records", [parameter("ids.download")]),
            "post": post(
                "postDownload",
                "The files of some records, up to 10,000 ids as JSON",
                body("DownloadArguments", {"ids": ids}, required=True),
            ),
        },
        "/download/{index}/all": {
            "get": get("getDownloadAll", "The files of every record that matches", search_parameters(known)),
            "post": post(
                "postDownloadAll", "The files of every record that matches, arguments as JSON", selected
            ),
        },
    }


def _files() -> Json:
    whole = {"*/*": {"schema": FILE}}
    return {
        "/files/internal/{name}": {
            "get": operation(
                "download",
                "getInternalFile",
                "One of the lab's own files",
                {
                    "200": answer("The file, in the media type of its name.", whole),
                    "206": answer("The part that the header `Range` asks for.", whole),
                    "304": answer("Unchanged since what `If-None-Match` or `If-Modified-Since` says.", {}),
                },
                parameters=[parameter("name")],
                problems=errors(404, 414, 416),
            )
        }
    }


def _sources() -> Json:
    counts = {"fetched": 25, "normalised": 25, "quarantined": 0, "released": 25}
    source = {
        "key": "internal",
        "title": "Own files",
        "url": "",
        "enabled": True,
        "state": "released",
        "progress": None,
        "counts": counts,
        "last_success": examples.AT,
        "next_refresh": None,
        "error": None,
    }
    item = {
        "source": "internal",
        "id": "EX-PC-99",
        "reason": "morphology.csv, line 9, file: there is no such file",
    }
    return {
        "/sources": {
            "get": operation(
                "sources",
                "getSources",
                "Every source with its state",
                {"200": answer("The sources.", json_content("Sources", [source]))},
                problems=errors(503),
            )
        },
        "/sources/{key}/quarantine": {
            "get": operation(
                "sources",
                "getQuarantine",
                "Items that did not become records, each with its reason",
                {"200": answer("The items.", json_content("Quarantine", {"total": 1, "items": [item]}))},
                parameters=[parameter("key")],
                problems=errors(404, 414, 503),
            )
        },
    }


def _health() -> Json:
    ready = {
        "status": "ready",
        "engine": "tantivy",
        "engine_version": "0.27.0",
        "records": {"dataset": 21, "model": 4},
        "rebuilding": False,
        "never_released": ["neuromorpho"],
    }
    return {
        "/health/live": {
            "get": operation(
                "sources",
                "getLive",
                "Whether the process answers",
                {"200": answer("It does.", json_content("Live", {"status": "live"}))},
            )
        },
        "/health/ready": {
            "get": operation(
                "sources",
                "getReady",
                "Whether the engine answers",
                {"200": answer("It does.", json_content("Ready", ready))},
                problems=errors(503),
            )
        },
    }


def _hub() -> Json:
    page: Json = {HTML: {"schema": {"type": "string"}}}
    hub = {"name": "Ammon", "version": "0.1.0", "links": {"search_dataset": "/search/dataset"}}
    document = {JSON: {"schema": {"type": "object", "description": "OpenAPI 3.0.3"}}}
    return {
        "/": {
            "get": operation(
                "hub",
                "getStart",
                "Name, version and links; a page for browsers",
                {"200": answer("As `Accept` prefers.", {**json_content("Hub", hub), **page})},
            )
        },
        "/neuro_morpho/useterm.jsp": {
            "get": operation(
                "hub",
                "getTerms",
                "The terms of NeuroMorpho.Org's data, in our words",
                {"200": answer("A page.", page)},
            )
        },
        "/swagger.json": {
            "get": operation(
                "hub", "getSpecification", "This document", {"200": answer("OpenAPI.", document)}
            )
        },
    }
