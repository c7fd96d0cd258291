"""`/download`: files of records as one streamed zip, and the lab's own files one by one."""

from __future__ import annotations

from flask import Blueprint, Response, request, send_file

from helpers.errors import InvalidArguments
from helpers.search_args import index_name, parse_ids, parse_search_args
from routes.arguments import json_object, query_pairs, search_arguments
from services.download import Download, DownloadService
from services.files import FileService

bp = Blueprint("download", __name__)


@bp.route("/download/<index>", methods=["GET", "POST"])
def download(index: str, service: DownloadService) -> Response:
    """The files of the records with these ids, from either index."""
    index_name(index)
    pairs = query_pairs()
    body = json_object() if request.method == "POST" else {}
    for name in (*(name for name, _ in pairs), *body):
        if name != "ids":
            raise InvalidArguments(
                f"unknown parameter {name!r}; there is only ids, see /download/{index}/all"
            )
    asked = parse_ids(",".join(value for _, value in pairs))
    return _zip(service.by_ids(parse_ids([*asked, *parse_ids(body.get("ids"))]), index))


@bp.route("/download/<index>/all", methods=["GET", "POST"])
def download_all(index: str, service: DownloadService) -> Response:
    """The files of every record that matches a search."""
    return _zip(service.by_query(parse_search_args(index, search_arguments(index), paged=False)))


@bp.get("/files/internal/<path:name>")
def internal_file(name: str, service: FileService) -> Response:
    """One of the lab's own files."""
    return send_file(service.internal(name), as_attachment=False, max_age=300)


def _zip(made: Download) -> Response:
    disposition = f'attachment; filename="{made.filename}"'
    return Response(made.chunks, mimetype="application/zip", headers={"Content-Disposition": disposition})
