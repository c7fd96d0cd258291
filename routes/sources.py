"""`/sources`, `/health`: what the hub and each of its sources are doing."""

from __future__ import annotations

from dataclasses import asdict

from flask import Blueprint, Response

from helpers.storage.base import Storage
from routes.answers import json_answer
from services.sources import SourceService

bp = Blueprint("sources", __name__)

QUARANTINE_SHOWN = 1_000


@bp.get("/sources")
def sources(service: SourceService) -> Response:
    """Every source with its state, counts and last error."""
    return json_answer([asdict(status) for status in service.all()])


@bp.get("/sources/<key>/quarantine")
def quarantine(key: str, service: SourceService) -> Response:
    """Items of the last refresh that did not become records, each with its reason."""
    items = service.quarantine(key, QUARANTINE_SHOWN)
    total = service.get(key).counts["quarantined"]
    return json_answer({"total": total, "items": [asdict(item) for item in items]})


@bp.get("/health/live")
def live() -> Response:
    """The process answers."""
    return json_answer({"status": "live"})


@bp.get("/health/ready")
def ready(storage: Storage, service: SourceService) -> Response:
    """The engine answers; names the sources that were never released."""
    health = storage.health()
    return json_answer(
        {
            "status": "ready",
            "engine": health.engine,
            "engine_version": health.version,
            "records": dict(health.counts),
            "rebuilding": health.rebuilding,
            "never_released": service.unreleased(),
        }
    )
