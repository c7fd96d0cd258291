"""`/search`, `/records`: pages of records, everything at once, and single ones."""

from __future__ import annotations

from dataclasses import replace

import orjson
from flask import Blueprint, Response

from helpers.search_args import index_name, parse_search_args
from routes.answers import JSON, all_answer, page_answer
from routes.arguments import search_arguments
from services.search import SearchService
from services.sources import SourceService

bp = Blueprint("search", __name__)


@bp.route("/search/<index>", methods=["GET", "POST"], defaults={"page": None, "hits": None})
@bp.route("/search/<index>/<page>", methods=["GET", "POST"], defaults={"hits": None})
@bp.route("/search/<index>/<page>/<hits>", methods=["GET", "POST"])
def search(
    index: str, page: str | None, hits: str | None, service: SearchService, sources: SourceService
) -> Response:
    """One page of records."""
    query = parse_search_args(index, search_arguments(index), page, hits)
    return page_answer(service.search(query), query, sources.unreleased(index))


@bp.route("/search/<index>/all", methods=["GET", "POST"])
def search_all(index: str, service: SearchService, sources: SourceService) -> Response:
    """Every matching record, streamed."""
    query = parse_search_args(index, search_arguments(index), paged=False)
    counted = service.search(replace(query, hits=1)) if query.facets else None
    return all_answer(service.walk(query), sources.unreleased(index), counted)


@bp.get("/records/<index>/<source_id>")
def record(index: str, source_id: str, service: SearchService) -> Response:
    """One record, with the release that it stands in beside it."""
    document, release = service.record(index_name(index), source_id)
    beside = {
        "number": release.number if release else None,
        "released_at": release.released_at if release else None,
        "fetched_at": release.fetched_at if release else None,
    }
    return Response(document.body[:-1] + b',"_release":' + orjson.dumps(beside) + b"}", mimetype=JSON)
