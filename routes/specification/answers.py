"""What is answered: pages of records, filters, states of sources, files and errors."""

from __future__ import annotations

from typing import Any, Final, get_args

from werkzeug.http import HTTP_STATUS_CODES

from helpers.records import INDICES
from helpers.search_args import MAX_TEXT
from routes.answers import JSON, PROBLEM
from routes.arguments import MAX_REQUEST_LINE
from routes.specification import examples
from routes.specification.schemas import Json, reference
from services.sources import SourceState

ZIP: Final = "application/zip"
HTML: Final = "text/html"
FILE: Final[Json] = {"type": "string", "format": "binary"}
REQUEST_ID: Final = "f3c1a0d2b4e5f607"
NULLABLE_TIME: Final[Json] = {"type": "string", "format": "date-time", "nullable": True}
COUNT: Final[Json] = {"type": "integer", "minimum": 0}
STATUS_NAMES: Final = {  # status of an error -> its name among the components
    400: "BadRequest",
    404: "NotFound",
    405: "MethodNotAllowed",
    413: "BodyTooLarge",
    414: "RequestLineTooLong",
    415: "NotJSON",
    416: "RangeNotSatisfiable",
    503: "Unavailable",
}


def header(name: str) -> Json:
    """A pointer to a header of the components."""
    return {"$ref": f"#/components/headers/{name}"}


def answer(description: str, content: Json, **headers: Json) -> Json:
    """A response; every one carries the id under which it stands in the log."""
    return {
        "description": description,
        "headers": {"X-Request-ID": header("RequestId"), **headers},
        "content": content,
    }


def json_content(schema: str, example: object) -> Json:
    """A body of JSON by the name of its schema."""
    return {JSON: {"schema": reference(schema), "example": example}}


def errors(*statuses: int) -> Json:
    """Pointers to the responses of these statuses."""
    return {str(each): {"$ref": f"#/components/responses/{STATUS_NAMES[each]}"} for each in statuses}


def headers() -> Json:
    """Headers of answers by their names among the components."""
    return {
        "RequestId": {
            "description": "Id of the request in the log: the request's own `X-Request-ID` or a new one.",
            "required": True,
            "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$"},
        },
        "RetryAfter": {
            "description": "Seconds to wait before the same is asked again.",
            "required": True,
            "schema": {"type": "integer", "minimum": 1},
        },
        "Allow": {
            "description": "The methods that there are, separated by commas.",
            "required": True,
            "schema": {"type": "string"},
        },
        "Disposition": {
            "description": "`attachment` and the name to keep the zip under.",
            "required": True,
            "schema": {"type": "string"},
        },
    }


def responses() -> Json:
    """Errors by their names among the components."""
    return {
        "BadRequest": _problem(
            400,
            "An argument is unknown or not allowed; the message names it and what is allowed.",
            type="unknown type of dataset 'morfology'; did you mean 'morphology'?; "
            "there are morphology, electrophysiology, connection",
            hits="hits is 99999, a whole number from 1 to 10000 is allowed",
            query=f"query has 1001 characters, at most {MAX_TEXT} are allowed",
        ),
        "NotFound": _problem(
            404,
            "There is no such index, record, source or file, or nothing to download.",
            index=f"there is no index 'cells'; there are {', '.join(INDICES)}",
            record="there is no record 'nobody-1' in dataset",
            download="no record has the id 'nobody-1'",
        ),
        "MethodNotAllowed": _problem(
            405,
            "A path was asked by a method that is not among its operations.",
            {"Allow": header("Allow")},
            method="DELETE is not allowed for /search/dataset; allowed: POST, HEAD, GET, OPTIONS",
        ),
        "BodyTooLarge": _problem(
            413, "The body is larger than this server takes.", size="the body is over 4194304 bytes"
        ),
        "RequestLineTooLong": _problem(
            414,
            "Path and query string are too long; the same arguments can be sent as JSON by POST.",
            line=f"the request line is over {MAX_REQUEST_LINE} bytes; "
            "send the same arguments as JSON by POST",
        ),
        "NotJSON": _problem(
            415, "The body is not JSON.", type="the body is text/plain, application/json is allowed"
        ),
        "RangeNotSatisfiable": _problem(
            416,
            "The file is shorter than the range that was asked for.",
            range="The server cannot provide the requested range.",
        ),
        "Unavailable": _problem(
            503,
            "The engine cannot answer now, or as many downloads run as this server allows.",
            {"Retry-After": header("RetryAfter")},
            engine="the engine is starting",
        ),
    }


def _problem(status: int, description: str, more: Json | None = None, **details: str) -> Json:
    shown = {
        name: {
            "value": {
                "type": "about:blank",
                "title": HTTP_STATUS_CODES[status],
                "status": status,
                "detail": detail,
                "request_id": REQUEST_ID,
            }
        }
        for name, detail in details.items()
    }
    content = {PROBLEM: {"schema": reference("Problem"), "examples": shown}}
    return answer(description, content, **(more or {}))


def schemas() -> Json:
    """The shapes of answers by their names among the components."""
    return {
        **_pages(),
        **_filter_shapes(),
        **_source_shapes(),
        **_hub_shapes(),
        "Problem": _shape(
            "An error, as RFC 9457 says.",
            type=_text("`about:blank`: the status says all", format="uri-reference"),
            title=_text("the status in words"),
            status={"type": "integer", "description": "the status of the answer", "minimum": 400},
            detail=_text("what was wrong, what is allowed, the value seen"),
            request_id=_text("finds the request in the log"),
        ),
    }


def _pages() -> Json:
    record = {"type": "array", "description": "the records", "items": reference("Record")}
    total = {**COUNT, "description": "records that match, over all pages"}
    return {
        "Page": _shape(
            "One page of the records that match.",
            optional={"facets": reference("Facets"), "incomplete": reference("Incomplete")},
            total=total,
            total_page={**COUNT, "description": "pages at this size"},
            page={**COUNT, "description": "this page, counted from 0"},
            size={"type": "integer", "minimum": 1, "description": "records on a full page"},
            items=record,
        ),
        "AllRecords": _shape(
            "Every record that matches, in one stream; the total stands at its end.",
            optional={"incomplete": reference("Incomplete")},
            items=record,
            total=total,
        ),
        "Facets": {
            "type": "object",
            "description": "Counted values by the name of the filter, most frequent first.",
            "additionalProperties": {"type": "array", "items": reference("Count")},
        },
        "Count": _shape(
            "A value and the number of records that have it.",
            value=_text("the value"),
            count={"type": "integer", "minimum": 1, "description": "records that match and have it"},
        ),
        "Incomplete": {
            "type": "array",
            "description": "Keys of sources of which nothing was released yet; left out when there are none.",
            "items": {"type": "string"},
        },
        "RecordWithRelease": {
            "description": "A record, and beside it the release that it stands in.",
            "allOf": [
                reference("Record"),
                {
                    "type": "object",
                    "required": ["_release"],
                    "properties": {"_release": reference("Release")},
                },
            ],
        },
        "Release": _shape(
            "When the record was fetched and released. Null where the engine does not know.",
            number={**COUNT, "nullable": True, "description": "counts the releases of its source"},
            released_at={**NULLABLE_TIME, "description": "when its source was released, UTC"},
            fetched_at={**NULLABLE_TIME, "description": "when the refresh that made it began, UTC"},
        ),
    }


def _filter_shapes() -> Json:
    order = {"type": "integer", "minimum": 1, "description": "place among its neighbours"}
    return {
        "Types": _shape(
            "The types of records that an index holds.",
            label=_text("`type`"),
            values={"type": "array", "description": "sorted", "items": {"type": "string"}},
        ),
        "FilterOffer": _shape(
            "A filter with every value that some record has.",
            key=_text("name, within its group where it has one"),
            label=_text("text to show"),
            type={"type": "string", "enum": ["multiple"], "description": "several values may be chosen"},
            order=order,
            depends_on={
                "type": "array",
                "description": "filters whose chosen values restrict these: `CA1:SP` goes with `CA1`",
                "items": {"type": "string"},
            },
            values={"type": "array", "description": "sorted", "items": {"type": "string", "minLength": 1}},
        ),
        "FilterGroup": _shape(
            "The filters of one end of connections.",
            label=_text("text to show"),
            order=order,
            items={
                "type": "object",
                "description": "its filters by name",
                "additionalProperties": reference("FilterOffer"),
            },
        ),
        "FilterOffers": {
            "type": "object",
            "description": "Filters and groups of filters by name.",
            "additionalProperties": {"oneOf": [reference("FilterOffer"), reference("FilterGroup")]},
        },
    }


def _source_shapes() -> Json:
    counts = {
        "fetched": "items that the source gave",
        "normalised": "items that became records",
        "quarantined": "items that did not",
        "released": "records that are served",
    }
    return {
        "Source": _shape(
            "What a source is doing.",
            key=_text("its name in `/sources`, the configuration and `provenance.source`"),
            title=_text("its name to show"),
            url={**_text("its home page; null for the lab's own files"), "nullable": True},
            enabled={"type": "boolean", "description": "whether it is refreshed"},
            state={
                "type": "string",
                "enum": list(get_args(SourceState)),
                "description": "`held`: a refresh waits for an operator; `failed`: the last one failed",
            },
            progress={
                "type": "number",
                "nullable": True,
                "minimum": 0,
                "maximum": 1,
                "description": "of a refresh under way, where the source says how many there are",
            },
            counts=_shape(
                "Items of the last refresh, and records released.",
                **{name: {**COUNT, "description": said} for name, said in counts.items()},
            ),
            last_success={**NULLABLE_TIME, "description": "end of the last good refresh, UTC"},
            next_refresh={**NULLABLE_TIME, "description": "begin of the next refresh"},
            error={"type": "string", "nullable": True, "description": "why it is held or failed"},
        ),
        "Sources": {"type": "array", "description": "Every source.", "items": reference("Source")},
        "Quarantined": _shape(
            "An item that did not become a record.",
            source=_text("key of the source"),
            id=_text("the item's id at the source, `?` where it has none"),
            reason=_text("why"),
        ),
        "Quarantine": _shape(
            "Items of the last refresh that did not become records.",
            total={**COUNT, "description": "all of them, also those that are not shown"},
            items={"type": "array", "description": "the first 1,000", "items": reference("Quarantined")},
        ),
    }


def _hub_shapes() -> Json:
    return {
        "Hub": _shape(
            "What this hub is.",
            name=_text("its name"),
            version=_text("its version"),
            links={
                "type": "object",
                "additionalProperties": {"type": "string"},
                "description": "where to go",
            },
        ),
        "Live": _shape(
            "The process answers.", status={"type": "string", "enum": ["live"], "description": "`live`"}
        ),
        "Ready": _shape(
            "The engine answers.",
            status={"type": "string", "enum": ["ready"], "description": "`ready`"},
            engine=_text("name of the engine"),
            engine_version=_text("its version"),
            records={
                "type": "object",
                "description": "index -> records released",
                "additionalProperties": dict(COUNT),
            },
            rebuilding={"type": "boolean", "description": "an index of an older version is being rebuilt"},
            never_released=reference("Incomplete"),
        ),
    }


def _shape(description: str, optional: Json | None = None, **properties: Any) -> Json:
    return {
        "type": "object",
        "description": description,
        "required": list(properties),
        "properties": {**properties, **(optional or {})},
    }


def _text(description: str, **more: Any) -> Json:
    return {"type": "string", "description": description, **more}


def page_example(*, facets: bool = False) -> Json:
    """A page of one example record."""
    counted = {"facets": {"species": [{"value": "rat", "count": 1}]}} if facets else {}
    items = [examples.records()["Morphology"]]
    return {"total": 1, "total_page": 1, "page": 0, "size": 20, **counted, "items": items}
