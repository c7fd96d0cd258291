"""`/types` and `/filters`: what a front end draws its drop-downs from."""

from __future__ import annotations

from flask import Blueprint, Response

from routes.answers import json_answer
from services.filters import FilterService

bp = Blueprint("filters", __name__)


@bp.get("/types/<index>")
def types(index: str, service: FilterService) -> Response:
    """The record types of an index."""
    return json_answer(service.types(index))


@bp.get("/filters/<index>", defaults={"data_type": None})
@bp.get("/filters/<index>/<data_type>")
def filters(index: str, data_type: str | None, service: FilterService) -> Response:
    """Filters with all their values."""
    return json_answer(service.filters(index, data_type))
