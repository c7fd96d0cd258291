"""`/download`: files of records as one streamed zip, and the lab's own files one by one."""

from __future__ import annotations

from flask import Blueprint, Response, send_file

from helpers.errors import InvalidArguments
from helpers.search_args import index_name, parse_ids, parse_search_args
from routes.arguments import search_arguments
from services.download import Download, DownloadService
from services.files import FileService

bp = Blueprint("download", __name__)


@bp.route("/download/<index>", methods=["GET", "POST"])
def download(index: str, service: DownloadService) -> Response:
    """The files of the records with these ids, from either index."""
    arguments = search_arguments(index_name(index))
    unknown = sorted(set(arguments) - {"ids"})
    if unknown:
        raise InvalidArguments(
            f"unknown parameter {unknown[0]!r}; there is only ids, see /download/{index}/all"
        )
    return _zip(service.by_ids(parse_ids(arguments.get("ids")), index))


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
